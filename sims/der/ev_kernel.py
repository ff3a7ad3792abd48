"""The loops over vehicles, compiled: what each can draw in a step, what it has drawn, and what a cluster can spare.

The first two pass over whoever is away, or full and not to feed back: on most of a day that is nearly everybody.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

VEHICLE = np.dtype(
    [
        ("arrival_ms", "i8"), ("departure_ms", "i8"), ("remaining_mwh", "f8"), ("e_mwh", "f8"), ("plug_mw", "f8"),
        ("battery_mwh", "f8"), ("limit_price", "f8"), ("cluster", "i4"), ("mode", "i1"), ("v2g", "i1"),
    ],
    align=True,
)
"""All of one vehicle side by side: those at work are few and far between, so each costs one line of memory."""

WISH, MUST, LIMIT, BACK, EXTRA, BOTH = range(6)
"""What a step plans: wished power, power that cannot wait, largest useful power, feeding back, charging beyond
need, reserve both ways [MW]; the last by cluster only."""


@nb.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def plan(
    now_ms: int, dt_ms: int, price: float, wakes_ms: Any, vehicles: Any, eta_c: float, eta_d: float, floor: float,
    ceiling: float, busy: Any, out: Any, total: Any,
) -> int:
    """Fill `total` [row, cluster] for the step from `now_ms` on; return how many vehicles have something to do.

    These, which `wakes_ms` [vehicle] lets in, come first in `busy`, rising, and their powers in `out` [place in busy,
    row]. The mode of `vehicles` is 0 at once, 1 by price (up to their limit), 2 spread over the stay.
    """
    total[:] = 0.0
    ends = now_ms + dt_ms
    hours = dt_ms / 3.6e6
    count = 0
    for i in range(len(wakes_ms)):
        busy[count] = i  # overwritten by the next one unless it counts: no branch to guess
        count += wakes_ms[i] < ends
    for k in range(count):
        car = vehicles[busy[k]]
        remaining, plug = car.remaining_mwh, car.plug_mw
        begin = max(car.arrival_ms, now_ms)
        inside = min(car.departure_ms, ends) - begin
        full = plug * inside / dt_ms
        need = remaining / (eta_c * hours)
        later_mwh = plug * max(car.departure_ms - ends, 0) / 3.6e6
        limit = min(full, need)
        must = min(max(need - later_mwh / hours, 0.0), limit)
        wish = limit
        if car.mode == 1 and price > car.limit_price:
            wish = must
        elif car.mode == 2:
            even = remaining / (eta_c * (car.departure_ms - begin) / 3.6e6) * (inside / dt_ms)
            wish = min(max(even, must), limit)
        c = car.cluster
        out[k, WISH], out[k, MUST], out[k, LIMIT] = wish, must, limit
        out[k, BACK], out[k, EXTRA] = 0.0, 0.0
        total[WISH, c] += wish
        total[MUST, c] += must
        total[LIMIT, c] += limit
        if car.v2g:
            held, full_mwh = car.e_mwh, car.battery_mwh
            spare = max(held - floor * full_mwh, 0.0) * eta_d / hours
            catch_up = max(later_mwh * eta_c - remaining, 0.0) * eta_d / hours
            most = min(full, max(ceiling * full_mwh - held, 0.0) / (eta_c * hours))
            back = min(full, min(spare, catch_up))
            extra = max(most - limit, 0.0)
            both = max(min(wish + back, most - wish), 0.0)
            out[k, BACK], out[k, EXTRA] = back, extra
            total[BACK, c] += back
            total[EXTRA, c] += extra
            total[BOTH, c] += both
    return count


@nb.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def book(
    p_mw: Any, hours: float, busy: Any, out: Any, total: Any, vehicles: Any, eta_c: float, eta_d: float,
    wakes_ms: Any, never_ms: int,
) -> None:
    """Share what each cluster drew, `p_mw` [cluster], among its vehicles and book the energy in place.

    Whoever has all that is wanted, and may not feed back, has nothing to do for the rest of the stay.
    """
    part = np.zeros((5, len(p_mw)))
    for c in range(len(p_mw)):
        must, wish, limit = total[MUST, c], total[WISH, c], total[LIMIT, c]
        part[0, c] = filled(p_mw[c], must)
        part[1, c] = filled(p_mw[c] - must, wish - must)
        part[2, c] = filled(p_mw[c] - wish, limit - wish)
        part[3, c] = filled(p_mw[c] - limit, total[EXTRA, c])
        part[4, c] = filled(-p_mw[c], total[BACK, c])
    for k in range(len(busy)):
        car = vehicles[busy[k]]
        c = car.cluster
        must, wish, limit = out[k, MUST], out[k, WISH], out[k, LIMIT]
        drawn = part[0, c] * must + part[1, c] * (wish - must) + part[2, c] * (limit - wish)
        drawn += part[3, c] * out[k, EXTRA]
        stored = (drawn * eta_c - part[4, c] * out[k, BACK] / eta_d) * hours
        remaining = max(car.remaining_mwh - stored, 0.0)
        car.e_mwh += stored
        car.remaining_mwh = remaining
        if remaining == 0.0 and not car.v2g:
            wakes_ms[busy[k]] = never_ms


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def reserve(drawn_mw: Any, total: Any, up: Any, down: Any) -> None:
    """Set by how much each cluster can draw less and more than `drawn_mw`, within its reserve both ways."""
    for c in range(len(drawn_mw)):
        both, most = total[BOTH, c], total[LIMIT, c] + total[EXTRA, c]
        up[c] = min(max(drawn_mw[c] + total[BACK, c], 0.0), both)
        down[c] = min(max(most - drawn_mw[c], 0.0), both)


@nb.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def filled(amount: float, whole: float) -> float:
    """Return how much of `whole` an amount fills, from 0 to 1; 0 where there is nothing to fill."""
    return min(max(amount / whole, 0.0), 1.0) if whole > 1e-12 else 0.0
