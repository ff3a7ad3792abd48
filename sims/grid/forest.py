"""Radial grids of any shape side by side: one flat set of arrays, solved in one compiled pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sims.grid import forest_kernels as kernels
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.injections import CurveSet
from sims.grid.no_load import node_turns
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray
from sims.grid.radial import effective

STEPS = 12


@dataclass(frozen=True, eq=False)
class _Tree:
    """One topology in the order of its solution: nodes from the roots outwards, parents, links."""

    nodes: IntArray
    up: IntArray
    link: IntArray
    child_from: BoolArray
    place: IntArray
    n_roots: int
    turns: ComplexArray


class Forest:
    """Power flow of many feeders, each of its own topology, with flat arrays over nodes and branches.

    Each is solved by Newton's method on its tree, from where it stood, and tells with its power how that
    follows the voltage magnitude at the root and the frequency. A feeder that is meshed (`meshed`) is left
    to somebody else; its flows are read with the others'.

    Parameters
    ----------
    nets : sequence of CompiledNet
    curves : sequence of Curve
        Over voltage [pu].
    tolerance_pu : float
        Size of the last Newton step [pu].

    Attributes
    ----------
    v : ndarray of complex [flat node]
        Voltages [pu], 0 on dark nodes.
    live : ndarray of bool [flat node]
    power_mva, per_pu_mva, per_hz_mva : ndarray of complex [feeder]
        What the root gives, and its derivatives by |V| [1/pu] and by frequency [1/Hz]; rows of `root_mva`.
    """

    def __init__(self, nets: Sequence[CompiledNet], curves: Sequence[Curve], *, tolerance_pu: float = 1e-8) -> None:
        self.nets = list(nets)
        self.tolerance_pu = tolerance_pu
        self.node_start = starts([net.n_nodes for net in nets])
        self.branch_start = starts([net.n_branches for net in nets])
        self._curves = CurveSet.of(curves)
        n, b, w, h = int(self.node_start[-1]), int(self.branch_start[-1]), len(self.nets), len(curves)
        self.v: ComplexArray = np.ones(n, np.complex128)
        self.live: BoolArray = np.ones(n, bool)
        self.flow_mva: ComplexArray = np.zeros(b, np.complex128)
        self.loading_percent, self.loss_mw = np.zeros(b), np.zeros(w)
        self.root_mva = np.zeros((3, w), np.complex128)
        self.power_mva, self.per_pu_mva, self.per_hz_mva = self.root_mva
        self.converged: BoolArray = np.zeros(w, bool)
        self.iterations: IntArray = np.zeros(w, np.int64)
        self.meshed: BoolArray = np.zeros(w, bool)
        self.slots = [np.array([t.initial - int(t.positions[0]) for t in net.taps], np.int64) for net in nets]
        self._base = np.array([net.base_mva for net in nets])
        self._inv_base = 1.0 / self._base
        self._count = np.zeros(w, np.int64)
        self._started: BoolArray = np.zeros(w, bool)
        self._place, self._up = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        self._links, self._state, self._work = np.zeros((3, 6, n))
        self._fed = np.zeros((3, n))
        self._pa, self._qa = np.zeros((2, n, h))
        self._bent = np.zeros((2, n), np.int64)
        self.given: tuple[FloatArray, ...] = (*np.zeros((2, n)), *np.zeros((2, n, h)), np.zeros(n))
        self._stale = True
        self._y = np.zeros((4, b), np.complex128)
        self._shunt = np.zeros(n)
        self._from = np.concatenate([net.branch_from + s for net, s in zip(nets, self.node_start, strict=False)])
        self._to = np.concatenate([net.branch_to + s for net, s in zip(nets, self.node_start, strict=False)])
        self._rate_from = np.concatenate([net.rating_from for net in nets])
        self._rate_to = np.concatenate([net.rating_to for net in nets])
        for f, net in enumerate(self.nets):
            self.set_variant(f, net)

    def set_variant(self, feeder: int, net: CompiledNet) -> None:
        """Move one feeder to a variant of its grid; it starts anew from no load."""
        self.nets[feeder], self._stale = net, True
        at = slice(*self.node_start[feeder : feeder + 2].tolist())
        self.live[at], self._place[at] = net.live, -1
        self._started[feeder], self._count[feeder] = False, 0
        self.meshed[feeder] = not net.radial
        if net.radial:
            tree, start = _tree(net), at.start
            m = self._count[feeder] = len(tree.nodes)
            self._up[start : start + m] = np.where(tree.up >= 0, tree.up + start, -1)
            self._place[at] = np.where(net.live, tree.place[net.rep] + start, -1)
        self._admit(feeder)

    def set_taps(self, feeder: int, slots: IntArray) -> None:
        """Put the transformers of one feeder on `slots` [transformer], columns of their tap tables."""
        if not np.array_equal(slots, self.slots[feeder]):
            self.slots[feeder] = slots.copy()
            self._admit(feeder)

    def _admit(self, feeder: int) -> None:
        """Write the admittances of one feeder under its switch states and taps."""
        net = self.nets[feeder]
        y = np.array([net.y_ff, net.y_ft, net.y_tf, net.y_tt])
        for tap, slot in zip(net.taps, self.slots[feeder], strict=True):
            if slot != tap.initial - tap.positions[0]:
                for r, branch in enumerate(tap.branches):
                    y[:, branch] = effective(net, int(branch), tap.y[r][:, slot])
        self._y[:, self.branch_start[feeder] : self.branch_start[feeder + 1]] = y
        start, shunt = int(self.node_start[feeder]), np.where(net.live, net.shunt_y, 0.0)
        self._shunt[start : start + net.n_nodes] = shunt.real
        if not net.radial:
            return
        tree, rep, n = _tree(net), net.rep, net.n_nodes
        ends = np.concatenate((rep, rep[net.branch_from], rep[net.branch_to]))
        values = np.concatenate((shunt, y[0], y[3]))
        at, roots = slice(start, start + len(tree.nodes)), slice(start, start + tree.n_roots)
        link, first = tree.link, tree.child_from
        carried, back = np.where(first, y[2, link], y[1, link]), np.where(first, y[1, link], y[2, link])
        for part, of in enumerate((np.real, np.imag)):
            self._links[part, at] = np.bincount(ends, of(values), n)[tree.nodes]
            self._links[2 + part, at], self._links[4 + part, at] = of(carried), of(back)
        self._links[2:, roots] = 0.0

    def inject(
        self, p_mw: FloatArray, q_mvar: FloatArray, p_amp_mw: FloatArray, q_amp_mvar: FloatArray, p_per_hz: FloatArray,
    ) -> None:
        """Set what the nodes inject, generation positive.

        Parameters
        ----------
        p_mw, q_mvar : ndarray [flat node]
        p_amp_mw, q_amp_mvar : ndarray [flat node, curve]
            Injected times the curve's value at the node's own voltage, on top.
        p_per_hz : ndarray [flat node]
            Change of `p_mw` with frequency at the present one [MW/Hz]; asked for by `per_hz_mva` alone.
        """
        self.given = (p_mw, q_mvar, p_amp_mw, q_amp_mvar, p_per_hz)
        self._stale = True

    def solve(self, slack: ComplexArray, dhz: float = 0.0) -> BoolArray:
        """Solve all radial feeders at root voltages `slack` [feeder, pu]; returns converged[feeder].

        `dhz` is the change of frequency since the last solution [Hz], which the start follows.
        """
        self._newton(slack, dhz, STEPS)
        kernels.scatter(self.node_start[:-1], self.node_start, self._place, *self._state[:2], self.meshed, self.v)
        self.converged[self.meshed] = False
        self._started = self.converged.copy()
        return self.converged.copy()

    def foresee(self, slack: ComplexArray, dhz: float = 0.0) -> None:
        """Take one step towards the solution at root voltages `slack`: enough for a guess of power and its slopes."""
        self._newton(slack, dhz, 1)

    def _newton(self, slack: ComplexArray, dhz: float, most: int) -> None:
        for f in np.flatnonzero(~self._started & ~self.meshed):
            tree, start = _tree(self.nets[f]), int(self.node_start[f])
            at = slice(start, start + len(tree.nodes))
            cold = tree.turns * slack[f]
            self._state[:2, at], self._state[2:, at] = (cold.real, cold.imag), 0.0
        if self._stale:
            kernels.gather(
                self.node_start, self._place, self._inv_base, *self.given, self._fed, self._pa, self._qa, self._bent)
            self._stale = False
        c = self._curves
        kernels.solve(
            self.node_start[:-1], self._count, self._up, self._links, self._fed, self._pa, self._qa, self._bent, c.x,
            c.slope, c.start, slack, dhz, self._started, self._state, self._work, self.tolerance_pu, most, self._base,
            self.root_mva, self.converged, self.iterations)

    def adopt(self, feeder: int, v: ComplexArray) -> None:
        """Take the voltages `v` [node of the feeder, pu], found elsewhere; the next solution starts from them."""
        start = int(self.node_start[feeder])
        self.v[start : start + len(v)] = v
        if not self.meshed[feeder]:
            tree = _tree(self.nets[feeder])
            at = slice(start, start + len(tree.nodes))
            self._state[:2, at], self._state[2:, at] = (v[tree.nodes].real, v[tree.nodes].imag), 0.0
            self._started[feeder] = True

    def read(self) -> None:
        """Work out `flow_mva` and `loading_percent` [flat branch] and `loss_mw` [feeder] from `v`."""
        kernels.read(self.branch_start, self.node_start, self._from, self._to, self._y, self._rate_from,
                     self._rate_to, self._shunt, self._base, self.v, self.flow_mva, self.loading_percent, self.loss_mw)

    def get_state(self) -> dict[str, Any]:
        """Return the voltages, and where the next solution starts."""
        return {
            "v": self.v.copy(), "started": self._started.copy(), "state": self._state.copy(),
            "converged": self.converged.copy(), "root_mva": self.root_mva.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, with the variants and taps as they were."""
        self._started, self.converged = np.array(state["started"]), np.array(state["converged"])
        for held, name in ((self.v, "v"), (self._state, "state"), (self.root_mva, "root_mva")):
            held[...] = state[name]


@lru_cache(maxsize=1024)
def _tree(net: CompiledNet) -> _Tree:
    order = net.order
    heads = np.unique(net.rep[net.roots])
    rank = np.isin(order, heads)
    nodes = np.concatenate((order[rank], order[~rank]))
    place = np.full(net.n_nodes, -1, dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    up = place[net.parent[nodes]]
    up[: len(heads)] = -1
    link = net.parent_branch[nodes]
    return _Tree(
        nodes, up, link, net.rep[net.branch_from[link]] == nodes, place, len(heads), node_turns(net)[nodes],
    )


def starts(sizes: Sequence[int]) -> IntArray:
    """Return where each of some consecutive runs of `sizes` begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))]).astype(np.int64)
