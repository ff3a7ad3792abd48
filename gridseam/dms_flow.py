"""Power flow, load allocation and distances behind ``gridseam dms``: facts, rows and values by node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from controllers.belief import DeviceBelief
from controllers.dms.gis import electrical_ohm, geojson, line_km, nearest_resources
from controllers.dms.load_estimation import allocate, supplied_by
from controllers.dms.network import Bools, Complexes, Floats
from controllers.dms.power_flow import OnlinePowerFlow, Solution
from gridseam.dms_csv import lines_of
from gridseam.dms_grid import DmsGrid
from sims.core.errors import GridError, nearest
from sims.der.profiles import Profiles

STEP_MS = 900_000
HEADER = ["bus", "p_mw", "q_mvar"]


def requested(grid: DmsGrid, closed: Bools) -> tuple[dict[str, Any], list[dict[str, Any]], Complexes]:
    """Return what there is to say about one power flow, a row a bus, and the voltages [node]."""
    found = OnlinePowerFlow(grid.net).at(0, closed, grid.s, np.ones(len(grid.net.anchor)), request=True)
    dark = np.flatnonzero((found.v == 0) & grid.compiled.live)
    facts = {"grid": grid.name, **_summary(found), "dark": [grid.bus(int(n)) for n in dark]}
    size, angle = np.abs(found.v), np.degrees(np.angle(found.v))
    rows = [{"bus": grid.bus(int(n)), "v_pu": float(size[n]), "angle_deg": float(angle[n])}
            for n in np.flatnonzero(found.v)]
    return facts, rows, found.v


def followed(
    grid: DmsGrid, closed: Bools, profiles: str, series: str, hours: float, period_min: float, change_mw: float
) -> tuple[dict[str, Any], list[dict[str, Any]], Complexes]:
    """Follow the loads by a profile; return a row for every time that the power flow was solved, and why."""
    table, column = profile(profiles, series)
    if hours * 3_600_000 >= table.end_ms:
        raise GridError(f"the profiles {profiles} cover {table.end_ms / 3.6e6:g} h, not {hours:g} h")
    flow = OnlinePowerFlow(grid.net, round(60_000 * period_min), change_mw / grid.compiled.base_mva)
    one, rows = np.ones(len(grid.net.anchor)), []
    steps = round(hours * 3_600_000) // STEP_MS
    last = None
    for k in range(steps + 1):
        found = flow.at(k * STEP_MS, closed, grid.s * table.at(k * STEP_MS)[column], one)
        if found is not last:
            rows.append({"time_h": k * STEP_MS / 3.6e6, "cause": found.cause, **_summary(found)})
        last = found
    assert last is not None
    facts = {"grid": grid.name, "series": series, "steps": steps + 1, "solved": flow.solved, **_summary(last)}
    return facts, rows, last.v


def profile(profiles: str, series: str) -> tuple[Profiles, int]:
    """Return a table of profiles and the column of a series, which may be told without its ``_p``."""
    from scenarios.shipped import profile_names, profile_path

    if profiles not in profile_names() and not profiles.endswith(".csv"):
        raise GridError(f"there is no week '{profiles}'{nearest(profiles, profile_names())}; there are "
                        f"{', '.join(profile_names())}, or a ./file.csv")
    table = Profiles.read(profile_path(profiles, Path()))
    if series not in (names := {name.removesuffix("_p") for name in table.names} | {*table.names}):
        raise GridError(f"'{series}' is not in the profiles {profiles}{nearest(series, sorted(names))}")
    return table, table.column(series if series in table.names else f"{series}_p")


def allocated(
    grid: DmsGrid, drawn: Sequence[str] | None, metered: Path | None
) -> tuple[dict[str, Any], list[dict[str, Any]], Floats]:
    """Return loads that add up to what the busbars give: facts, a row a bus, injections [node] [MW]."""
    net, base = grid.net, grid.compiled.base_mva
    top, one = net.topology(net.normal), np.ones(len(net.anchor))
    given: Complexes
    if drawn:
        if len(drawn) != len(net.anchor):
            raise GridError(f"grid {grid.name} has {len(net.anchor)} busbars, not {len(drawn)}")
        given = np.array([_power(text) for text in drawn], dtype=np.complex128) / base
    else:
        v = top.flow(grid.s, one)
        given = v[top.anchor] * np.conj(top.drawn(v)) - top.gathered(grid.s)[top.anchor]
    known: Complexes = np.full(grid.compiled.n_nodes, np.nan + 0j, dtype=np.complex128)
    for node, power in _metered(grid, metered).items():
        known[node] = power / base
    found = allocate(top, given, known, np.maximum(-grid.s.real, 0.0), one)
    below, connected = supplied_by(top), (grid.s != 0) | np.isfinite(known)
    rows = [
        {"bus": grid.bus(int(n)), "busbar": grid.bus(int(net.anchor[below[n]])), "p_mw": float(found.s[n].real * base),
         "q_mvar": float(found.s[n].imag * base), "source": "meter" if np.isfinite(known[n]) else "allocation"}
        for n in np.flatnonzero(connected & top.live)
    ]
    facts = {
        "grid": grid.name, "drawn_mw": float(given.real.sum() * base), "metered": int(np.isfinite(known).sum()),
        "losses_mw": float(found.losses_mw.sum()),
    }
    return facts, rows, found.s.real * base


def ranked(
    grid: DmsGrid, closed: Bools, at: str, most: int, out: Path | None
) -> tuple[dict[str, Any], list[dict[str, Any]], Floats]:
    """Return who acts most on a place: facts, a row a resource, mutual impedances [node] [ohm]."""
    net, node = grid.net, grid.node(at)
    top, devices, names = net.topology(closed), *_devices(grid)
    if not len(devices.index):
        raise GridError(f"grid {grid.name}: has no loads, plants or storages; there is nothing to rank")
    z_ohm = electrical_ohm(top, node)
    found = nearest_resources(top, devices, node, line_km(net), most=most)
    rows = [
        {"resource": names[r], "bus": grid.bus(int(devices.node[r])), "p_mw": float(devices.p_rated_mw[r]),
         "z_ohm": float(z), "way_km": float(km)}
        for r, z, km in zip(found.row.tolist(), found.z_ohm, found.way_km, strict=True)
    ]
    facts = {"grid": grid.name, "at": f"bus {grid.bus(node)}", "resources": len(devices.index)}
    if out is not None:
        try:
            out.write_text(json.dumps(geojson(net, top, nodes={"z_ohm": z_ohm.tolist()})), encoding="utf-8")
        except OSError as err:
            raise GridError(f"{out}: cannot be written: {err.strerror}") from err
        facts["geojson"] = str(out)
    return facts, rows, z_ohm


def _devices(grid: DmsGrid) -> tuple[DeviceBelief, list[str]]:
    """Return all that is connected as a register, and how each is called."""
    found = [
        (kind, int(k), grid.compiled.node(int(row.bus)), abs(float(row.p_mw)))
        for kind in ("load", "sgen", "storage", "gen") if kind in grid.raw
        for k, row in grid.raw[kind].iterrows() if bool(row.in_service) and int(row.bus) in grid.compiled.bus_node
    ]
    kind, index, node, p_mw = zip(*found, strict=True) if found else ((), (), (), ())
    size = np.array(p_mw, dtype=float)
    register = DeviceBelief(
        np.arange(len(found)), np.array(kind, dtype=str), np.array(node, dtype=np.int64), size, size,
        np.zeros(len(found)), np.ones(len(found), dtype=bool),
    )
    return register, [f"{k}:{i}" for k, i in zip(kind, index, strict=True)]


def _summary(found: Solution) -> dict[str, float]:
    size = np.abs(found.v[found.v != 0])
    return {"losses_mw": found.losses_mw, "v_min_pu": float(size.min()), "v_max_pu": float(size.max()),
            "loading_percent": float(found.loading_percent.max(initial=0.0))}


def _power(text: str) -> complex:
    try:
        p, q = (float(part) for part in text.split(","))
    except ValueError as err:
        raise GridError(f"'{text}' is no power of a busbar; give P,Q in MW,Mvar, such as 3.9,2.4") from err
    return complex(p, q)


def _metered(grid: DmsGrid, path: Path | None) -> dict[int, complex]:
    """Read what substations with a meter inject [MVA], by node; a wrong line is named with its number."""
    found = {}
    for where, (bus, p, q) in lines_of(path, HEADER) if path is not None else ():
        try:
            node, power = grid.node(bus), complex(float(p), float(q))
        except (ValueError, GridError) as err:
            raise GridError(f"{where}: {err}") from err
        if not np.isfinite(power):
            raise GridError(f"{where}: p_mw and q_mvar are finite numbers")
        found[node] = power
    return found
