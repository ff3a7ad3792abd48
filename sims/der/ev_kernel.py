"""The two loops over vehicles, compiled: what each can draw in a step, and what it has drawn."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WISH, MUST, LIMIT, BACK, EXTRA, BOTH = range(6)
"""Rows of the plan: wished power, power that cannot wait, largest useful power, feeding back, charging beyond
need, reserve both ways [MW]."""


@nb.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def plan(
    now_ms: int, dt_ms: int, cheap: Any, mode: Any, arrival_ms: Any, departure_ms: Any, remaining_mwh: Any,
    e_mwh: Any, plug_mw: Any, battery_mwh: Any, v2g: Any, cluster: Any,
    eta_c: float, eta_d: float, floor: float, ceiling: float, out: Any, total: Any, plugged: Any,
) -> None:
    """Fill `out` [row, vehicle] and `total` [row, cluster] for the step from `now_ms` on.

    `mode` is 0 at once, 1 by price (`cheap` says whether now is cheap for the vehicle), 2 spread over the stay.
    """
    out[:] = 0.0
    total[:] = 0.0
    ends = now_ms + dt_ms
    hours = dt_ms / 3.6e6
    for i in range(len(arrival_ms)):
        begin = max(arrival_ms[i], now_ms)
        inside = min(departure_ms[i], ends) - begin
        plugged[i] = inside > 0
        if inside <= 0:
            continue
        full = plug_mw[i] * inside / dt_ms
        need = remaining_mwh[i] / (eta_c * hours)
        later_mwh = plug_mw[i] * max(departure_ms[i] - ends, 0) / 3.6e6
        limit = min(full, need)
        must = min(max(need - later_mwh / hours, 0.0), limit)
        wish = limit
        if mode[i] == 1 and not cheap[i]:
            wish = must
        elif mode[i] == 2:
            even = remaining_mwh[i] / (eta_c * (departure_ms[i] - begin) / 3.6e6) * (inside / dt_ms)
            wish = min(max(even, must), limit)
        c = cluster[i]
        out[WISH, i], out[MUST, i], out[LIMIT, i] = wish, must, limit
        total[WISH, c] += wish
        total[MUST, c] += must
        total[LIMIT, c] += limit
        if v2g[i]:
            spare = max(e_mwh[i] - floor * battery_mwh[i], 0.0) * eta_d / hours
            catch_up = max(later_mwh * eta_c - remaining_mwh[i], 0.0) * eta_d / hours
            most = min(full, max(ceiling * battery_mwh[i] - e_mwh[i], 0.0) / (eta_c * hours))
            back = min(full, min(spare, catch_up))
            extra = max(most - limit, 0.0)
            both = max(min(wish + back, most - wish), 0.0)
            out[BACK, i], out[EXTRA, i], out[BOTH, i] = back, extra, both
            total[BACK, c] += back
            total[EXTRA, c] += extra
            total[BOTH, c] += both


@nb.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def book(
    p_mw: Any, hours: float, out: Any, total: Any, cluster: Any, eta_c: float, eta_d: float, e_mwh: Any,
    remaining_mwh: Any,
) -> None:
    """Share what each cluster drew, `p_mw` [cluster], among its vehicles and book the energy in place."""
    part = np.zeros((5, len(p_mw)))
    for c in range(len(p_mw)):
        must, wish, limit = total[MUST, c], total[WISH, c], total[LIMIT, c]
        part[0, c] = filled(p_mw[c], must)
        part[1, c] = filled(p_mw[c] - must, wish - must)
        part[2, c] = filled(p_mw[c] - wish, limit - wish)
        part[3, c] = filled(p_mw[c] - limit, total[EXTRA, c])
        part[4, c] = filled(-p_mw[c], total[BACK, c])
    for i in range(len(cluster)):
        c = cluster[i]
        must, wish, limit = out[MUST, i], out[WISH, i], out[LIMIT, i]
        drawn = part[0, c] * must + part[1, c] * (wish - must) + part[2, c] * (limit - wish)
        drawn += part[3, c] * out[EXTRA, i]
        stored = (drawn * eta_c - part[4, c] * out[BACK, i] / eta_d) * hours
        e_mwh[i] += stored
        remaining_mwh[i] = max(remaining_mwh[i] - stored, 0.0)


@nb.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def filled(amount: float, whole: float) -> float:
    """Return how much of `whole` an amount fills, from 0 to 1; 0 where there is nothing to fill."""
    return min(max(amount / whole, 0.0), 1.0) if whole > 1e-12 else 0.0
