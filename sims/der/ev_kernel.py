"""The loops over vehicles, compiled: what each can draw in a step, what it has drawn, and what a cluster can spare.

The first two pass over whoever is away, or full and not to feed back: on most of a day that is nearly everybody. Who
is full and may feed back rests: what such a vehicle offers is the same from step to step, and kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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

RESTS_MS = 2**61
"""When whoever rests wakes: not by itself."""


class Resting(NamedTuple):
    """Vehicles that rest, in the first places of each array: which, their cluster, until when, and what they offer.

    `offer` is [place, feeding back | charging beyond need | both ways], in MW; `number` is how many they are.
    """

    who: NDArray[np.int64]
    cluster: NDArray[np.int32]
    until_ms: NDArray[np.int64]
    offer: Array
    number: NDArray[np.int64]

    @classmethod
    def of(cls, vehicles: int) -> Resting:
        """Return room for all of them, none of whom rests."""
        whole, few = np.zeros((2, vehicles), dtype=np.int64), np.zeros(vehicles, dtype=np.int32)
        return cls(whole[0], few, whole[1], np.zeros((vehicles, 3)), np.zeros(1, dtype=np.int64))


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def rouse(ends_ms: int, wakes_ms: Any, resting: Any) -> None:
    """Wake whoever cannot rest until `ends_ms`; forget whoever has woken."""
    kept = 0
    for k in range(resting.number[0]):
        i = resting.who[k]
        if wakes_ms[i] != RESTS_MS:
            continue
        if resting.until_ms[k] < ends_ms:
            wakes_ms[i] = 0
            continue
        if kept < k:
            resting.who[kept], resting.cluster[kept] = i, resting.cluster[k]
            resting.until_ms[kept] = resting.until_ms[k]
            resting.offer[kept, 0], resting.offer[kept, 1] = resting.offer[k, 0], resting.offer[k, 1]
            resting.offer[kept, 2] = resting.offer[k, 2]
        kept += 1
    resting.number[0] = kept


@nb.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def plan(
    now_ms: int, dt_ms: int, price: float, wakes_ms: Any, vehicles: Any, eta_c: float, eta_d: float, floor: float,
    ceiling: float, busy: Any, out: Any, total: Any, resting: Any,
) -> int:
    """Fill `total` [row, cluster] for the step from `now_ms` on; return how many vehicles have something to do.

    These, which `wakes_ms` [vehicle] lets in, come first in `busy`, rising, and their powers in `out` [place in busy,
    row]; not so those that are `resting`, or begin to. The mode of `vehicles` is 0 at once, 1 by price (up to their
    limit), 2 spread over the stay.
    """
    total[:] = 0.0
    ends = now_ms + dt_ms
    hours = dt_ms / 3.6e6
    rouse(ends, wakes_ms, resting)
    awake = 0
    for i in range(len(wakes_ms)):
        busy[awake] = i  # overwritten by the next one unless it counts: no branch to guess
        awake += wakes_ms[i] < ends
    count = 0
    for place in range(awake):
        i, k = busy[place], count
        car = vehicles[i]
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
        back = extra = both = 0.0
        if car.v2g:
            held, full_mwh = car.e_mwh, car.battery_mwh
            spare = max(held - floor * full_mwh, 0.0) * eta_d / hours
            catch_up = max(later_mwh * eta_c - remaining, 0.0) * eta_d / hours
            most = min(full, max(ceiling * full_mwh - held, 0.0) / (eta_c * hours))
            back = min(full, min(spare, catch_up))
            extra = max(most - limit, 0.0)
            both = max(min(wish + back, most - wish), 0.0)
            if remaining == 0.0 and inside == dt_ms and plug > 0.0 and catch_up > min(full, spare):
                lead_ms = back * hours / (eta_c * eta_d * plug) * 3.6e6  # nearer to the end that much comes to bind
                until_ms = car.departure_ms - np.int64(lead_ms) - 2 * dt_ms
                if ends <= until_ms:
                    wakes_ms[i] = RESTS_MS
                    j = resting.number[0]
                    resting.who[j], resting.cluster[j], resting.until_ms[j] = i, c, until_ms
                    resting.offer[j, 0], resting.offer[j, 1], resting.offer[j, 2] = back, extra, both
                    resting.number[0] = j + 1
                    continue
        busy[k] = i
        count += 1
        out[k, WISH], out[k, MUST], out[k, LIMIT], out[k, BACK], out[k, EXTRA] = wish, must, limit, back, extra
        total[WISH, c] += wish
        total[MUST, c] += must
        total[LIMIT, c] += limit
        total[BACK, c] += back
        total[EXTRA, c] += extra
        total[BOTH, c] += both
    for k in range(resting.number[0]):
        c = resting.cluster[k]
        total[BACK, c] += resting.offer[k, 0]
        total[EXTRA, c] += resting.offer[k, 1]
        total[BOTH, c] += resting.offer[k, 2]
    return count


@nb.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def book(
    p_mw: Any, hours: float, busy: Any, out: Any, total: Any, vehicles: Any, eta_c: float, eta_d: float,
    wakes_ms: Any, never_ms: int, resting: Any,
) -> None:
    """Share what each cluster drew, `p_mw` [cluster], among its vehicles and book the energy in place.

    Whoever has all that is wanted, and may not feed back, has nothing to do for the rest of the stay. Who rests goes on
    resting unless the cluster feeds back, or draws more than is needed.
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
    for k in range(resting.number[0]):
        c = resting.cluster[k]
        if part[3, c] == 0.0 and part[4, c] == 0.0:
            continue
        stored = (part[3, c] * resting.offer[k, 1] * eta_c - part[4, c] * resting.offer[k, 0] / eta_d) * hours
        if stored != 0.0:
            i = resting.who[k]
            vehicles[i].e_mwh += stored
            vehicles[i].remaining_mwh = max(vehicles[i].remaining_mwh - stored, 0.0)
            wakes_ms[i] = 0


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
