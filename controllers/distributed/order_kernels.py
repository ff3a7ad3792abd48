"""What is done for each device of an area at every look, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@njit(cache=True)  # type: ignore[untyped-decorator]
def filled(room: Floats, total: float) -> Floats:
    """Return what each gives of `total` when the first is used up before the next; nan where nothing is asked."""
    share = np.full(room.size, np.nan)
    asked, reached = abs(total), 0.0
    for k in range(room.size):
        reached += room[k]
        part = min(max(asked - (reached - room[k]), 0.0), room[k])
        if part > 1e-9:
            share[k] = math.copysign(part, total)
    return share


@njit(cache=True)  # type: ignore[untyped-decorator]
def news(
    want: Floats, told: Floats, until_s: Floats, renew_s: Floats, dead: Floats, now_s: float
) -> tuple[Bools, Bools, bool]:
    """Return which devices must be told, which are wished or told anything at all, and whether any must be told.

    A device must be told where a set-point begins, ends, has moved by more than `dead`, or is to be renewed.
    """
    fresh, involved = np.zeros(want.size, dtype=np.bool_), np.zeros(want.size, dtype=np.bool_)
    some = False
    for k in range(want.size):
        wants, holds = math.isfinite(want[k]), until_s[k] > now_s and math.isfinite(told[k])
        moved = wants and holds and abs(want[k] - told[k]) > dead[k]
        fresh[k] = wants != holds or moved or (wants and renew_s[k] <= now_s)
        involved[k] = wants or holds
        some = some or fresh[k]
    return fresh, involved, some
