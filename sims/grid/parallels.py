"""Transformers side by side as one, so that a radial grid is known as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_OWN = ("name", "hv_bus", "lv_bus", "parallel")


def merge_parallel_transformers(net: Any) -> int:
    """Make one of transformers of equal data between the same busbars, `parallel` times; returns how many went.

    The power flow and every loading stay what they were. Only transformers whose switches are closed are taken.
    """
    bus = {int(b): i for i, b in enumerate(net.bus.index)}
    joined = net.switch[(net.switch.et == "b") & net.switch.closed.astype(bool)]
    if "z_ohm" in joined:
        joined = joined[joined["z_ohm"].fillna(0).to_numpy(float) == 0]
    ends = np.array([[bus[int(a)], bus[int(b)]] for a, b in zip(joined.bus, joined.element, strict=True)], np.int64)
    ends = ends.reshape(-1, 2)
    _, at = connected_components(coo_matrix((np.ones(len(ends)), ends.T), (len(bus), len(bus))), directed=False)
    cut = net.switch[(net.switch.et == "t") & ~net.switch.closed.astype(bool)].element
    table = net.trafo[net.trafo.in_service.astype(bool) & ~net.trafo.index.isin(cut)]
    data = table.drop(columns=[c for c in _OWN if c in table]).astype(object)
    data = data.where(data.notna(), None)
    first: dict[tuple[Any, ...], int] = {}
    gone = []
    for index, row in zip(table.index, data.itertuples(index=False, name=None), strict=True):
        key = (at[bus[int(table.hv_bus.at[index])]], at[bus[int(table.lv_bus.at[index])]], *map(str, row))
        lead = first.setdefault(key, index)
        if lead != index:
            net.trafo.loc[lead, "parallel"] = int(net.trafo.parallel.at[lead]) + int(table.parallel.at[index])
            gone.append(index)
    net.trafo = net.trafo.drop(gone)
    net.switch = net.switch[~((net.switch.et == "t") & net.switch.element.isin(gone))]
    for about, kind in (("measurement", "element_type"),):
        frame = net.get(about)
        if isinstance(frame, pd.DataFrame) and len(frame):
            net[about] = frame[~((frame[kind] == "trafo") & frame.element.isin(gone))]
    return len(gone)
