"""Newton's method for one meshed grid: lightsim2grid's to begin with, a kept Jacobian from there on."""

from __future__ import annotations

import numpy as np
from lightsim2grid.algorithm import NRSing_KLU
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from sims.grid import meshed_kernels as kernels
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray


class Newton:
    """Finds the voltages at which the nodes of one grid inject what they should, all per unit.

    The first solution is lightsim2grid's, by KLU. Those that follow begin at the last one as a rule and need no
    Jacobian of their own: the chord method (Ortega and Rheinboldt, Iterative Solution of Nonlinear Equations in
    Several Variables, 1970, section 7.1) keeps the factors of one, to the same mismatch, as long as it closes in
    fast. Where that leads nowhere, lightsim2grid begins again.

    Parameters
    ----------
    matrix : csc_matrix
        Nodal admittances, diagonal entries included; values may change later on, the pattern may not.
    reference : int
    pv : ndarray of int
        Nodes whose magnitude stays what it is at the start.
    tolerance : float
        Largest remaining mismatch.

    Attributes
    ----------
    iterations : int
        Steps to the last solution.
    """

    def __init__(self, matrix: csc_matrix, reference: int, pv: IntArray, tolerance: float) -> None:
        n = matrix.shape[0]
        self._matrix, self._reference, self._tolerance = matrix, reference, tolerance
        self._held: BoolArray = np.zeros(n, dtype=bool)
        self._held[pv] = True
        pq = np.flatnonzero(~self._held & (np.arange(n) != reference))
        self._sorted = (np.array([reference], np.int32), np.eye(1, n, reference)[0], pv.astype(np.int32),
                        pq.astype(np.int32))
        self._solver = NRSing_KLU()
        self._elimination: Elimination | None = None
        self._near = self._kept = False
        self.iterations = 0

    def solve(self, v: ComplexArray, s: ComplexArray) -> ComplexArray | None:
        """Return the voltages at which the nodes inject `s`, found from the start `v`; None if there are none."""
        if self._near and ((self._kept and self._follow(v, s, kept=True)) or self._follow(v, s, kept=False)):
            return v
        self._kept = False
        try:
            self._near = self._solver.solve(self._matrix, v, s, *self._sorted, kernels.MOST_STEPS, self._tolerance)
        except RuntimeError:
            self._near = False
        if not self._near:
            self._solver.reset()
            return None
        self.iterations = int(self._solver.get_nb_iter())
        return np.array(self._solver.get_V())

    def _follow(self, v: ComplexArray, s: ComplexArray, *, kept: bool) -> bool:
        """Move `v` to the solution; leaves it where it is if that fails."""
        if self._elimination is None:
            self._elimination = Elimination(self._matrix, self._reference)
        y, way = self._matrix, self._elimination
        self.iterations = kernels.follow(y.indptr, y.indices, y.data, way.number, way.node, self._held, way.begin,
                                         way.row, way.diagonal, way.lu, kept, s, self._tolerance, v)
        self._kept = self.iterations > 0
        return self._kept


class Elimination:
    """In which order the nodes of a grid are eliminated, so that little fills in, and what does.

    Attributes
    ----------
    node, number : ndarray of int
        Node by its place in that order, and back; -1 for the reference, which is none of them.
    begin, row, diagonal : ndarray of int
        Columns of the factors L and U in one, by ascending row, and where the diagonal stands.
    lu : ndarray [entry, 4]
        Room for their 2 x 2 blocks.
    """

    def __init__(self, matrix: csc_matrix, reference: int) -> None:
        n = matrix.shape[0]
        others = np.flatnonzero(np.arange(n) != reference)
        pattern = matrix[others][:, others]
        pattern.data = 1.0 + np.cos(np.arange(pattern.nnz))  # any values whose sums and products do not cancel
        pattern.setdiag(float(n))
        found = splu(pattern, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        self.node: IntArray = others[np.argsort(found.perm_c)]
        self.number: IntArray = np.full(n, -1)
        self.number[self.node] = np.arange(n - 1)
        filled = (abs(found.L) + abs(found.U)).tocsc()
        filled.sort_indices()
        self.begin, self.row = filled.indptr, filled.indices
        self.diagonal: IntArray = np.flatnonzero(self.row == np.repeat(np.arange(n - 1), np.diff(self.begin)))
        self.lu: FloatArray = np.empty((self.row.size, 4))
