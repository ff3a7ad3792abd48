"""Sums by index, the one reduction every simulator needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def summed(index: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return, for each of 0 .. `count` - 1, the sum of the `values` whose `index` it is."""
    out: NDArray[np.float64] = np.bincount(index, values, count).astype(np.float64, copy=False)
    return out
