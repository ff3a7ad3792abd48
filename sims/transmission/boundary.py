"""What the distribution grids draw at their interfaces, and how that is expected to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.grid.exchange import Exchange
from sims.transmission.quasi_steady import Response

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]


@dataclass
class Held:
    """What interfaces draw between two solutions of their feeders: a line over voltage, less what devices answer.

    Arrays [interface]: what the feeders drew at the voltages `v_pu` [MVA], its slope [MVA/pu], and what the devices
    have fed in since, because frequency has moved [MW]. Of frequency itself the line knows nothing.
    """

    drawn_mva: Complexes
    per_pu: Complexes
    v_pu: Floats
    der_mw: Floats

    def __post_init__(self) -> None:
        self.per_hz = np.zeros_like(self.per_pu)

    def expected(self, v_pu: Floats, df_hz: Floats | float = 0.0) -> Complexes:
        """Return what is drawn at these voltages, whatever the deviation [MVA]."""
        del df_hz
        out: Complexes = self.drawn_mva - self.der_mw + self.per_pu * (v_pu - self.v_pu)
        return out


class Boundary:
    """The exchanges of one instant, and a linear expectation from them.

    The distribution grids tell with their power how it follows voltage and frequency, so that the expectation
    is off by no more than the curvature of what they draw. Where devices stand at a corner of their
    characteristic the slope on one side may lead to the other and back: from the `patience`-th exchange of a
    grid in one instant on, the secant of the last two (Broyden's method with a diagonal) replaces the slope over
    voltage, and the steeper side that over frequency. Wrong expectations cost iterations, never accuracy: an
    instant stays closed only if what is drawn was expected within the tolerance. `most_per_pu` bounds what is
    believed of a secant.
    """

    least_dv_pu = 2e-6
    most_df_hz = 1e-5
    most_per_pu = 300.0
    patience = 3

    def __init__(self, count: int, f_nominal_hz: float) -> None:
        self.s_mva, self.per_pu, self.per_hz = np.zeros((3, count), np.complex128)
        self._v_pu, self._df_hz = np.ones(count), np.zeros(count)
        self._f0 = f_nominal_hz
        self._exchanges = np.zeros(count, np.int64)

    def open(self) -> None:
        """Begin an instant: what is told from now on holds for it."""
        self._exchanges[:] = 0

    def expected(self, v_pu: Floats, df_hz: Floats | float) -> Complexes:
        """Return what the interfaces are expected to draw at these voltages and this deviation [MVA]."""
        out: Complexes = self.s_mva + self.per_pu * (v_pu - self._v_pu) + self.per_hz * (df_hz - self._df_hz)
        return out

    def take(self, at: Ints, told: Exchange) -> None:
        """Take what the distribution grid with the interfaces `at` has told."""
        per_pu, per_hz, df_hz = told.per_pu, told.per_hz, told.f_hz - self._f0
        if self._exchanges[at[0]] >= self.patience:
            dv, df = told.v_pu - self._v_pu[at], df_hz - self._df_hz[at]
            per_hz = np.where(per_hz.real > self.per_hz[at].real, per_hz, self.per_hz[at])
            moved = (np.abs(dv) > self.least_dv_pu) & (np.abs(df) < self.most_df_hz)
            change = told.s_mva - self.s_mva[at] - per_hz * df
            secant = np.divide(change, dv, out=per_pu.copy(), where=moved)
            per_pu = np.where(np.abs(secant) < self.most_per_pu, secant, per_pu)
        self._exchanges[at] += 1
        self.s_mva[at], self.per_pu[at], self.per_hz[at] = told.s_mva, per_pu, per_hz
        self._v_pu[at], self._df_hz[at] = told.v_pu, df_hz

    def contraction(self, response: Response) -> float:
        """Return rho = |dV/dS dS/dV|, by which an exchange of voltages and powers alone would shrink an error.

        At 1 the feeders answer voltage as strongly as the grid gives way to what they draw.
        """
        loop = response.v_by_p * self.per_pu.real + response.v_by_q * self.per_pu.imag
        return float(np.abs(np.linalg.eigvals(loop)).max(initial=0.0))

    def get_state(self) -> dict[str, Any]:
        """Return the last exchange of every interface with its slopes."""
        return {
            "s_mva": self.s_mva.copy(), "per_pu": self.per_pu.copy(), "per_hz": self.per_hz.copy(),
            "v_pu": self._v_pu.copy(), "df_hz": self._df_hz.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.s_mva, self.per_pu = np.array(state["s_mva"]), np.array(state["per_pu"])
        self.per_hz, self._v_pu, self._df_hz = (np.array(state[name]) for name in ("per_hz", "v_pu", "df_hz"))
