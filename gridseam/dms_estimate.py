"""The state estimate of ``gridseam dms estimate``: measurements from a file or from a metered power flow."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.dms.bad_data import identify
from controllers.dms.state_estimation import KINDS, Branches, Measurements, wls
from controllers.dms.topology_check import misreported, switched
from gridseam.dms_csv import lines_of
from gridseam.dms_grid import DmsGrid
from sims.core.errors import GridError, nearest

Floats = NDArray[np.float64]
V_SIGMA, P_SHARE, P_FLOOR = 0.005, 0.01, 0.0005
"""Meters: standard deviation of voltage [pu], and of power as a share of it but at least so much of the largest."""
ZERO_SIGMA = 1e-6
"""Standard deviation of what is known to be zero, as a share of the largest power."""
HEADER = ["kind", "place", "value", "sigma"]
_BUS = ("v", "va", "p", "q")


def estimated(
    grid: DmsGrid, path: Path | None, without: Sequence[str], seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]], Floats]:
    """Return what there is to say, a row per bus, and the voltages [node], nan where nobody sees them."""
    g = grid.compiled
    unseen = {grid.node(name) for name in without}
    measured = _read(grid, path) if path else _metered(grid, unseen, np.random.default_rng(seed))
    closed = grid.net.normal.copy()
    closed[grid.net.feed] = True
    whole = Branches(g.branch_from, g.branch_to, g.y_raw, g.shunt_y)
    root = int(g.roots[0])
    first = wls(switched(whole, closed), measured, root)
    wrong = misreported(whole, closed, g.branch_kind == "line", measured, first, root)
    state = closed if wrong is None else wrong.closed
    found, removed = identify(switched(whole, state), measured, root)
    hidden = set(found.unobservable.tolist()) | set(np.flatnonzero(~g.live).tolist())
    v_pu = np.where(np.isin(np.arange(g.n_nodes), list(hidden)), np.nan, np.abs(found.v))
    facts = {
        "grid": grid.name, "measurements": len(measured.value), "objective": found.objective,
        "chi_square_95": found.threshold, "plausible": found.plausible, "bad": [
            _named(grid, measured, int(k)) for k in removed],
        "switches_misreported": [] if wrong is None else [grid.branch(r) for r in wrong.rows],
        "unobservable": _areas(grid, hidden),
    }
    rows = [{"bus": grid.bus(n), "v_pu": float(v_pu[n]), "angle_deg": float(np.degrees(np.angle(found.v[n])))}
            for n in range(g.n_nodes) if n not in hidden]
    return facts, rows, v_pu


def _metered(grid: DmsGrid, unseen: set[int], rng: np.random.Generator) -> Measurements:
    """Meter every bus that is not in `unseen`: voltage and power, and the lines leaving the busbars."""
    import pandapower as pp

    g, net = grid.compiled, copy.deepcopy(grid.raw)
    p_mw, _ = g.nominal()
    scale = float(grid.s.real.sum() * g.base_mva / p_mw.sum()) if p_mw.sum() else 1.0
    net.load["scaling"] = net.load["scaling"] * scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pp.runpp(net, calculate_voltage_angles=True, numba=False)
        except Exception as err:
            raise GridError(f"grid {grid.name}: the power flow to be metered has no solution: {err}") from err
    s = grid.s
    largest = float(np.abs(s).max()) or 1.0
    rows: list[tuple[str, int, float, float]] = []
    for node in range(g.n_nodes):
        bus = int(g.node_bus[node])
        if node in unseen or not g.live[node]:
            continue
        if bus >= 0 and (s[node] != 0 or node in g.roots):
            rows.append(("v", node, float(net.res_bus.vm_pu[bus]), V_SIGMA))
        if node in g.roots:
            continue
        for kind, value in (("p", s[node].real), ("q", s[node].imag)):
            sigma = max(P_SHARE * abs(value), P_FLOOR * largest) if s[node] != 0 else ZERO_SIGMA * largest
            rows.append((kind, node, float(value), sigma))
    for row in np.flatnonzero(grid.net.normal & np.isin(g.branch_from, grid.net.anchor)):
        if g.branch_kind[row] != "line":
            continue
        for kind, column in (("p_from", "p_from_mw"), ("q_from", "q_from_mvar")):
            value = float(net.res_line[column][int(g.branch_element[row])]) / g.base_mva
            rows.append((kind, int(row), value, max(P_SHARE * abs(value), P_FLOOR * largest)))
    kinds, places, exact, sigmas = zip(*rows, strict=True)
    sigma = np.array(sigmas)
    noise = np.where(sigma > ZERO_SIGMA * largest * 1.001, sigma, 0.0) * rng.standard_normal(len(sigma))
    return Measurements(np.array(kinds), np.array(places, dtype=np.int64), np.array(exact) + noise, sigma)


def _read(grid: DmsGrid, path: Path) -> Measurements:
    """Read measurements: V in pu, angles in degrees, powers in MW and Mvar into the grid; flows at a line's ends.

    Raises
    ------
    GridError
        A line of the file is wrong; it is named with its number.
    """
    g = grid.compiled
    rows: list[tuple[str, int, float, float]] = []
    for where, line in lines_of(path, HEADER):
        kind = line[0].strip()
        if kind not in KINDS:
            raise GridError(f"{where}: kind '{kind}' is not one of {', '.join(KINDS)}{nearest(kind, KINDS)}")
        try:
            place = grid.node(line[1]) if kind in _BUS else grid.row(line[1])
        except GridError as err:
            raise GridError(f"{where}: {err}") from err
        try:
            value, sigma = float(line[2]), float(line[3])
        except ValueError as err:
            raise GridError(f"{where}: {err}") from err
        if not (np.isfinite(value) and np.isfinite(sigma) and sigma > 0):
            raise GridError(f"{where}: value and sigma are finite numbers, sigma above 0")
        unit = {"v": 1.0, "va": 180.0 / np.pi}.get(kind, g.base_mva)
        rows.append((kind, place, value / unit, sigma / unit))
    if not rows:
        raise GridError(f"{path}: holds no measurements")
    kinds, places, values, sigmas = zip(*rows, strict=True)
    return Measurements(np.array(kinds), np.array(places, dtype=np.int64), np.array(values), np.array(sigmas))


def _named(grid: DmsGrid, measured: Measurements, k: int) -> str:
    kind, place = str(measured.kind[k]), int(measured.place[k])
    where = f"bus {grid.bus(place)}" if kind in _BUS else grid.branch(place)
    return f"{kind} at {where} (measurement {k})"


def _areas(grid: DmsGrid, hidden: set[int]) -> list[str]:
    """Return the buses nobody sees, those that hang together as one area."""
    g = grid.compiled
    left, areas = set(hidden), []
    while left:
        area, edge = set(), [min(left)]
        while edge:
            node = edge.pop()
            if node not in left:
                continue
            left.discard(node)
            area.add(node)
            beside = np.concatenate((g.branch_to[(g.branch_from == node) & grid.net.normal],
                                     g.branch_from[(g.branch_to == node) & grid.net.normal]))
            edge += [int(n) for n in beside if n in left]
        areas.append(("buses " if len(area) > 1 else "bus ") + ", ".join(grid.bus(n) for n in sorted(area)))
    return areas
