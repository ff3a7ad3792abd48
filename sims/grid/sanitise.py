"""Nets as people hand them over, made fit for compiling; what cannot be made fit is refused by name."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from sims.core.errors import GridError

BRANCH_TABLES = ("line", "trafo", "trafo3w", "impedance")
INJECTING = ("load", "sgen", "storage", "gen", "ext_grid", "motor", "asymmetric_load", "asymmetric_sgen", "ward")
UNSUPPORTED = ("xward", "dcline", "svc", "ssc", "tcsc", "vsc", "vsc_stacked", "vsc_bipolar", "line_dc", "b2b_vsc")
_HEAVY = ("profiles", "loadcases", "studycases", "controller", "output_writer")
_NEEDED: dict[str, tuple[str, ...]] = {
    "bus": ("vn_kv",),
    "line": ("length_km", "r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "parallel", "df"),
    "trafo": ("sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent", "parallel"),
    "trafo3w": ("sn_hv_mva", "sn_mv_mva", "sn_lv_mva", "vn_hv_kv", "vn_mv_kv", "vn_lv_kv",
                "vk_hv_percent", "vk_mv_percent", "vk_lv_percent"),
    "impedance": ("rft_pu", "xft_pu", "rtf_pu", "xtf_pu", "sn_mva"),
    "load": ("p_mw", "q_mvar", "scaling"),
    "sgen": ("p_mw", "q_mvar", "scaling"),
    "storage": ("p_mw", "q_mvar", "scaling"),
    "gen": ("p_mw", "vm_pu", "scaling"),
    "ext_grid": ("vm_pu", "va_degree"),
    "shunt": ("p_mw", "q_mvar", "step"),
}
_BUS_COLUMNS: dict[str, tuple[str, ...]] = {
    "line": ("from_bus", "to_bus"), "trafo": ("hv_bus", "lv_bus"), "trafo3w": ("hv_bus", "mv_bus", "lv_bus"),
    "impedance": ("from_bus", "to_bus"), "switch": ("bus",), "shunt": ("bus",),
    **dict.fromkeys(INJECTING, ("bus",)),
}
_SWITCHED = {"l": "line", "t": "trafo", "t3": "trafo3w", "b": "bus"}


def sanitised(net: Any) -> Any:
    """Return a lean copy of a pandapower net: no profiles, no results, numbers as float.

    Transformers with tap data but without `tap_changer_type` get ``Ratio``: pandapower >= 3 would
    otherwise ignore their taps without a word.
    """
    lean = pp.create_empty_network(name=str(net.get("name", "")), f_hz=float(net.get("f_hz", 50.0)))
    for key, value in net.items():
        if str(key).startswith(("res_", "_ppc", "_is", "_pd2ppc", "_options")) or key in _HEAVY:
            continue
        lean[key] = value.copy() if isinstance(value, pd.DataFrame) else copy.deepcopy(value)
    for table, columns in _NEEDED.items():
        frame = lean.get(table)
        if not isinstance(frame, pd.DataFrame):
            continue
        for column in columns:
            if column in frame:
                frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    for table in ("trafo", "trafo3w"):
        frame = lean.get(table)
        if isinstance(frame, pd.DataFrame) and len(frame):
            _sanitise_taps(frame)
    for table in (*BRANCH_TABLES, *INJECTING, "bus", "shunt"):
        frame = lean.get(table)
        if isinstance(frame, pd.DataFrame) and "in_service" in frame:
            frame["in_service"] = frame["in_service"].astype(bool)
    lean.switch["closed"] = lean.switch["closed"].astype(bool)
    lean.user_pf_options = {}
    return lean


def _sanitise_taps(frame: pd.DataFrame) -> None:
    for column in ("tap_pos", "tap_neutral", "tap_min", "tap_max", "tap_step_percent", "tap_step_degree"):
        if column in frame:
            frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    if "tap_step_percent" not in frame or "tap_pos" not in frame:
        return
    kind = frame["tap_changer_type"].astype(object) if "tap_changer_type" in frame else pd.Series(None, frame.index)
    unset = kind.isna() | kind.isin(["", "None", "nan"])
    has_data = frame["tap_step_percent"].fillna(0).ne(0) & frame["tap_pos"].notna()
    if "tap_phase_shifter" in frame:
        has_data &= ~frame["tap_phase_shifter"].fillna(False).astype(bool)
    frame["tap_changer_type"] = kind.where(~(unset & has_data), "Ratio")


def check(net: Any, name: str) -> None:
    """Refuse a net that cannot be solved, with every fault found.

    Raises
    ------
    GridError
        Missing slack, NaN parameter, unknown bus or element, zero impedance, unsupported element.
    """
    faults: list[str] = []
    buses = set(net.bus.index)
    if not len(net.bus):
        raise GridError(f"net {name}: has no buses")
    slack = net.ext_grid["in_service"].any() if len(net.ext_grid) else False
    if not slack and len(net.gen) and "slack" in net.gen:
        slack = bool((net.gen["slack"].fillna(False).astype(bool) & net.gen["in_service"]).any())
    if not slack:
        faults.append("has no ext_grid in service: nothing holds the voltage; add pp.create_ext_grid(net, bus)")
    for table in UNSUPPORTED:
        frame = net.get(table)
        if isinstance(frame, pd.DataFrame) and len(frame) and frame["in_service"].any():
            faults.append(f"{table} {frame.index[0]}: this element is not supported; see docs/elements.md")
    for table, columns in _NEEDED.items():
        frame = net.get(table)
        if not isinstance(frame, pd.DataFrame) or not len(frame):
            continue
        used = frame[frame["in_service"]] if "in_service" in frame and table not in BRANCH_TABLES else frame
        for column in columns:
            if column not in used:
                faults.append(f"{table}: column {column} is missing")
                continue
            values = used[column].to_numpy(float)
            faults += [f"{table} {index}: {column} is {value}"
                       for index, value in zip(used.index, values, strict=True) if not np.isfinite(value)][:5]
    for table, names in _BUS_COLUMNS.items():
        frame = net.get(table)
        if not isinstance(frame, pd.DataFrame):
            continue
        for column in names:
            faults += [f"{table} {index}: {column} {bus} is not in the bus table"
                       for index, bus in frame[column].items() if bus not in buses][:5]
    for index, et, element in zip(net.switch.index, net.switch.et, net.switch.element, strict=True):
        if et not in _SWITCHED or element not in net[_SWITCHED[et]].index:
            faults.append(f"switch {index}: {_SWITCHED.get(et, f'et {et!r}')} {element} does not exist")
    seen: dict[int, tuple[float, float]] = {}
    for index, row in net.ext_grid[net.ext_grid["in_service"].astype(bool)].iterrows():
        at = (float(row["vm_pu"]), float(row["va_degree"]))
        if np.isfinite(at).all() and seen.setdefault(int(row["bus"]), at) != at:
            faults.append(f"ext_grid {index}: another ext_grid on bus {int(row['bus'])} sets a different voltage; "
                          "give them one set-point")
    lines = net.line
    if len(lines):
        z = np.hypot(lines.r_ohm_per_km.to_numpy(float), lines.x_ohm_per_km.to_numpy(float))
        zero = lines.index[(z * lines.length_km.to_numpy(float)) == 0]
        faults += [f"line {i}: impedance is zero; use a bus-bus switch instead" for i in zero[:5]]
    if faults:
        raise GridError("\n".join(f"net {name}: {fault}" for fault in faults))
