"""Volt/VAr control of a grid behind ``gridseam dms volt-var``: taps by enumeration, then reactive power."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from controllers.dms.network import Complexes, Floats, Ints
from controllers.dms.volt_var import Band, Sources, best_q, best_steps
from gridseam.dms_grid import DmsGrid
from sims.core.errors import GridError

LOADING_MAX = 100.0


def optimised(
    grid: DmsGrid, sources: Sequence[str], v_min: float, v_max: float, half_band: float
) -> tuple[dict[str, Any], list[dict[str, Any]], Complexes]:
    """Return what taps and sources do, a row each, and the voltages after it [node].

    Busbars stand at 1 pu before; a step moves them by what the transformer's table says.

    Raises
    ------
    GridError
        Nothing to move, or limits the wrong way round.
    """
    net, base = grid.net, grid.compiled.base_mva
    if not v_min < v_max:
        raise GridError(f"the lowest voltage {v_min:g} pu is not below the highest {v_max:g} pu")
    if grid.raw.sgen.empty and not sources and not len(net.feed):
        raise GridError(f"grid {grid.name}: has neither tap changers nor sources of reactive power; name one with "
                        "--source bus:17=2")
    top = net.topology(net.normal)
    v = top.flow(grid.s, np.ones(len(net.anchor)))
    if not np.isfinite(v).all():
        raise GridError(f"grid {grid.name}: the power flow has no solution; lower --load")
    middle = (v_min + v_max) / 2
    band = Band(max(v_min, middle - half_band), min(v_max, middle + half_band), v_min, v_max)
    step, room = _taps(grid)
    steps = best_steps(top, v, step, band, room)
    node, most = _sources(grid, sources)
    nothing = np.zeros(len(node))
    found = best_q(top, v, grid.s, Sources(node, nothing, -most, most), band, steps * step, LOADING_MAX)
    q = nothing if found is None else found
    after = grid.s + 1j * np.bincount(node, q, grid.compiled.n_nodes) / base
    v_after = top.flow(after, 1.0 + steps * step)
    rows = [{"what": f"taps at busbar {grid.bus(int(n))}", "from": 0.0, "to": float(k), "unit": "steps up"}
            for n, k, size in zip(net.anchor, steps, step, strict=True) if size]
    rows += [{"what": f"source at bus {grid.bus(int(n))}", "from": 0.0, "to": float(x), "unit": "Mvar"}
             for n, x in zip(node, q, strict=True)]
    before, now = (np.abs(x[top.free]) for x in (v, v_after))
    facts = {
        "grid": grid.name, "v_min_before_pu": float(before.min()), "v_min_after_pu": float(now.min()),
        "v_max_before_pu": float(before.max()), "v_max_after_pu": float(now.max()),
        "outside_before": int((band.outside(before) > 1e-6).sum()),
        "outside_after": int((band.outside(now) > 1e-6).sum()),
        "losses_before_kw": top.losses(v, grid.s) * base * 1e3,
        "losses_after_kw": top.losses(v_after, after) * base * 1e3,
    }
    return facts, rows, v_after


def _taps(grid: DmsGrid) -> tuple[Floats, Ints]:
    """Return rise per step [anchor], and steps left downwards and upwards [2, anchor]."""
    net = grid.net
    tables = {t.element: t for t in grid.compiled.taps if t.kind == "trafo"}
    step, room = np.zeros(len(net.anchor)), np.zeros((2, len(net.anchor)), dtype=np.int64)
    for trafo, a in zip(net.feed_trafo.tolist(), net.feed_anchor.tolist(), strict=True):
        table = tables.get(int(trafo))
        if table is None or len(table.positions) < 2:
            continue
        below, above = int(table.initial - table.positions[0]), int(table.positions[-1] - table.initial)
        step[a], room[:, a] = table.step_percent / 100.0, (above, below) if table.side == "hv" else (below, above)
    return step, room


def _sources(grid: DmsGrid, named: Sequence[str]) -> tuple[Ints, Floats]:
    """Return node and reach [Mvar] of the grid's plants and of what the user names."""
    found: list[tuple[int, float]] = []
    for row in grid.raw.sgen.itertuples():
        s_mva = float(row.sn_mva) if np.isfinite(row.sn_mva) else 1.1 * abs(float(row.p_mw))
        if row.in_service and int(row.bus) in grid.compiled.bus_node:
            found.append((grid.compiled.node(int(row.bus)), float(np.sqrt(max(s_mva**2 - float(row.p_mw) ** 2, 0.0)))))
    for text in named:
        place, _, size = text.partition("=")
        if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", size):
            raise GridError(f"'{text}' is no source; give a place and its reach in Mvar, such as bus:80=2")
        found.append((grid.node(place), float(size)))
    node, most = zip(*found, strict=True) if found else ((), ())
    return np.array(node, dtype=np.int64), np.array(most, dtype=float)
