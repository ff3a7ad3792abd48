"""What a page needs to show each grid over time: its shape, voltages and loadings as small numbers."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runfile import Run
from results.tree import layout

FRAMES = 288
"""Most instants a page holds; of longer runs every so many rows."""
VOLTAGE_SCALE, GAP_16, GAP_8 = 20_000.0, 65_535, 255
"""A voltage is stored as pu times the scale, a loading as percent up to 254; the largest number is a gap."""
DARK_PU = 0.2
"""Voltage below which a bus counts as without supply."""


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def feeder_data(run: Run) -> dict[str, Any] | None:
    """Return shape and state of every feeder, ready for JSON; None where the run holds no buses of feeders.

    ``shapes`` are the grids that occur, ``feeders`` name theirs; voltages are little-endian 16-bit numbers,
    loadings bytes, instant by instant, both as base64.
    """
    if not run.has("bus", "vm_pu", "feeder"):
        return None
    of_bus = run.static("bus", "feeder").astype(str)
    names = list(dict.fromkeys(of_bus.tolist()))
    t_s = run.seconds("bus")
    rows = np.arange(0, len(t_s), -(-len(t_s) // FRAMES))
    volts = _voltages(run, rows)
    branches = _branches(run, t_s[rows])
    shapes: dict[str, dict[str, Any]] = {}
    feeders = []
    level = run.static("bus", "vn_kv") if "vn_kv" in run.columns("bus") else None
    if {"lon", "lat"} <= set(run.columns("bus")):
        positions = run.static("bus", "lon"), run.static("bus", "lat")
    else:
        positions = np.full(len(of_bus), np.nan), np.full(len(of_bus), np.nan)
    grids = dict(zip(run.labels("feeder"), run.static("feeder", "grid").astype(str), strict=True)) if (
        "feeder" in run and "grid" in run.columns("feeder")) else {}  # fmt: skip
    labels = run.labels("bus")
    for name in names:
        mine = np.flatnonzero(of_bus == name)
        place = {labels[k]: i for i, k in enumerate(mine)}
        ends, kinds, loading, called = _of_feeder(branches, name, place)
        root = int(np.argmax(level[mine])) if level is not None else 0
        off = loading[0] % GAP_8 == 0 if len(loading) else np.zeros(len(ends), bool)
        shape = _shape(positions, mine, ends, kinds, off, root)
        key = repr(shape)
        shapes.setdefault(key, {"number": len(shapes), **shape})
        feeders.append({
            "name": name, "grid": grids.get(name, ""), "shape": shapes[key]["number"],
            "buses": [labels[k].removeprefix(f"{name}.") for k in mine],
            "branches": [label.removeprefix(f"{name}.") for label in called],
            "v": _packed(volts[:, mine].astype("<u2")), "loading": _packed(loading),
        })  # fmt: skip
    about = run.group_attrs("bus")
    return {
        "t_s": t_s[rows].tolist(), "start": str(run.attrs.get("start", "")), "every": int(rows[1] - rows[0])
        if len(rows) > 1 else 1, "band": [about.get("v_min_pu", 0.95), about.get("v_max_pu", 1.05)],
        "scale": VOLTAGE_SCALE, "shapes": list(shapes.values()), "feeders": feeders,
    }  # fmt: skip


def _voltages(run: Run, rows: NDArray[np.int_]) -> NDArray[np.uint16]:
    out = np.full((len(rows), len(run.labels("bus"))), GAP_16, np.uint16)
    for part, values in run.blocks("bus", "vm_pu"):
        mine = np.flatnonzero((rows >= part.start) & (rows < part.stop))
        vm = values[rows[mine] - part.start]
        lit = np.isfinite(vm) & (vm > DARK_PU)
        out[mine] = np.where(lit, np.clip(np.where(lit, vm, 0) * VOLTAGE_SCALE, 0, GAP_16 - 1).round(), GAP_16)
    return out


Branches = list[tuple[str, NDArray[Any], list[str], NDArray[Any], NDArray[Any], NDArray[np.uint8]]]


def _branches(run: Run, at_s: NDArray[np.float64]) -> Branches:
    """Return (kind, feeder, labels, from, to, loading at the instants) of lines and transformers."""
    found: Branches = []
    for kind in ("line", "trafo"):
        if not run.has(kind, "loading_percent", "feeder", "from_bus", "to_bus"):
            continue
        t_s = run.seconds(kind)
        rows = np.clip(np.searchsorted(t_s, at_s, side="right") - 1, 0, None)
        loading = np.full((len(rows), len(run.labels(kind))), GAP_8, np.uint8)
        for part, values in run.blocks(kind, "loading_percent"):
            mine = np.flatnonzero((rows >= part.start) & (rows < part.stop))
            percent = values[rows[mine] - part.start]
            known = np.isfinite(percent)
            loading[mine] = np.where(known, np.clip(np.where(known, percent, 0), 0, GAP_8 - 1).round(), GAP_8)
        columns = (run.static(kind, c).astype(str) for c in ("feeder", "from_bus", "to_bus"))
        of, a, b = columns
        found.append((kind, of, run.labels(kind), a, b, loading))
    return found


def _of_feeder(
    branches: Branches, name: str, place: dict[str, int]
) -> tuple[list[list[int]], list[str], NDArray[np.uint8], list[str]]:
    ends: list[list[int]] = []
    kinds: list[str] = []
    called: list[str] = []
    loadings = [np.zeros((len(branches[0][5]) if branches else 0, 0), np.uint8)]
    for kind, of, labels, a, b, loading in branches:
        mine = [k for k in np.flatnonzero(of == name) if a[k] in place and b[k] in place]
        ends += [[place[a[k]], place[b[k]]] for k in mine]
        kinds += [kind] * len(mine)
        called += [labels[k] for k in mine]
        loadings.append(loading[:, mine])
    return ends, kinds, np.hstack(loadings), called


def _shape(
    positions: tuple[NDArray[Any], NDArray[Any]], mine: NDArray[np.int_], ends: list[list[int]], kinds: list[str],
    off: NDArray[np.bool_], root: int,
) -> dict[str, Any]:
    lon, lat = (p[mine] for p in positions)
    # what is without current at the start closes no path of the diagram where another way leads there
    pairs = np.array(ends, dtype=int).reshape(-1, 2)[np.argsort(off, kind="stable")]
    x, y = layout(len(mine), pairs[:, 0], pairs[:, 1], root)
    placed = bool(np.isfinite(lon).all() and np.isfinite(lat).all() and (np.ptp(lon) > 0 or np.ptp(lat) > 0))
    return {
        "geo": [np.round(lat, 6).tolist(), np.round(lon, 6).tolist()] if placed else None,
        "tree": [np.round(x, 4).tolist(), np.round(y, 4).tolist()], "ends": ends, "kinds": kinds,
    }  # fmt: skip
