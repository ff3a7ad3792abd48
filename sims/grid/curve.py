"""A characteristic as data: breakpoints of a quantity against voltage or frequency."""

from __future__ import annotations

from dataclasses import dataclass

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
        return np.interp(at, self.x, self.y)
