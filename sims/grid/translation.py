"""From a pandapower net to arrays, by way of pandapower's own per-unit construction."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import _init_runpp_options
from pandapower.pd2ppc import _pd2ppc
from pandapower.pypower.idx_brch import F_BUS, T_BUS
from pandapower.pypower.idx_bus import BASE_KV, BS, GS, PD, QD
from pandapower.pypower.makeYbus import branch_vectors

from sims.grid.parts import ComplexArray, Elements, FloatArray, IntArray, Switches, TapTable
from sims.grid.sanitise import BRANCH_TABLES

_KINDS = (*BRANCH_TABLES, "switch")
_ENDS = {"line": ("from_bus", "to_bus"), "trafo": ("hv_bus", "lv_bus"), "impedance": ("from_bus", "to_bus"),
         "switch": ("bus", "element")}


def per_unit(net: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run pandapower's construction of the bus and branch matrices; returns (ppc, lookups)."""
    _init_runpp_options(
        net, algorithm="nr", calculate_voltage_angles=True, init="flat", max_iteration="auto",
        tolerance_mva=1e-8, trafo_model="t", trafo_loading="current", enforce_p_lims=False,
        enforce_q_lims=False, check_connectivity=False, voltage_depend_loads=False,
        consider_line_temperature=False, lightsim2grid=False, numba=False,
    )
    ppc, _ = _pd2ppc(net)
    return ppc, net._pd2ppc_lookups


def everything_on(net: Any) -> Any:
    """Copy a net with every branch and bus in service, every branch switch closed, and no loads.

    Ideal bus-bus switches are opened, so that each bus keeps a row of its own.
    """
    full = copy.deepcopy(net)
    for table in ("bus", *BRANCH_TABLES):
        full[table]["in_service"] = True
    ideal = full.switch["z_ohm"].fillna(0).to_numpy(float) == 0 if "z_ohm" in full.switch else True
    full.switch["closed"] = ~((full.switch["et"] == "b") & ideal)
    for table in ("load", "sgen", "storage"):
        full[table] = full[table].iloc[0:0]
    return full


def branches(net: Any, full: Any, ppc: dict[str, Any], lookups: dict[str, Any]) -> dict[str, Any]:
    """Return the branch arrays: kind, element, side, end buses, admittances, rating, in-service flags."""
    spans = {kind: lookups["branch"][kind] for kind in _KINDS if kind in lookups["branch"]}
    total = len(ppc["branch"])
    kind = np.full(total, "", dtype="U9")
    element, side = np.zeros(total, dtype=np.int64), np.zeros(total, dtype=np.int64)
    on = np.zeros(total, dtype=bool)
    amps = np.full((2, total), np.nan)
    base_mva = float(ppc["baseMVA"])
    ends = ppc["branch"][:, [F_BUS, T_BUS]].real.astype(np.int64)
    base_ka = base_mva / (np.sqrt(3.0) * ppc["bus"][:, BASE_KV].real[ends.T])
    for name, (start, stop) in spans.items():
        rows = slice(start, stop)
        table = full[name]
        if name == "switch":
            table = table[full._impedance_bb_switches]
            on[rows] = net.switch.loc[table.index, "closed"].to_numpy(bool)
        times = (stop - start) // max(len(table), 1)
        kind[rows] = name
        element[rows] = np.tile(table.index.to_numpy(np.int64), times)
        side[rows] = np.repeat(np.arange(times), len(table))
        if name != "switch":
            on[rows] = np.tile(net[name]["in_service"].to_numpy(bool), times)
        amps[:, rows] = _limits_ka(name, table)
    y_tt, y_ff, y_ft, y_tf = branch_vectors(ppc["branch"], total)
    return {
        "branch_kind": kind, "branch_element": element, "branch_side": side, "ends": ends, "on": on,
        "y_raw": np.array([y_ff, y_ft, y_tf, y_tt], dtype=np.complex128),
        "rating_from": amps[0] / base_ka[0], "rating_to": amps[1] / base_ka[1],
    }


def _limits_ka(kind: str, table: pd.DataFrame) -> FloatArray:
    """Return the current at 100 % loading at both ends [kA], by pandapower's definition of loading_percent."""
    def col(name: str, default: float = 1.0) -> FloatArray:
        return np.asarray(table[name], dtype=float) if name in table else np.full(len(table), default)

    if kind == "line":
        limit = col("max_i_ka", np.nan) * col("df") * col("parallel")
        return np.array([limit, limit])
    if kind == "trafo":
        s = col("sn_mva") * col("parallel") * col("df") / np.sqrt(3.0)
        return np.array([s / col("vn_hv_kv"), s / col("vn_lv_kv")])
    if kind == "trafo3w":
        hv, mv, lv = (col(f"sn_{w}_mva") / (np.sqrt(3.0) * col(f"vn_{w}_kv")) for w in ("hv", "mv", "lv"))
        none = np.full(len(table), np.inf)
        return np.array([np.concatenate((hv, none, none)), np.concatenate((none, mv, lv))])
    return np.full((2, len(table)), np.nan)


def buses(ppc: dict[str, Any]) -> tuple[FloatArray, ComplexArray, FloatArray, FloatArray]:
    """Return nominal voltage, shunt admittance [pu] and fixed injections (motors, wards, ...) by ppc bus."""
    bus = ppc["bus"]
    base = float(ppc["baseMVA"])
    vn_kv = np.array(bus[:, BASE_KV].real)
    return vn_kv, (bus[:, GS] + 1j * bus[:, BS]) / base, -bus[:, PD].real.copy(), -bus[:, QD].real.copy()


def elements(net: Any, bus_node: dict[int, int]) -> dict[str, Elements]:
    """Return the injecting elements by kind."""
    out = {}
    for kind, sign in (("load", -1.0), ("sgen", 1.0), ("storage", -1.0), ("gen", 1.0)):
        table = net[kind]
        on = table["in_service"].to_numpy(bool) & net.bus["in_service"].loc[table["bus"]].to_numpy(bool)
        scaling = table["scaling"].to_numpy(float)
        zero = np.zeros(len(table))

        def share(column: str, table: pd.DataFrame = table, kind: str = kind) -> FloatArray:
            if kind != "load" or column not in table:
                return np.zeros(len(table))
            return np.asarray(table[column].fillna(0), dtype=float) / 100.0

        out[kind] = Elements(
            kind, table.index.to_numpy(np.int64),
            np.array([bus_node[int(b)] for b in table["bus"]], dtype=np.int64), sign,
            np.where(on, sign * table["p_mw"].to_numpy(float) * scaling, 0.0),
            np.where(on, sign * table["q_mvar"].to_numpy(float) * scaling, 0.0) if "q_mvar" in table else zero,
            scaling, on, share("const_z_p_percent"), share("const_i_p_percent"), share("const_z_q_percent"),
            share("const_i_q_percent"),
            table["vm_pu"].to_numpy(float) if kind == "gen" else np.full(len(table), np.nan),
        )
    return out


def switches(net: Any, built: dict[str, Any], bus_node: dict[int, int]) -> Switches:
    """Return the switch table with each switch's place in the branch arrays."""
    table = net.switch
    row = {(k, int(e), int(s)): i for i, (k, e, s) in
           enumerate(zip(built["branch_kind"], built["branch_element"], built["branch_side"], strict=True))}
    n = len(table)
    branch, end = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    far = np.full(n, -1, dtype=np.int64)
    for i, (index, bus, element, et) in enumerate(
        zip(table.index, table["bus"], table["element"], table["et"], strict=True)
    ):
        if et == "b":
            far[i] = bus_node[int(element)]
            branch[i] = row.get(("switch", int(index), 0), -1)
            continue
        kind = {"l": "line", "t": "trafo", "t3": "trafo3w"}[et]
        if kind == "trafo3w":
            winding = [net.trafo3w.at[element, f"{w}_bus"] for w in ("hv", "mv", "lv")].index(bus)
            branch[i], end[i] = row[(kind, int(element), winding)], 0 if winding == 0 else 1
        else:
            branch[i], end[i] = row[(kind, int(element), 0)], int(net[kind].at[element, _ENDS[kind][0]] != bus)
    types = [str(t) if isinstance(t, str) else "" for t in table["type"]]
    return Switches(
        table.index.to_numpy(np.int64), table["bus"].to_numpy(np.int64), table["element"].to_numpy(np.int64),
        table["et"].to_numpy(str), np.array(types, dtype=str), table["closed"].to_numpy(bool),
        branch, end, np.array([bus_node[int(b)] for b in table["bus"]], dtype=np.int64), far,
    )


def tap_tables(full: Any, built: dict[str, Any], bus_node: dict[int, int]) -> tuple[TapTable, ...]:
    """Return one table per transformer, two-winding first, in pandapower's order.

    Every position is put through pandapower's construction on a net of transformers alone.
    """
    small = copy.deepcopy(full)
    for table in ("line", "impedance", "switch", "shunt", "ward", "motor", "gen"):
        small[table] = small[table].iloc[0:0]
    if not len(small.ext_grid):
        pp.create_ext_grid(small, int(small.bus.index[0]))
    spans: list[tuple[str, int, int, IntArray]] = []
    original = {kind: small[kind] for kind in ("trafo", "trafo3w")}
    for kind, table in original.items():
        for column in ("tap_pos", "tap_neutral", "tap_min", "tap_max", "tap_step_percent", "tap_changer_type"):
            if column not in table:
                table[column] = None if column == "tap_changer_type" else np.nan
        places = [_places(table.loc[index]) for index in table.index]
        # One row for every position of every transformer: the whole table in a single construction.
        rows = np.repeat(np.arange(len(table)), [len(p) for p in places])
        copies = table.iloc[rows].reset_index(drop=True)
        if len(copies):
            moving = np.repeat([len(p) > 1 for p in places], [len(p) for p in places])
            copies["tap_pos"] = np.where(moving, np.concatenate(places), copies["tap_pos"].to_numpy(float))
        small[kind] = copies
        starts = np.cumsum([0, *(len(p) for p in places)])
        spans += [(kind, int(i), int(s), p) for i, s, p in zip(table.index, starts, places, strict=False)]
    if not spans:
        return ()
    ppc, lookups = per_unit(small)
    y_tt, y_ff, y_ft, y_tf = branch_vectors(ppc["branch"], len(ppc["branch"]))
    y = np.array([y_ff, y_ft, y_tf, y_tt])
    out = []
    for kind, index, start, where in spans:
        row = original[kind].loc[index]
        first, last = lookups["branch"][kind]
        count = len(small[kind])
        at = first + start + count * np.arange((last - first) // count)[:, None] + np.arange(len(where))
        now, neutral, percent = (float(row[c]) for c in ("tap_pos", "tap_neutral", "tap_step_percent"))
        out.append(TapTable(
            kind, index, np.nonzero((built["branch_kind"] == kind) & (built["branch_element"] == index))[0], where,
            round(now) if np.isfinite(now) else int(where[0]), round(neutral) if np.isfinite(neutral) else 0,
            percent if np.isfinite(percent) and len(where) > 1 else 0.0,
            row["tap_side"] if isinstance(row.get("tap_side"), str) else "",
            bus_node[int(row["hv_bus"])], bus_node[int(row["lv_bus"])],
            np.ascontiguousarray(y[:, at].transpose(1, 0, 2)),
        ))
    return tuple(out)


def _places(row: Any) -> IntArray:
    """Return the tap positions of one transformer; the present one alone where it has no tap changer."""
    low, high, now = (float(row[c]) for c in ("tap_min", "tap_max", "tap_pos"))
    if isinstance(row["tap_changer_type"], str) and np.isfinite(now) and np.isfinite(low) and np.isfinite(high):
        return np.arange(round(min(low, now)), round(max(high, now)) + 1, dtype=np.int64)
    return np.array([round(now) if np.isfinite(now) else 0], dtype=np.int64)


def positions(net: Any, buses: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return longitude and latitude by node, NaN where the net has none."""
    lon, lat = np.full(len(buses), np.nan), np.full(len(buses), np.nan)
    if "geo" not in net.bus:
        return lon, lat
    for node, bus in enumerate(buses):
        text = net.bus["geo"].get(bus) if bus >= 0 else None
        if isinstance(text, str) and text:
            lon[node], lat[node] = (float(c) for c in json.loads(text)["coordinates"][:2])
    return lon, lat
