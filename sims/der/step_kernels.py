"""Passes over all devices that a step makes once each, compiled: from profiles and reports to what devices can feed."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scaled(profile: Any, column: Any, scaling: Any, without: float, out: Any) -> None:
    """Set the value of each device's series times its scaling; `without` stands for a series there is not."""
    for k in range(len(column)):
        out[k] = (profile[column[k]] if column[k] >= 0 else without) * scaling[k]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spread(values: Any, index: Any, out: Any, or_zero: bool) -> None:
    """Put `values` where `index` says in `out`; with `or_zero` what is no number becomes 0: there is no supply."""
    for k in range(len(index)):
        value = values[k]
        out[index[k]] = 0.0 if or_zero and np.isnan(value) else value


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def supplied(v_pu: Any, dark_pu: float, lit: Any, v_known: Any) -> None:
    """Tell who has supply, and fill `v_known` with the voltages, 1 in the dark."""
    for k in range(len(v_pu)):
        lit[k] = v_pu[k] > dark_pu
        v_known[k] = v_pu[k] if lit[k] else 1.0


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def added(place: Any, values: Any, out: Any) -> Any:
    """Add up the values in `out` by place, and return it."""
    for k in range(len(values)):
        out[place[k]] += values[k]
    return out


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def reach(p: Any, generates: Any, avail: Any, up: Any, down: Any) -> None:
    """Set by how much generation can rise and fall; of all else what is available is what it feeds, in place."""
    for k in range(len(p)):
        avail[k], down[k] = avail[k] if generates[k] else p[k], p[k] if generates[k] else 0.0
        up[k] = avail[k] - p[k]


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def inside(p: Any, q: Any, swing: Any, s_rated: Any, q_first: bool) -> None:
    """Keep P, Q and the amplitude of Q inside the apparent power, in place; the rule is that of `inverter.circle`."""
    for k in range(len(p)):
        s = s_rated[k]
        if q_first:
            free = min(swing[k], max(s - abs(q[k]), 0.0))
            most = min(abs(q[k]) + free, s)
            room = np.sqrt(s * s - most * most)
            p[k] = min(max(p[k], -room), room)
            swing[k] = free
        else:
            p[k] = min(max(p[k], -s), s)
            room = np.sqrt(s * s - p[k] * p[k])
            q[k] = min(max(q[k], -room), room)
            swing[k] = min(swing[k], max(room - abs(q[k]), 0.0))


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def within(at: Any, low: float, high: float) -> bool:
    """Tell whether all of `at` lie from `low` to `high`."""
    outside = False
    for k in range(len(at)):
        outside |= not low <= at[k] <= high
    return not outside


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def farthest(shift: Any, peak: Any) -> None:
    """Keep in `peak`, in place, whatever lies farther from 0."""
    for k in range(len(shift)):
        if abs(shift[k]) > abs(peak[k]):
            peak[k] = shift[k]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def by_place(place: Any, moved: Any, size: Any, signed: Any, count: Any) -> None:
    """Add up, by place, the sizes of what moved, what moved, and how many of them did."""
    for k in range(len(moved)):
        if moved[k] != 0.0:
            size[place[k]] += abs(moved[k])
            signed[place[k]] += moved[k]
            count[place[k]] += 1


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def crossing(size: Any, active: Any, threshold: float, now: Any) -> bool:
    """Set who is active `now`: above the threshold, or still above half of it; tell whether that is a change."""
    changed = False
    for k in range(len(size)):
        now[k] = size[k] > (0.5 * threshold if active[k] else threshold)
        changed |= now[k] != active[k]
    return changed
