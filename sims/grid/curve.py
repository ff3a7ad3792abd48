"""A characteristic as data: breakpoints of a quantity against voltage or frequency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from sims.core.errors import GridError


@dataclass(frozen=True)
class Curve:
    """Piecewise-linear characteristic, constant beyond its ends.

    A device contributes amplitude x curve(x): MW or Mvar times a dimensionless value.

    Parameters
    ----------
    name : str
    x : tuple of float
        Breakpoints, strictly rising [pu] or [Hz].
    y : tuple of float
        Values there [1].
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or len(self.x) < 2:
            raise GridError(f"curve {self.name}: needs as many values as breakpoints, at least two")
        if any(b <= a for a, b in zip(self.x, self.x[1:], strict=False)):
            raise GridError(f"curve {self.name}: breakpoints must rise")

    def __call__(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value at each of `at`, of its shape."""
        x, y = self._points
        out: NDArray[np.float64] = along(np.ravel(at), x, y).reshape(np.shape(at))
        return out

    @cached_property
    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.x, dtype=np.float64), np.array(self.y, dtype=np.float64)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def along(at: Any, x: Any, y: Any) -> Any:
    """Return the value of the characteristic through `x`, `y` at each of `at`: as ``np.interp``, to the last bit.

    A characteristic has a handful of points, so that looking from the first on is several times as fast.
    """
    out = np.empty(len(at))
    last = len(x) - 1
    slope = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
    for i in range(len(at)):
        v = at[i]
        if v <= x[0]:
            out[i] = y[0]
        elif v >= x[last]:
            out[i] = y[last]
        else:
            j = 0
            while j < last - 1 and v >= x[j + 1]:
                j += 1
            out[i] = slope[j] * (v - x[j]) + y[j]
    return out
