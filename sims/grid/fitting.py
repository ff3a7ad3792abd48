"""A net made to fit into another one: its nominal voltages, and numbers that are free there."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sims.grid.sanitise import INJECTING

ENDS = {
    "line": ("from_bus", "to_bus"), "impedance": ("from_bus", "to_bus"), "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus"), "switch": ("bus", "element"),
}
"""The columns of a table that name buses."""
SWITCHED = {"l": "line", "t": "trafo", "t3": "trafo3w"}
AT_BUS = (*INJECTING, "shunt")


def rebase(net: Any, k: float, per_f: float) -> None:
    """Multiply all nominal voltages by `k`, the frequency by 1/`per_f`, and leave per-unit quantities as they are."""
    net.line["c_nf_per_km"] *= per_f
    for table, columns, power in (
        ("bus", ("vn_kv",), 1), ("trafo", ("vn_hv_kv", "vn_lv_kv"), 1), ("shunt", ("vn_kv",), 1),
        ("trafo3w", ("vn_hv_kv", "vn_mv_kv", "vn_lv_kv"), 1), ("switch", ("z_ohm",), 2),
        ("line", ("r_ohm_per_km", "x_ohm_per_km"), 2), ("line", ("c_nf_per_km", "g_us_per_km"), -2),
        ("line", ("max_i_ka",), -1),
    ):
        for column in columns:
            if column in net[table]:
                net[table][column] = net[table][column] * k**power


def renumber(own: Any, joined: Any, moved: dict[int, int]) -> None:
    """Give `own` numbers that are free in `joined`; the buses in `moved` get the ones given."""
    others = [int(b) for b in own.bus.index if int(b) not in moved]
    shift = 0 if not set(others) & set(joined.bus.index) else int(joined.bus.index.max()) + 1 - min(others)
    bus_of = moved | {b: b + shift for b in others}
    for table in (*ENDS, *AT_BUS):
        frame = own.get(table)
        if not isinstance(frame, pd.DataFrame) or not len(frame) or table == "switch":
            continue
        for column in ENDS.get(table, ("bus",)):
            frame[column] = frame[column].map(bus_of)
    switch, shifts = own.switch, {}
    for table in (*ENDS, *AT_BUS):
        frame = own.get(table)
        if isinstance(frame, pd.DataFrame) and len(frame):
            clash = len(frame.index.intersection(joined[table].index))
            shifts[table] = int(joined[table].index.max()) + 1 - int(frame.index.min()) if clash else 0
            frame.index = frame.index + shifts[table]
    if len(switch):
        switch["bus"] = switch["bus"].map(bus_of)
        switch["element"] = [
            bus_of[int(e)] if et == "b" else int(e) + shifts.get(SWITCHED[et], 0)
            for e, et in zip(switch.element, switch.et, strict=True)
        ]
    own.bus.index = own.bus.index.map(bus_of)
