"""Flows between cells from the voltages at both ends of the tie-lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.transmission.case import MachineCase

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Ties:
    """The branches that join two cells of a case.

    A cell's export is what leaves it at its own ends of the ties, so that the losses on a tie belong to
    neither cell.
    """

    def __init__(self, case: MachineCase) -> None:
        a, b = case.branch_from, case.branch_to
        self.rows = np.flatnonzero(case.bus_cell[a] != case.bus_cell[b])
        self._a, self._b = a[self.rows], b[self.rows]
        self._cell_a, self._cell_b = case.bus_cell[self._a], case.bus_cell[self._b]
        r, x, charging, tap, shift = (
            case.branch[k][self.rows] for k in ("r_pu", "x_pu", "b_pu", "tap", "shift_deg")
        )
        y = 1 / (r + 1j * x)
        t = tap * np.exp(1j * np.deg2rad(shift))
        self._y_tt = y + 0.5j * charging
        self._y_ff = self._y_tt / tap**2
        self._y_ft, self._y_tf = -y / np.conj(t), -y / t
        self._base_mva, self._n_cells = case.base_mva, len(case.cells)

    def flows(self, v: Complexes) -> tuple[Floats, Floats]:
        """Return the power into each tie at its from and its to end [MW]."""
        va, vb = v[self._a], v[self._b]
        s_from = va * np.conj(self._y_ff * va + self._y_ft * vb) * self._base_mva
        s_to = vb * np.conj(self._y_tf * va + self._y_tt * vb) * self._base_mva
        return s_from.real, s_to.real

    def exports(self, v: Complexes) -> Floats:
        """Return what each cell sends out over all its ties [MW]."""
        p_from, p_to = self.flows(v)
        return summed(self._cell_a, p_from, self._n_cells) + summed(self._cell_b, p_to, self._n_cells)
