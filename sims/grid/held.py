"""One grid of any shape, held at its boundary and solved by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.parts import ComplexArray, FloatArray, IntArray

MOST_SOLUTIONS = 8


class HeldGrid:
    """A grid with one or several infeeds; what its nodes inject may follow their own voltages.

    Parameters
    ----------
    net : CompiledNet
    nodes : sequence of int
        Roots held by others, in the order of the voltages and powers exchanged there.
    tolerance_mva : float
        What injections that follow the voltage may be apart from it; the power flow is a tenth as exact.

    Attributes
    ----------
    engine : MeshedPowerFlow
    """

    def __init__(self, net: CompiledNet, nodes: Sequence[int], tolerance_mva: float) -> None:
        self.tolerance_mva = tolerance_mva
        self.engine = MeshedPowerFlow(net, tolerance_mva=max(tolerance_mva / 10, 1e-8))
        self._root: IntArray = np.array([int(np.flatnonzero(net.roots == node)[0]) for node in nodes], np.int64)
        self._head: IntArray = np.unique(net.rep[net.roots], return_inverse=True)[1][self._root]
        self._at_one: ComplexArray = np.zeros(net.n_nodes, np.complex128)
        self._per_pu: ComplexArray | None = None

    def inject(self, p_mw: FloatArray, q_mvar: FloatArray, per_pu_mva: ComplexArray | None) -> None:
        """Inject `p_mw`, `q_mvar` [node] at 1 pu, which change with |V| by `per_pu_mva` [1/pu]."""
        self._per_pu = per_pu_mva if per_pu_mva is not None and per_pu_mva.any() else None
        self._at_one = p_mw + 1j * q_mvar
        self.engine.set_injection(p_mw, q_mvar)

    def draw(self, v: ComplexArray) -> ComplexArray | None:
        """Return what the grid draws at the boundary voltages `v` [MVA]; None without a solution."""
        held = np.ones(self.engine.compiled.roots.size, np.complex128)
        held[self._root] = v
        self.engine.set_slack(held)
        return self.engine.root_mva[self._head] if self._solve() else None  # in the order of their nodes

    def _solve(self) -> bool:
        if self._per_pu is None:
            return self.engine.solve()
        vm = self.engine.vm
        now = self._at_one + self._per_pu * np.where(np.isfinite(vm), vm - 1.0, 0.0)  # lost last time: from 1 pu
        for _ in range(MOST_SOLUTIONS):
            self.engine.set_injection(now.real, now.imag)
            if not self.engine.solve():
                return False
            was, now = now, self._at_one + self._per_pu * (self.engine.vm - 1.0)
            if np.abs(now - was).max() < self.tolerance_mva:
                return True
        return False
