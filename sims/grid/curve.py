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

    A characteristic has a handful of points: a plain pass a segment is several times as fast as a search a value.
    """
    out = np.empty(len(at))
    for i in range(len(at)):
        out[i] = at[i] if np.isnan(at[i]) else y[0]
    for j in range(len(x) - 1):
        begin, value, slope = x[j], y[j], (y[j + 1] - y[j]) / (x[j + 1] - x[j])
        for i in range(len(at)):
            out[i] = slope * (at[i] - begin) + value if at[i] >= begin else out[i]
    end, value = x[-1], y[-1]
    for i in range(len(at)):
        out[i] = value if at[i] >= end else out[i]
    return out
