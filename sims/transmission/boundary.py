"""What the distribution grids draw at their interfaces, and how that is expected to change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Boundary:
    """The exchanges of one instant, and a linear expectation between them.

    The distribution grids tell with their power how it follows voltage and frequency, so that the expectation
    is off by no more than the curvature of what they draw; the first guess of an instant is the straight line
    through the last two. Where devices stand at a corner of their characteristic the slope on one side may
    lead to the other and back: from the `patience`-th exchange of an instant on, the secant of the last two
    (Broyden's method with a diagonal) replaces the slope over voltage, and the steeper side that over
    frequency. Wrong expectations cost iterations, never accuracy: an instant closes only on an exchange that
    was expected within the tolerance. `most_per_pu` bounds what is believed of a secant.
    """

    least_dv_pu = 2e-6
    most_df_hz = 1e-5
    most_per_pu = 300.0
    patience = 3

    def __init__(self, count: int) -> None:
        self.s_mva, self.per_pu, self.per_hz = np.zeros((3, count), np.complex128)
        self._v_pu = np.ones(count)
        self._df_hz = 0.0
        self._settled: list[Complexes] = []
        self._exchanges = 0

    def open(self) -> None:
        """Begin an instant with the straight line through the last two."""
        self._exchanges = 0
        if len(self._settled) == 2:
            self.s_mva = 2 * self._settled[1] - self._settled[0]

    def close(self) -> None:
        """End an instant: what was exchanged last is what it came to."""
        self._settled = [*self._settled[-1:], self.s_mva.copy()]

    def expected(self, v_pu: Floats, df_hz: float) -> Complexes:
        """Return what the interfaces are expected to draw at these voltages and this deviation [MVA]."""
        out: Complexes = self.s_mva + self.per_pu * (v_pu - self._v_pu) + self.per_hz * (df_hz - self._df_hz)
        return out

    def take(self, s_mva: Complexes, per_pu: Complexes, per_hz: Complexes, v_pu: Floats, df_hz: float) -> None:
        """Take an exchange with its slopes [MVA/pu, MVA/Hz], which was answered at `v_pu` and `df_hz`."""
        dv, df = v_pu - self._v_pu, df_hz - self._df_hz
        if self._exchanges >= self.patience:
            per_hz = np.where(per_hz.real > self.per_hz.real, per_hz, self.per_hz)
            if abs(df) < self.most_df_hz:
                moved = np.abs(dv) > self.least_dv_pu
                secant = np.divide(s_mva - self.s_mva - per_hz * df, dv, out=per_pu.copy(), where=moved)
                per_pu = np.where(np.abs(secant) < self.most_per_pu, secant, per_pu)
        self._exchanges += 1
        self.s_mva, self.per_pu, self.per_hz = s_mva.copy(), per_pu.copy(), per_hz.copy()
        self._v_pu, self._df_hz = v_pu.copy(), df_hz

    def begin_at(self, v_pu: Floats, df_hz: float) -> None:
        """Say at which voltages and deviation the first guess of an instant holds."""
        self._v_pu, self._df_hz = v_pu.copy(), df_hz

    def get_state(self) -> dict[str, Any]:
        """Return the last exchange, its slopes, and the last two instants."""
        return {
            "s_mva": self.s_mva.copy(), "per_pu": self.per_pu.copy(), "per_hz": self.per_hz.copy(),
            "v_pu": self._v_pu.copy(), "df_hz": self._df_hz, "settled": [s.copy() for s in self._settled],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.s_mva, self.per_pu = np.array(state["s_mva"]), np.array(state["per_pu"])
        self.per_hz, self._v_pu = np.array(state["per_hz"]), np.array(state["v_pu"])
        self._df_hz, self._settled = state["df_hz"], [np.array(s) for s in state["settled"]]
