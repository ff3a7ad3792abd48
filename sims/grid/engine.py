"""What every power-flow engine offers, whatever runs underneath."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PowerFlow(Protocol):
    """A power flow over one or many grids of equal topology.

    Powers are injections in MW and Mvar, voltages per unit; arrays are [node, feeder] and [branch, feeder], and
    [node] and [branch] from `MeshedPowerFlow`, which solves a single grid. A grid that did not converge has
    NaN, never an older solution.
    """

    def set(self, kind: str, field: str, values: ArrayLike) -> None:
        """Write a column of a pandapower element table, in pandapower's own units and signs."""
        ...

    def set_slack(self, v: ArrayLike) -> None:
        """Hold the roots at the complex voltage `v` [pu], one value per feeder."""
        ...

    def set_tap(self, trafo: int, position: ArrayLike) -> None:
        """Put transformer number `trafo` (a row of `CompiledNet.taps`) on `position`."""
        ...

    def solve(self) -> NDArray[np.bool_] | bool:
        """Solve for the present inputs, starting from the last solution; returns converged, by feeder."""
        ...

    @property
    def vm(self) -> NDArray[np.float64]:
        """Voltage magnitude [pu]."""
        ...

    @property
    def va(self) -> NDArray[np.float64]:
        """Voltage angle [rad]."""
        ...

    @property
    def loading_percent(self) -> NDArray[np.float64]:
        """Branch loading as pandapower defines it [%]."""
        ...

    def export(self, feeder: int = 0) -> Any:
        """Return a pandapower net in the present state of one feeder."""
        ...
