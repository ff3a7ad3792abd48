"""Spreads devices over feeders by share, count or list; seeded, and for each feeder on its own."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ScenarioError, nearest
from sims.der.fleet import KINDS, DeviceTable

HOUSEHOLDS = {"H0-A": 4.0, "H0-B": 3.0, "H0-C": 3.0, "H0-G": 2.0, "H0-L": 2.0, "G1-B": 1.0, "G3-A": 1.0, "L1-A": 1.0}
GRIDS = {"lv_rural1": 1.0, "lv_rural2": 1.0, "lv_rural3": 1.0, "lv_semiurb4": 1.0, "lv_semiurb5": 1.0, "lv_urban6": 1.0}
"""For nodes that stand for a whole low-voltage grid: its profile, not that of one household."""


@dataclass(frozen=True)
class FeederSite:
    """A feeder as placement sees it: where load stands.

    `nodes` are node indices within the feeder, `load_mw` the peak demand there (positive), `load_mvar` its
    reactive power or nothing, `level` is ``lv`` or ``mv``, one for all nodes or one a node.
    """

    name: str
    index: int
    dso: int
    nodes: NDArray[np.int64]
    load_mw: NDArray[np.float64]
    load_mvar: NDArray[np.float64] | None = None
    level: str | NDArray[np.str_] = "lv"

    def level_at(self, node: NDArray[np.int64]) -> NDArray[np.str_]:
        """Return the level of each of `node`; a node without load takes the first's."""
        if isinstance(self.level, str):
            return np.full(len(node), self.level)
        by_node = dict(zip(self.nodes.tolist(), self.level.tolist(), strict=True))
        return np.array([by_node.get(n, self.level[0]) for n in node.tolist()], dtype=np.str_)


LOW_VOLTAGE_BELOW_MVA = 0.135
"""VDE-AR-N 4105 holds for units below 135 kW: at a node of medium voltage they stand behind its local transformer."""


@dataclass(frozen=True)
class Listed:
    """A device given by name and place; `columns` are further columns of `DeviceTable`."""

    name: str
    kind: str
    feeder: str
    node: int
    p_rated_mw: float
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shares:
    """How much of each kind, per MW of a feeder's peak load, and how it is spread.

    `counts` sets how many devices of a kind a feeder gets (else `adoption` of the nodes that carry load);
    profiles are drawn with the weights given.
    """

    pv_mw_per_mw_load: float = 0.0
    wind_mw_per_mw_load: float = 0.0
    chp_mw_per_mw_load: float = 0.0
    heatpump_mw_per_mw_load: float = 0.0
    storage_mw_per_mw_pv: float = 0.0
    storage_hours: float = 2.0
    soc_start: float = 0.5
    ev_per_mw_load: float = 0.0
    plug_mw: Mapping[float, float] = field(default_factory=lambda: {0.0037: 0.3, 0.011: 0.6, 0.022: 0.1})
    v2g_share: float = 0.0
    strategy: str = "uncontrolled"
    heatpump_buffer_h: float = 1.0
    flexible_mw_per_mw_load: float = 0.0
    flexible_buffer_h: float = 2.0
    adoption: float = 0.5
    counts: Mapping[str, int] = field(default_factory=dict)
    load_scaling: float = 1.0
    cos_phi_load: float = 0.97
    s_per_p: float = 1.0 / 0.9
    grid_above_mw: float = 0.1
    profiles: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def mix(self, kind: str, level: str = "") -> Mapping[str, float]:
        """Return names and weights of the profiles of a kind; ``load`` of nodes that stand for a grid as ``grid``."""
        own = self.profiles.get(kind)
        return own if own is not None else _MIXES.get(kind, {"": 1.0})


_MIXES: dict[str, Mapping[str, float]] = {
    "load": HOUSEHOLDS,
    "grid": GRIDS,
    "pv": {f"PV{k}": 1.0 for k in range(1, 9)},
    "wind": {f"WP{k}": 1.0 for k in (2, 3, 4, 5, 7, 8, 9, 10)},
    "heatpump": {"Air_Parallel_1": 2.0, "Air_Semi-Parallel_1": 2.0, "Soil_Alternative_1": 1.0},
    "chp": {f"BM{k}": 1.0 for k in range(1, 6)},
    "flexible": {"G0-A": 1.0},
}


def place(
    sites: Sequence[FeederSite], shares: Shares | Mapping[str, Shares], *, seed: int,
    feeder_names: Sequence[str], dso_names: Sequence[str], listed: Sequence[Listed] = (),
) -> DeviceTable:
    """Return the devices of all feeders.

    Parameters
    ----------
    sites : sequence of FeederSite
    shares : Shares, or mapping of feeder name to Shares
    seed : int
        Each feeder and kind draws from ``SeedSequence([seed, crc32(feeder), crc32(kind)])``: what one feeder
        gets does not depend on what stands elsewhere or on other kinds.
    feeder_names, dso_names : sequence of str
        Global names by index.
    listed : sequence of Listed
        Devices given one by one, beside those spread.

    Raises
    ------
    ScenarioError
        Unknown feeder or kind, a share below zero, or devices for a feeder without load.
    """
    rows: dict[str, list[NDArray[Any]]] = {}
    for site in sites:
        own = shares if isinstance(shares, Shares) else shares.get(site.name)
        if own is None:
            raise ScenarioError(f"no shares for feeder '{site.name}'{nearest(site.name, shares)}")  # type: ignore[arg-type]
        for block in _feeder(site, own, seed):
            count = len(block["name"])
            full = {**_BLANK, "feeder": site.index, "dso": site.dso, "level": _level(site, block), **block}
            for column, values in full.items():
                rows.setdefault(column, []).append(np.broadcast_to(np.asarray(values), (count,)))
    by_name = {site.name: site for site in sites}
    for item in listed:
        found = by_name.get(item.feeder)
        if found is None:
            raise ScenarioError(f"device '{item.name}': no feeder '{item.feeder}'{nearest(item.feeder, by_name)}")
        if item.kind not in KINDS:
            raise ScenarioError(f"device '{item.name}': kind '{item.kind}' is not one of {' | '.join(KINDS)}")
        extra = [c for c in item.columns if c not in _BLANK]
        if extra:
            raise ScenarioError(f"device '{item.name}': no column '{extra[0]}'{nearest(extra[0], _BLANK)}")
        given = {"kind": item.kind, "node": np.array([item.node]), "p_rated_mw": item.p_rated_mw, **item.columns}
        full = {
            **_BLANK, "level": _level(found, given), **item.columns, "name": item.name, "kind": item.kind,
            "feeder": found.index, "dso": found.dso, "node": item.node, "p_rated_mw": item.p_rated_mw,
        }
        for column, values in full.items():
            rows.setdefault(column, []).append(np.atleast_1d(np.asarray(values)))
    columns = {column: np.concatenate(parts) for column, parts in rows.items()}
    if columns:
        order = _order(columns)
        columns = {column: values[order] for column, values in columns.items()}
    return DeviceTable.of(feeder_names=feeder_names, dso_names=dso_names, **(columns or {**_BLANK, **_NONE}))


_BLANK: dict[str, Any] = {
    "s_rated_mva": np.nan, "profile": "", "scaling": 1.0, "cos_phi": 1.0, "level": "lv", "remote": True,
    "e_rated_mwh": 0.0, "soc_start": 0.5, "vehicles": 0, "plug_mw": 0.011, "v2g_share": 0.0,
    "strategy": "uncontrolled", "steps": 1,
}
_NONE: dict[str, Any] = {c: [] for c in ("name", "kind", "feeder", "node", "dso", "p_rated_mw")}


def _order(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Return the order by kind, rule and feeder: devices of one law then lie together, so that laws see views."""
    group = np.array([_GROUP[kind] for kind in KINDS])[[KINDS.index(kind) for kind in columns["kind"]]]
    place = np.array([KINDS.index(kind) for kind in columns["kind"]])
    v2g = columns["v2g_share"].astype(float) > 0
    return np.lexsort((columns["feeder"], v2g, place, columns["level"], group))


_GROUP = {"load": 0, "pv": 1, "wind": 1, "chp": 1, "storage": 2, "ev": 3, "heatpump": 4, "flexible": 5,
          "svc": 6, "statcom": 6, "capacitor": 6}  # fmt: skip


def _level(site: FeederSite, block: Mapping[str, Any]) -> NDArray[np.str_]:
    """Return which connection rule holds: that of the node, but small units and homes are at low voltage anywhere.

    A node of medium voltage that carries load stands for the low-voltage grid below it: what fits there is there.
    """
    at = site.level_at(np.asarray(block["node"]))
    if block["kind"] in _HOMES:
        return np.full(len(at), "lv")
    if block["kind"] == "load":
        return at
    size = np.asarray(block.get("s_rated_mva", block["p_rated_mw"]))
    return np.where(size < LOW_VOLTAGE_BELOW_MVA, "lv", at)


_HOMES = ("ev", "heatpump")
"""Kinds that stand at homes."""


def _rng(seed: int, feeder: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng(
        np.random.SeedSequence([seed, zlib.crc32(feeder.encode()), zlib.crc32(purpose.encode())])
    )


def _feeder(site: FeederSite, shares: Shares, seed: int) -> list[dict[str, Any]]:
    """Return the blocks of columns of one feeder, one a kind."""
    loaded = np.flatnonzero(site.load_mw > 0)
    nodes, load = site.nodes[loaded], site.load_mw[loaded]
    blocks = [_loads(site, shares, loaded, seed)] if len(loaded) else []
    peak = float(load.sum())
    wanted = {
        "pv": shares.pv_mw_per_mw_load * peak, "wind": shares.wind_mw_per_mw_load * peak,
        "chp": shares.chp_mw_per_mw_load * peak, "heatpump": shares.heatpump_mw_per_mw_load * peak,
        "flexible": shares.flexible_mw_per_mw_load * peak,
    }
    if min(*wanted.values(), shares.storage_mw_per_mw_pv, shares.ev_per_mw_load) < 0:
        raise ScenarioError(f"feeder '{site.name}': shares must be 0 or more")
    pv_nodes, pv_mw = nodes[:0], load[:0]
    for kind, total in wanted.items():
        if total <= 0:
            continue
        rng = _rng(seed, site.name, kind)
        at, mw = _spread(rng, nodes, load, total, shares, kind)
        extra: dict[str, Any] = {"s_rated_mva": mw * shares.s_per_p}
        if kind == "heatpump":
            extra = {"e_rated_mwh": mw * shares.heatpump_buffer_h, "cos_phi": 0.98, "soc_start": 0.75}
        elif kind == "flexible":
            extra = {"e_rated_mwh": mw * shares.flexible_buffer_h, "cos_phi": shares.cos_phi_load, "soc_start": 0.5}
        blocks.append({
            "name": _names(site.name, kind, at), "kind": kind, "node": at, "p_rated_mw": mw,
            "profile": _draw(rng, shares.mix(kind), len(at)), **extra,
        })
        if kind == "pv":
            pv_nodes, pv_mw = at, mw
    if shares.storage_mw_per_mw_pv > 0 and len(pv_nodes):
        rng = _rng(seed, site.name, "storage")
        at, mw = _spread(rng, pv_nodes, pv_mw, shares.storage_mw_per_mw_pv * pv_mw.sum(), shares, "storage")
        blocks.append({
            "name": _names(site.name, "storage", at), "kind": "storage", "node": at, "p_rated_mw": mw,
            "e_rated_mwh": mw * shares.storage_hours, "s_rated_mva": mw * shares.s_per_p,
            "soc_start": shares.soc_start,
        })
    vehicles = round(shares.ev_per_mw_load * peak)
    if vehicles:
        rng = _rng(seed, site.name, "ev placement")
        number = rng.multinomial(vehicles, load / peak)
        at, number = nodes[number > 0], number[number > 0]
        plug = _draw(rng, {str(k): w for k, w in shares.plug_mw.items()}, len(at)).astype(float)
        blocks.append({
            "name": _names(site.name, "ev", at), "kind": "ev", "node": at, "p_rated_mw": plug * number,
            "vehicles": number, "plug_mw": plug, "v2g_share": shares.v2g_share, "strategy": shares.strategy,
        })
    return blocks


def _loads(site: FeederSite, shares: Shares, loaded: NDArray[np.int64], seed: int) -> dict[str, Any]:
    rng = _rng(seed, site.name, "load")
    nodes, load = site.nodes[loaded], site.load_mw[loaded]
    cos_phi: Any = shares.cos_phi_load
    if site.load_mvar is not None:
        cos_phi = np.clip(load / np.hypot(load, site.load_mvar[loaded]), 0.05, 1.0)
    single, grid = (_draw(rng, shares.mix(kind), len(nodes)) for kind in ("load", "grid"))
    return {
        "name": _names(site.name, "load", nodes), "kind": "load", "node": nodes, "p_rated_mw": load,
        "profile": np.where(load >= shares.grid_above_mw, grid, single), "scaling": shares.load_scaling,
        "cos_phi": cos_phi, "remote": False,
    }


def _spread(
    rng: np.random.Generator, nodes: NDArray[np.int64], weight: NDArray[np.float64], total: float, shares: Shares,
    kind: str,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose places, likelier where weight is, and split `total` over them by weight and a spread of sizes."""
    count = shares.counts.get(kind, max(1, round(shares.adoption * len(nodes))))
    order = rng.random(len(nodes)) ** (weight.mean() / weight)
    chosen = np.sort(np.argsort(-order, kind="stable")[: min(count, len(nodes))])
    extra = rng.choice(len(nodes), max(count - len(nodes), 0))
    chosen = np.sort(np.concatenate([chosen, extra]).astype(np.int64))
    size = weight[chosen] * rng.lognormal(0.0, 0.3, len(chosen))
    return nodes[chosen], size * (total / size.sum())


def _draw(rng: np.random.Generator, mix: Mapping[str, float], count: int) -> NDArray[np.str_]:
    names = np.array(list(mix), dtype=np.str_)
    weight = np.array(list(mix.values()), dtype=np.float64)
    return names[rng.choice(len(names), count, p=weight / weight.sum())]


def _names(feeder: str, kind: str, nodes: NDArray[np.int64]) -> NDArray[np.str_]:
    """Name devices by feeder, kind and node, numbered where several share a node."""
    seen: dict[int, int] = {}
    out = []
    for node in nodes.tolist():
        seen[node] = seen.get(node, 0) + 1
        out.append(f"{feeder}/{kind}/{node}" + (f".{seen[node]}" if seen[node] > 1 else ""))
    return np.array(out, dtype=np.str_)
