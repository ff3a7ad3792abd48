"""Nodal admittances of a meshed grid in a fixed sparsity pattern, further roots folded into the first."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_matrix

from sims.grid.compiled import CompiledNet
from sims.grid.parts import ComplexArray, IntArray
from sims.grid.radial import effective


class NodalMatrix:
    """Y of one topology for solvers that know a single slack.

    A further root k is held at V_k = r V_ref, so its column joins the reference's with the factor r and its
    own equation, which only gives its power, is left out. That is exact.

    Parameters
    ----------
    compiled : CompiledNet
    """

    def __init__(self, compiled: CompiledNet) -> None:
        net = self._net = compiled
        roots = np.unique(net.rep[net.roots])
        self.reference = int(net.rep[net.roots[0]])
        self.folded: IntArray = roots[roots != self.reference]
        self.nodes: IntArray = net.order[~np.isin(net.order, self.folded)]
        place = np.full(net.n_nodes, -1, dtype=np.int64)
        place[self.nodes] = np.arange(len(self.nodes))
        place[self.folded] = place[self.reference]
        self.place: IntArray = np.where(net.live, place[net.rep], -1)
        own_row = np.zeros(net.n_nodes, dtype=bool)
        own_row[self.nodes] = True
        rep = net.rep
        f, t = rep[net.branch_from], rep[net.branch_to]
        every = np.arange(net.n_nodes)
        rows = np.concatenate((f, f, t, t, rep[every]))
        self._cols = np.concatenate((f, t, f, t, rep[every]))
        diagonal = rows == self._cols
        alive = np.concatenate((np.tile(net.joined, 4), np.ones(net.n_nodes, dtype=bool)))
        self._use = own_row[rows] & (self.place[self._cols] >= 0) & (alive | diagonal) & (self.place[rows] >= 0)
        self._folded_at = np.flatnonzero(np.isin(self._cols[self._use], self.folded))
        self._slots: IntArray | None = None
        n = len(self.nodes)
        key = self.place[self._cols[self._use]] * n + self.place[rows[self._use]]
        unique, self._slot = np.unique(key, return_inverse=True)
        indptr = np.searchsorted(unique // n, np.arange(n + 1)).astype(np.int32)
        self.matrix = csc_matrix(
            (np.zeros(len(unique), dtype=np.complex128), (unique % n).astype(np.int32), indptr), shape=(n, n)
        )

    def fill(self, slots: IntArray, ratio: ComplexArray) -> csc_matrix:
        """Return Y with the transformers on `slots` and the roots at `ratio` [node] times the reference.

        `ratio` is read at folded roots only. The matrix is one and the same object at every call.
        """
        if self._slots is None or not np.array_equal(slots, self._slots):
            self._slots = slots.copy()
            self._tabled(slots)
        self.matrix.data[:] = self._apart
        at = self._folded_at
        np.add.at(self.matrix.data, self._slot[at], self._of_folded * ratio[self._cols[self._use][at]])
        return self.matrix

    def _tabled(self, slots: IntArray) -> None:
        """Work out the entries on these `slots`; those in the columns of folded roots apart."""
        net = self._net
        y = np.array([net.y_ff, net.y_ft, net.y_tf, net.y_tt])
        for tap, slot in zip(net.taps, slots, strict=True):
            if slot != tap.initial - tap.positions[0]:
                for r, branch in enumerate(tap.branches):
                    y[:, branch] = effective(net, int(branch), tap.y[r][:, slot])
        data = np.concatenate((y[0], y[1], y[2], y[3], np.where(net.live, net.shunt_y, 0.0)))
        data = data[self._use]
        self._of_folded = data[self._folded_at]
        data[self._folded_at] = 0.0
        size = len(self.matrix.data)
        self._apart = np.bincount(self._slot, data.real, size) + 1j * np.bincount(self._slot, data.imag, size)
