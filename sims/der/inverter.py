"""What an inverter does to a wish: apparent-power circle with priority, ramps, caps on active power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def circle(p_mw: Array, q_mvar: Array, s_rated_mva: Array, *, q_first: bool = False) -> tuple[Array, Array]:
    """Return P and Q inside P^2 + Q^2 <= S^2 [MW, Mvar], shapes as given.

    With active power first (default) Q yields, with `q_first` P yields (IEEE 1547-2018, 4.6 and 5.3).
    """
    if q_first:
        q = np.clip(q_mvar, -s_rated_mva, s_rated_mva)
        room = np.sqrt(s_rated_mva**2 - q**2)
        return np.clip(p_mw, -room, room), q
    p = np.clip(p_mw, -s_rated_mva, s_rated_mva)
    room = np.sqrt(s_rated_mva**2 - p**2)
    return p, np.clip(q_mvar, -room, room)


def capped(p_mw: Array, p_max_mw: Array) -> Array:
    """Return P with its magnitude limited to `p_max_mw` (>= 0) [MW]; infinity does not limit.

    One cap serves both signs: feed-in of generation, consumption of flexible demand.
    """
    return np.clip(p_mw, -p_max_mw, p_max_mw)


def ramped(before_mw: Array, wish_mw: Array, rate_mw_per_s: Array, dt_s: float) -> Array:
    """Return the wish as far as it can be reached from `before_mw` in `dt_s` [MW]."""
    reach = rate_mw_per_s * dt_s
    return np.clip(wish_mw, before_mw - reach, before_mw + reach)
