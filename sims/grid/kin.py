"""Nets that are equal but for names, numbers and what their elements inject: compiled once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from sims.grid.compiled import CompiledNet
from sims.grid.fitting import ENDS, SWITCHED
from sims.grid.parts import IntArray

_OWN = ("name", "subnet", "geo", "zone", "coords", "substation", "voltLvl", "std_type")
"""Columns that say nothing of a net's electrical shape."""
_SHAPE = ("bus", "line", "trafo", "trafo3w", "impedance", "switch", "ext_grid", "shunt", "ward", "motor",
          "asymmetric_load", "asymmetric_sgen", "gen")


def compiled_kin(nets: Iterable[tuple[str, Any]]) -> list[CompiledNet]:
    """Compile sanitised nets; equal ones share their arrays, and each keeps its own numbers and elements.

    Parameters
    ----------
    nets : sequence of (name, pandapowerNet)
    """
    known: dict[int | bytes, CompiledNet] = {}
    out = []
    for name, net in nets:
        if id(net) not in known:
            shape = _shape(net)
            first = known.get(shape)
            known[id(net)] = CompiledNet.from_net(net, name) if first is None else _renumbered(first, net, name)
            known.setdefault(shape, known[id(net)])
        out.append(known[id(net)])
    return out


def _shape(net: Any) -> bytes:
    """Return the digest of everything that `CompiledNet` takes from a net, but for its loads, sgens and storages."""
    digest = blake2b(f"{net.f_hz} {net.sn_mva}".encode())
    buses = np.sort(net.bus.index.to_numpy(np.int64))
    for table in _SHAPE:
        frame = net.get(table)
        if not isinstance(frame, pd.DataFrame) or not len(frame):
            continue
        places = {column: np.searchsorted(buses, frame[column].to_numpy(np.int64))
                  for column in ENDS.get(table, ("bus",)) if column in frame and table != "switch"}
        if table == "bus":
            frame = frame.sort_index()
        if table == "switch":
            places = {"bus": np.searchsorted(buses, frame.bus.to_numpy(np.int64)), "element": _targets(net, buses)}
        for column in sorted(c for c in frame if c not in _OWN):
            values = places.get(column, frame[column].to_numpy())
            if values.dtype == object:
                values = np.array([str(value) for value in values])
            digest.update(f"{table} {column} {values.dtype} ".encode() + np.ascontiguousarray(values).tobytes())
    return digest.digest()


def _targets(net: Any, buses: IntArray) -> IntArray:
    """Return the row of what each switch switches."""
    out = np.zeros(len(net.switch), np.int64)
    element, et = net.switch.element.to_numpy(np.int64), net.switch.et.to_numpy(str)
    for kind in np.unique(et):
        of = et == kind
        out[of] = np.searchsorted(buses, element[of]) if kind == "b" else \
            net[SWITCHED[kind]].index.get_indexer(element[of])
    return out


def _renumbered(like: CompiledNet, net: Any, name: str) -> CompiledNet:
    """Return `like` as the compiled form of `net`, which is its equal."""
    from sims.grid import translation

    bus = dict(zip(sorted(like.bus_node), sorted(int(b) for b in net.bus.index), strict=True))
    bus_node = {bus[old]: node for old, node in like.bus_node.items()}
    node_bus = np.array([bus[int(b)] if b >= 0 else -1 for b in like.node_bus], np.int64)
    element = like.branch_element.copy()
    for kind in np.unique(like.branch_kind):
        of = like.branch_kind == kind
        element[of] = _moved(like.net[kind].index, net[kind].index, element[of])
    table = replace(like.switches, index=net.switch.index.to_numpy(np.int64), bus=net.switch.bus.to_numpy(np.int64),
                    element=net.switch.element.to_numpy(np.int64))
    taps = tuple(replace(tap, element=int(_moved(like.net[tap.kind].index, net[tap.kind].index, [tap.element])[0]))
                 for tap in like.taps)
    lon, lat = translation.positions(net, node_bus)
    return replace(like, name=name, bus_node=bus_node, node_bus=node_bus, branch_element=element, switches=table,
                   taps=taps, elements=translation.elements(net, bus_node), lon=lon, lat=lat, origin=lambda: net)


def _moved(old: Any, new: Any, numbers: Any) -> IntArray:
    return np.asarray(new.to_numpy(np.int64)[old.get_indexer(numbers)])
