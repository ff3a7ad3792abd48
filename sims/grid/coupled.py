"""A transmission grid and the distribution grids below it, solved side by side until their boundary agrees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.grid.forest import Forest
from sims.grid.held import HeldGrid
from sims.grid.kin import compiled_kin
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.mixing import Mixing
from sims.grid.partition import Cut, consumption
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray
from sims.grid.topology import below

RISE = Curve("rise", (0.0, 2.0), (-1.0, 1.0))
"""Of an injection that follows the voltage in proportion."""


@dataclass(frozen=True)
class Settled:
    """How a solution came about: rounds, and what is left at the boundary [pu], [MVA]."""

    rounds: int
    residual_pu: float
    residual_mva: float


class CoupledPowerFlow:
    """Power flow of a cut net without joining it: voltages downwards, powers upwards, repeated.

    Radial grids are solved together, those of one net as a fleet; how their power follows the voltage is taken into
    account by the transmission grid, so that two rounds do. All other grids are solved one by one and accelerated
    over all boundaries at once (`Mixing`), so that grids with several infeeds settle as well; what one solution
    teaches serves the next. Taps stand still meanwhile. A transmission grid that is cut itself is coupled in turn, to
    the same tolerance.

    Parameters
    ----------
    cut : Cut
    tolerance_pu, tolerance_mva : float
        What may be left at each boundary, and at each node above of all boundaries there.

    Attributes
    ----------
    upper : MeshedPowerFlow or CoupledPowerFlow
    fleets : tuple of (FleetPowerFlow, int array)
        Grids of the same net, and their numbers in ``cut.lower``.
    forest : Forest or None
        The other radial grids, a tree for each of their boundaries, numbered as in `forest_parts`.
    single : dict of int to HeldGrid
        The rest, by their number.
    settled : Settled
        How the last solution came about.
    """

    inner_steps, most_rounds = 8, 50
    least_fleet, least_rise_pu = 16, 1e-4

    def __init__(self, cut: Cut, *, tolerance_pu: float = 1e-6, tolerance_mva: float = 1e-4) -> None:
        self.cut, self.tolerance_pu, self.tolerance_mva = cut, tolerance_pu, tolerance_mva
        self._closely = max(tolerance_mva / 100, 1e-8)
        self.upper: MeshedPowerFlow | CoupledPowerFlow
        if isinstance(cut.upper, Cut):
            self.upper = CoupledPowerFlow(cut.upper, tolerance_pu=tolerance_pu, tolerance_mva=tolerance_mva)
        else:
            self.upper = MeshedPowerFlow(CompiledNet.from_net(cut.upper, f"{cut.name}, transmission"),
                                         tolerance_mva=self._closely)
        node = self.upper.node if isinstance(self.upper, CoupledPowerFlow) else self.upper.compiled.node
        self._node = np.array([node(above) for _, above, _ in cut.boundaries], np.int64)
        self.s_mva: ComplexArray = np.array(
            [consumption(part.net) / len(part.boundary) for part in cut.lower for _ in part.boundary], np.complex128)
        self.own_mva: ComplexArray = (
            self.upper.nominal_mva() if isinstance(self.upper, CoupledPowerFlow) else _nominal(self.upper.compiled))
        np.add.at(self.own_mva, self._node, self.s_mva)  # less the loads that stand for the grids below
        self.v: ComplexArray = np.ones(self._node.size, np.complex128)
        self._past = Mixing(self.v.size)
        self._bends: BoolArray = (
            self.upper.follows[self._node] if isinstance(self.upper, CoupledPowerFlow) else np.zeros(self.v.size, bool))
        self._told: ComplexArray | None = None
        self._found, self.settled = self.v, Settled(0, np.inf, np.inf)
        self._lower()
        self._slope: ComplexArray = np.zeros(self._node.size, np.complex128)
        self._in_fleet: BoolArray = np.zeros(self._node.size, bool)
        self._in_fleet[np.concatenate([np.zeros(0, np.int64), *self._of_fleet])] = True

    def _lower(self) -> None:
        """Compile each grid once and put it where it is solved."""
        self.compiled = compiled_kin((part.name, part.net) for part in self.cut.lower)
        held: dict[int, list[tuple[int, int]]] = {}  # where a grid is held: node, number of the boundary
        for i, (k, _, bus) in enumerate(self.cut.boundaries):
            held.setdefault(k, []).append((self.compiled[k].node(bus), i))
        trees = [k for k, net in enumerate(self.compiled)
                 if _grows(net) and sorted(net.roots.tolist()) == sorted(node for node, _ in held[k])]
        of_net: dict[int, list[int]] = {}
        for k in trees:
            if self.compiled[k].roots.size == 1:
                of_net.setdefault(id(self.compiled[k].y_raw), []).append(k)
        many = [np.array(parts, np.int64) for parts in of_net.values() if len(parts) >= self.least_fleet]
        self.fleets = tuple((FleetPowerFlow(self.compiled[parts[0]], len(parts)), parts) for parts in many)
        for fleet, parts in self.fleets:
            p, q = np.array([self.compiled[k].nominal() for k in parts.tolist()]).transpose(1, 2, 0)
            fleet.set_injection(p, q)
        self._of_fleet = [np.array([held[k][0][1] for k in parts.tolist()], np.int64) for parts in many]
        apart = {k for parts in many for k in parts.tolist()}
        rest = [(k, node) for k in trees if k not in apart for node, _ in held[k]]
        self.forest_parts: IntArray = np.array([k for k, _ in rest], np.int64)
        self.forest = Forest([below(self.compiled[k], node) for k, node in rest], (RISE,)) if rest else None
        self._of_forest = np.array([i for k in trees if k not in apart for _, i in held[k]], np.int64)
        self.single = {k: HeldGrid(self.compiled[k], [node for node, _ in held[k]], self.tolerance_mva / 10)
                       for k in sorted(set(held) - set(trees))}
        self._of_single = {k: np.array([i for _, i in held[k]], np.int64) for k in self.single}
        if self.forest is not None:
            p, q = (np.concatenate([self.compiled[k].nominal()[i] for k, _ in rest]) for i in (0, 1))
            self._inject(self.forest, p, q)

    def _inject(
        self, forest: Forest, p_mw: FloatArray, q_mvar: FloatArray, per_pu_mva: ComplexArray | None = None,
    ) -> None:
        bent = np.zeros(p_mw.size, np.complex128) if per_pu_mva is None else per_pu_mva
        forest.inject(p_mw, q_mvar, bent.real[:, None], bent.imag[:, None], np.zeros(p_mw.size))

    # ------------------------------------------------------------------ all nodes at once

    @cached_property
    def _spans(self) -> tuple[int, int, list[int], dict[int, int], int]:
        """Where the nodes of the forest, of each fleet and of each single grid begin, and where they end.

        Those of the transmission grid come first. A fleet's stand as [node, feeder].
        """
        at = forest = self.own_mva.size
        at += 0 if self.forest is None else self.forest.v.size
        fleets, single = [], {}
        for fleet, _ in self.fleets:
            fleets.append(at)
            at += fleet.compiled.n_nodes * fleet.n_feeders
        for k, grid in self.single.items():
            single[k] = at
            at += grid.engine.n_nodes
        return self.own_mva.size, forest, fleets, single, at

    def places(self, part: int) -> IntArray:
        """Return where the nodes of one distribution grid stand among those of all."""
        _, forest, fleets, single, _ = self._spans
        nodes = np.arange(self.compiled[part].n_nodes)
        if part in single:
            return single[part] + nodes
        for start, (fleet, parts) in zip(fleets, self.fleets, strict=True):
            if part in parts:
                return start + nodes * fleet.n_feeders + int(np.flatnonzero(parts == part)[0])
        assert self.forest is not None
        trees = np.flatnonzero(self.forest_parts == part)
        whose = np.argmax([self.forest.nets[t].live for t in trees], axis=0)
        return np.asarray(forest + self.forest.node_start[trees][whose] + nodes)

    @cached_property
    def _node_of(self) -> dict[int, int]:
        out: dict[int, int] = {}
        for k, net in enumerate(self.compiled):
            at = self.places(k)
            out |= {bus: int(at[node]) for bus, node in net.bus_node.items()}
        upper = self.upper
        return out | (upper._node_of if isinstance(upper, CoupledPowerFlow) else upper.compiled.bus_node)

    def node(self, bus: int) -> int:
        """Return where a bus stands among the nodes of all grids; a boundary bus with the transmission grid."""
        try:
            return self._node_of[bus]
        except KeyError:
            raise GridError(f"net {self.cut.name}: bus {bus} does not exist") from None

    def nominal_mva(self) -> ComplexArray:
        """Return what the elements of all nodes inject by themselves, generators of set voltage left out [MVA]."""
        out = np.zeros(self._spans[-1], np.complex128)
        out[: self.own_mva.size] = self.own_mva
        for k, net in enumerate(self.compiled):
            out[self.places(k)] = _nominal(net)
        return out

    @cached_property
    def follows(self) -> BoolArray:
        """Tell at which nodes of all grids an injection can follow the voltage: not in fleets and transmission."""
        _, forest, _, _, n = self._spans
        out = np.zeros(n, bool)
        out[forest : forest + (0 if self.forest is None else self.forest.v.size)] = True
        for k in self.single:
            out[self.places(k)] = True
        return out

    def set_injection(self, p_mw: FloatArray, q_mvar: FloatArray, per_pu_mva: ComplexArray | None = None) -> None:
        """Inject `p_mw`, `q_mvar` at the nodes of all grids in place of all elements but the generators.

        Where a node `follows`, this is at 1 pu and changes with the magnitude of its voltage by `per_pu_mva`.
        """
        own, forest, fleets, single, _ = self._spans
        own_mva = p_mw[:own] + 1j * q_mvar[:own]
        if not np.array_equal(own_mva, self.own_mva):
            self.own_mva, self._told = own_mva, None
        if self.forest is not None:
            at = slice(forest, forest + self.forest.v.size)
            self._inject(self.forest, p_mw[at], q_mvar[at], None if per_pu_mva is None else per_pu_mva[at])
        for start, (fleet, _) in zip(fleets, self.fleets, strict=True):
            shape = (fleet.compiled.n_nodes, fleet.n_feeders)
            at = slice(start, start + shape[0] * shape[1])
            fleet.set_injection(p_mw[at].reshape(shape), q_mvar[at].reshape(shape))
        for k, grid in self.single.items():
            at = slice(single[k], single[k] + grid.engine.n_nodes)
            grid.inject(p_mw[at], q_mvar[at], None if per_pu_mva is None else per_pu_mva[at])

    @property
    def node_v(self) -> ComplexArray:
        """Voltages [pu] at the nodes of all grids."""
        upper = self.upper.node_v if isinstance(self.upper, CoupledPowerFlow) else self.upper.v
        forest = () if self.forest is None else (self.forest.v,)
        return np.concatenate([upper, *forest, *(fleet.v.ravel() for fleet, _ in self.fleets),
                               *(grid.engine.v for grid in self.single.values())])

    # ------------------------------------------------------------------ solution

    def voltages(self, part: int) -> ComplexArray:
        """Return the voltages [node] of one distribution grid, as its `compiled` numbers them [pu]."""
        return self.node_v[self.places(part)]

    def solve(self) -> Settled:
        """Solve all grids at their present inputs, starting from the last solution.

        Raises
        ------
        GridError
            A grid has no solution, or the boundary does not agree after `most_rounds`.
        """
        self._told = None
        try:
            self._settle()
        except GridError:
            if not self._past.forget():
                raise
            self._told, self._slope[:] = None, 0.0  # what was learnt may have misled
            self._settle()
        return self.settled

    def _settle(self) -> None:
        """Go on from the last round; with `_told`, what the transmission grid was told last still holds there."""
        x = last = self.v
        self._past.begin()
        for k in range(1, self.most_rounds + 1):
            before, self.s_mva = self.s_mva, self._draw(x)
            if k > 1:
                rise = np.abs(x) - np.abs(last)
                known = self._in_fleet & (np.abs(rise) > self.least_rise_pu)
                self._slope[known] = (self.s_mva - before)[known] / rise[known]
            left = self._left(x)
            if not self._agreed(left):
                self._supply(x)
                left = self._left(x)
                moved = np.where(self._slope == 0, np.abs(self.s_mva - before), 0.0)
                left = left[0], max(left[1], float(moved.max(initial=0.0)))
            if self._agreed(left):
                self.v, self.settled = x, Settled(k, *left)
                return
            straight = k < 3 and self._slope.all()  # their slopes have told it
            x, last = self._found if straight else self._past.next(x, self._found), x
        raise GridError(f"net {self.cut.name}: the boundary does not agree after {self.most_rounds} rounds; "
                        f"{left[0]:.2g} pu and {left[1]:.2g} MVA are left")

    def _left(self, v: ComplexArray) -> tuple[float, float]:
        """Return how far both sides are apart where the grids below are solved at `v` [pu], [MVA at a node above]."""
        if self._told is None:
            return np.inf, np.inf
        at_node = np.bincount(self._node, np.abs(self.s_mva - self._told))
        return float(np.abs(self._found - v).max(initial=0.0)), float(at_node.max(initial=0.0))

    def _agreed(self, left: tuple[float, float]) -> bool:
        return left[0] < self.tolerance_pu and left[1] < self.tolerance_mva

    def _supply(self, v: ComplexArray) -> None:
        """Find the boundary voltages where the grids draw what they did at `v`, followed along their slope."""
        bends = self._bends
        for _ in range(self.inner_steps):
            drawn = self._followed(v)
            if self._told is not None and np.abs(drawn - self._told).max(initial=0.0) < self.tolerance_mva / 10:
                break
            own = self.own_mva.copy()
            if isinstance(self.upper, CoupledPowerFlow):
                at_one = np.where(bends, self.s_mva + self._slope * (1.0 - np.abs(v)), drawn)
                np.subtract.at(own, self._node, at_one)
                per_pu = np.zeros(own.size, np.complex128)
                np.subtract.at(per_pu, self._node[bends], self._slope[bends])
                self.upper.set_injection(own.real, own.imag, per_pu)
                self.upper.solve() if self._told is None else self.upper._settle()
                above = self.upper.node_v
            else:
                np.subtract.at(own, self._node, drawn)
                self.upper.set_injection(own.real, own.imag)
                if not self.upper.solve():
                    raise GridError(f"net {self.cut.name}: the power flow of the transmission grid has no solution")
                above = self.upper.v
            self._told, self._found = drawn, above[self._node]
            self._told = np.where(bends, self._followed(v), drawn)

    def _followed(self, v: ComplexArray) -> ComplexArray:
        """Return what the grids draw where the transmission grid stands, by their slopes at `v` [MVA]."""
        if self._told is None:
            return self.s_mva
        return np.asarray(self.s_mva + self._slope * (np.abs(self._found) - np.abs(v)))

    def _draw(self, v: ComplexArray) -> ComplexArray:
        """Return what the grids draw at their boundary voltages `v` [MVA], and learn how that follows."""
        s = np.zeros(v.size, np.complex128)
        for (fleet, parts), places in zip(self.fleets, self._of_fleet, strict=True):
            fleet.set_slack(v[places])
            self._check(fleet.solve(), parts)
            p, q = fleet.slack_pq()
            s[places] = p + 1j * q
        if self.forest is not None:
            self._check(self.forest.solve(np.ascontiguousarray(v[self._of_forest])), self.forest_parts)
            s[self._of_forest] = self.forest.power_mva
            self._slope[self._of_forest] = self.forest.per_pu_mva
        for k, grid in self.single.items():
            drawn = grid.draw(v[self._of_single[k]])
            self._check(np.array([drawn is not None]), np.array([k]))
            s[self._of_single[k]] = drawn
        return s

    def _check(self, good: BoolArray, parts: IntArray) -> None:
        for k in parts[~good]:
            raise GridError(f"net {self.cut.name}: the power flow of {self.cut.lower[k].name} has no solution")


def _grows(net: CompiledNet) -> bool:
    """Tell whether a grid is a tree below each of its roots and holds no voltage elsewhere."""
    return (net.radial and np.unique(net.rep[net.roots]).size == net.roots.size and not len(net.elements["gen"])
            and not any(group.has_zip for group in net.elements.values()))


def _nominal(net: CompiledNet) -> ComplexArray:
    """Return what the elements of each node inject, generators of set voltage left out [MVA]."""
    if any(group.has_zip for group in net.elements.values()):
        raise GridError(f"net {net.name}: loads that follow the voltage are not coupled here")
    p, q = net.nominal()
    gens = net.elements["gen"]
    np.subtract.at(p, gens.node, gens.p_mw)
    return p + 1j * q
