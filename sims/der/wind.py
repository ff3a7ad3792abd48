"""Wind turbines: what the wind offers, from a power profile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def available(p_rated_mw: Array, share: Array) -> Array:
    """Return available active power [MW], shape [device]; own consumption at standstill is left to loads."""
    return p_rated_mw * np.clip(share, 0.0, 1.0)
