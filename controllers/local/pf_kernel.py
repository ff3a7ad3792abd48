"""P(f) as passes over its units, compiled; the rules and the columns stand in `pf.py`."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def quiet(s: Any, f: Any, v: Any, over: Any, under: Any, off: Any, limit: Any) -> bool:
    """Tell whether nothing asks for an answer and nothing is remembered: the common case, worth a short cut."""
    for k in range(len(f)):
        calm = s.start_under_hz <= f[k] <= s.start_over_hz and s.trip_v_pu[0] <= v[k] <= s.trip_v_pu[1]
        if not calm or over[k] or under[k] or off[k] or limit[k] != np.inf:  # nan compares false
            return False
    return True


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def advance(
    s: Any, dt_s: float, f: Any, v: Any, p: Any, rated: Any, fed: Any, over: Any, under: Any, off: Any, frozen: Any,
    good_s: Any, calm_s: Any, limit: Any,
) -> None:
    """Move the memory on: frozen power, trips, timers, and the ceiling that rises after either.

    `fed` is what the units fed last.
    """
    for k in range(len(f)):
        is_over, is_under = f[k] > s.start_over_hz, f[k] < s.start_under_hz
        if (is_over and not over[k]) or (is_under and not under[k]):
            frozen[k] = min(p[k], limit[k])
        if over[k] and not is_over:
            limit[k] = min(limit[k], fed[k])
        over[k], under[k] = is_over, is_under
        trips = f[k] >= s.trip_high_hz or f[k] <= s.trip_low_hz or not s.trip_v_pu[0] <= v[k] <= s.trip_v_pu[1]
        good = s.back_low_hz < f[k] <= s.back_high_hz and s.back_v_pu[0] <= v[k] <= s.back_v_pu[1]
        good_s[k] = good_s[k] + dt_s if good and not trips else 0.0
        calm_s[k] = 0.0 if is_over else calm_s[k] + dt_s
        back = off[k] and good_s[k] >= s.wait_s and not trips
        off[k] = (off[k] or trips) and not back
        if off[k]:
            limit[k] = 0.0
            continue
        waited = good_s[k] - s.wait_s if back else calm_s[k] - s.release_s
        rises = min(max(waited, 0.0), dt_s) * s.return_share_per_s * rated[k]
        limit[k] = (0.0 if back else limit[k]) + rises
        if limit[k] >= rated[k]:
            limit[k] = np.inf


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def follow(
    s: Any, weight: float, f: Any, p: Any, avail: Any, over: Any, under: Any, off: Any, frozen: Any, limit: Any,
    shift: Any, out: Any,
) -> bool:
    """Set what units feed at the present frequency after their lag; tell whether any is off its power."""
    moved = False
    for k in range(len(f)):
        aim = min(p[k], limit[k])
        if over[k]:
            aim = min(aim, frozen[k] * max(1.0 - s.gradient_per_hz * (f[k] - s.start_over_hz), 0.0))
        if under[k]:
            rise = frozen[k] * s.gradient_per_hz * (s.start_under_hz - f[k])
            aim = min(aim + rise, max(avail[k], aim))
        shift[k] += (aim - p[k] - shift[k]) * weight
        if off[k]:
            shift[k] = -p[k]
        out[k] = p[k] + shift[k]
        moved |= abs(shift[k]) > 1e-12
    return moved


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def hold(
    s: Any, f: Any, p: Any, over: Any, off: Any, frozen: Any, limit: Any, shift: Any, out: Any, base: Any, swing: Any
) -> bool:
    """Set base and amplitude that meet the present frequency exactly; tell whether any unit is off its power."""
    moved = False
    for k in range(len(f)):
        top, cut = min(p[k], limit[k]), 0.0
        if over[k]:
            top, cut = min(top, frozen[k]), s.gradient_per_hz * max(f[k] - s.start_over_hz, 0.0)
        aim = min(top, frozen[k] * (1.0 - cut)) if over[k] else top
        if off[k]:
            base[k], swing[k], out[k] = 0.0, 0.0, 0.0
        else:
            base[k], swing[k], out[k] = top, max((top - aim) / cut if cut > 0.0 else top, 0.0), aim
        shift[k] = out[k] - p[k]
        moved |= abs(shift[k]) > 1e-12
    return moved


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def amplitude(share: Any, full: Any, up: Any, down: Any, swing: Any) -> None:
    """Set amplitudes that give `full` x share within the headroom; at no share the smaller of both ways counts."""
    for k in range(len(share)):
        size = abs(share[k])
        if size > 1e-9:
            swing[k] = min(full[k] * size, up[k] if share[k] > 0.0 else down[k]) / size
        else:
            swing[k] = min(full[k], min(up[k], down[k]))
