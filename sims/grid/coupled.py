"""A transmission grid and the distribution grids below it, solved side by side until their boundary agrees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.forest import Forest
from sims.grid.kin import compiled_kin
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.partition import Cut, consumption
from sims.grid.parts import ComplexArray, FloatArray, IntArray

MEMORY = 6
"""Rounds that the acceleration looks back on."""
KEPT_PU = 1e-7
"""A round that changed less says nothing about the next solution."""


@dataclass(frozen=True)
class Settled:
    """How a solution came about: rounds, and what is left at the boundary [pu], [MVA]."""

    rounds: int
    residual_pu: float
    residual_mva: float


class CoupledPowerFlow:
    """Power flow of a cut net without joining it: voltages downwards, powers upwards, repeated.

    Radial grids with one boundary are solved together, those of one net as a fleet; how their power follows the
    voltage is taken into account by the transmission grid. All other grids are solved one by one. What is left is
    accelerated over all boundaries at once (Anderson's mixing; Walker and Ni, SIAM J. Numer. Anal. 49, 2011),
    so that grids with several infeeds settle as well; what one solution teaches serves the next. Taps stand still
    meanwhile. A transmission grid that is cut itself is coupled in turn, to the same tolerance.

    Parameters
    ----------
    cut : Cut
    tolerance_pu, tolerance_mva : float
        What may be left at each boundary.

    Attributes
    ----------
    upper : MeshedPowerFlow or CoupledPowerFlow
    fleets : tuple of (FleetPowerFlow, int array)
        Grids of the same net, and their numbers in ``cut.lower``.
    forest : Forest or None
        The other radial grids, numbered as in `forest_parts`.
    single : dict of int to MeshedPowerFlow
        The rest, by their number.
    """

    inner_steps, most_rounds = 8, 50
    least_fleet, aside_pu = 16, 1e-4

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
        self._past = _Past()
        self._told: ComplexArray | None = None
        self._found = self.v
        self._lower()
        self._slope: ComplexArray = np.zeros(self._node.size, np.complex128)

    def _lower(self) -> None:
        """Compile each grid once and put it where it is solved."""
        self.compiled = compiled_kin((part.name, part.net) for part in self.cut.lower)
        number = np.array([k for k, _, _ in self.cut.boundaries], np.int64)
        trees = [k for k, net in enumerate(self.compiled)
                 if net.radial and net.roots.size == 1 and not len(net.elements["gen"])
                 and not any(group.has_zip for group in net.elements.values())]
        place = {int(k): i for i, k in enumerate(number)}
        of_net: dict[int, list[int]] = {}
        for k in trees:
            of_net.setdefault(id(self.compiled[k].y_raw), []).append(k)
        many = [np.array(parts, np.int64) for parts in of_net.values() if len(parts) >= self.least_fleet]
        self.fleets = tuple((FleetPowerFlow(self.compiled[parts[0]], len(parts)), parts) for parts in many)
        for fleet, parts in self.fleets:
            p, q = np.array([self.compiled[k].nominal() for k in parts.tolist()]).transpose(1, 2, 0)
            fleet.set_injection(p, q)
        self._of_fleet = [np.array([place[k] for k in parts.tolist()], np.int64) for parts in many]
        self._probed = False
        apart = {k for parts in many for k in parts.tolist()}
        rest = [k for k in trees if k not in apart]
        self.forest_parts: IntArray = np.array(rest, np.int64)
        self.forest = Forest([self.compiled[k] for k in rest], ()) if rest else None
        self._of_forest = np.array([place[k] for k in rest], np.int64)
        self.single: dict[int, MeshedPowerFlow] = {}
        self._of_single: dict[int, tuple[IntArray, IntArray, IntArray]] = {}
        for k, net in enumerate(self.compiled):
            if k in set(trees):
                continue
            self.single[k] = MeshedPowerFlow(net, tolerance_mva=self._closely)
            places = np.flatnonzero(number == k)
            nodes = [net.node(self.cut.boundaries[i][2]) for i in places]
            root = np.array([int(np.flatnonzero(net.roots == node)[0]) for node in nodes], np.int64)
            self._of_single[k] = places, root, np.unique(net.rep[net.roots], return_inverse=True)[1][root]
        if self.forest is not None:
            p, q = (np.concatenate([self.compiled[k].nominal()[i] for k in rest]) for i in (0, 1))
            self._inject(self.forest, p, q)

    def _inject(self, forest: Forest, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        none = np.zeros((p_mw.size, 0))
        forest.inject(p_mw, q_mvar, none, none, np.zeros(p_mw.size))

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
        for k, engine in self.single.items():
            single[k] = at
            at += engine.n_nodes
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
        return forest + int(self.forest.node_start[int(np.flatnonzero(self.forest_parts == part)[0])]) + nodes

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

    def set_injection(self, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """Inject `p_mw`, `q_mvar` at the nodes of all grids in place of all elements but the generators."""
        own, forest, fleets, single, _ = self._spans
        self.own_mva = p_mw[:own] + 1j * q_mvar[:own]
        if self.forest is not None:
            at = slice(forest, forest + self.forest.v.size)
            self._inject(self.forest, p_mw[at], q_mvar[at])
        for start, (fleet, _) in zip(fleets, self.fleets, strict=True):
            shape = (fleet.compiled.n_nodes, fleet.n_feeders)
            at = slice(start, start + shape[0] * shape[1])
            fleet.set_injection(p_mw[at].reshape(shape), q_mvar[at].reshape(shape))
        for k, engine in self.single.items():
            at = slice(single[k], single[k] + engine.n_nodes)
            engine.set_injection(p_mw[at], q_mvar[at])

    @property
    def node_v(self) -> ComplexArray:
        """Voltages [pu] at the nodes of all grids."""
        upper = self.upper.node_v if isinstance(self.upper, CoupledPowerFlow) else self.upper.v
        forest = () if self.forest is None else (self.forest.v,)
        return np.concatenate([upper, *forest, *(fleet.v.ravel() for fleet, _ in self.fleets),
                               *(engine.v for engine in self.single.values())])

    # ------------------------------------------------------------------ solution

    def voltages(self, part: int) -> ComplexArray:
        """Return the voltages [node] of one distribution grid, as its `compiled` numbers them [pu]."""
        if part in self.single:
            return self.single[part].v
        for fleet, parts in self.fleets:
            if part in parts:
                return np.asarray(fleet.v[:, int(np.flatnonzero(parts == part)[0])])
        assert self.forest is not None
        f = int(np.flatnonzero(self.forest_parts == part)[0])
        return self.forest.v[self.forest.node_start[f] : self.forest.node_start[f + 1]]

    def solve(self) -> Settled:
        """Solve all grids at their present inputs, starting from the last solution.

        Raises
        ------
        GridError
            A grid has no solution, or the boundary does not agree after `most_rounds`.
        """
        x, past = self.v.copy(), self._past
        past.begin()
        self._told = None
        for k in range(1, self.most_rounds + 1):
            drawn = self._draw(x)
            left = np.where(self._slope == 0, np.abs(drawn - self.s_mva), 0.0)
            self.s_mva = drawn
            y = self._supply(x)
            told = self.s_mva + self._slope * (np.abs(y) - np.abs(x)) - self._told
            left_pu = float(np.abs(y - x).max(initial=0.0))
            left = np.fmax(left, np.abs(self._slope * (np.abs(y) - np.abs(x))))
            left_mva = float(np.fmax(left, np.abs(told)).max(initial=0.0))
            if left_pu < self.tolerance_pu and left_mva < self.tolerance_mva:
                self.v = x
                return Settled(k, left_pu, left_mva)
            x = past.next(x, y)
            self._probed &= k % 4 != 0  # slower than expected: how the fleets follow the voltage has changed
        raise GridError(f"net {self.cut.name}: the boundary does not agree after {self.most_rounds} rounds; "
                        f"{left_pu:.2g} pu and {left_mva:.2g} MVA are left")

    def _supply(self, v: ComplexArray) -> ComplexArray:
        """Return the boundary voltages where the grids draw what they did at `v`, followed along their slope."""
        magnitude, drawn = np.abs(v), self.s_mva
        for _ in range(self.inner_steps):
            if self._told is not None and np.abs(drawn - self._told).max(initial=0.0) < self.tolerance_mva / 10:
                break
            total = self.own_mva.copy()
            np.subtract.at(total, self._node, drawn)
            self.upper.set_injection(total.real, total.imag)
            if not self.upper.solve():
                raise GridError(f"net {self.cut.name}: the power flow of the transmission grid has no solution")
            above = self.upper.node_v if isinstance(self.upper, CoupledPowerFlow) else self.upper.v
            self._told, self._found = drawn, above[self._node]
            drawn = self.s_mva + self._slope * (np.abs(self._found) - magnitude)
        return self._found

    def _draw(self, v: ComplexArray) -> ComplexArray:
        """Return what the grids draw at their boundary voltages `v` [MVA], and learn how that follows."""
        s = np.zeros(v.size, np.complex128)
        for (fleet, parts), places in zip(self.fleets, self._of_fleet, strict=True):
            if not self._probed:
                aside = self._fleet_draws(fleet, parts, v[places] * (1 + self.aside_pu))
            s[places] = self._fleet_draws(fleet, parts, v[places])
            if not self._probed:
                self._slope[places] = (aside - s[places]) / (self.aside_pu * np.abs(v[places]))
        self._probed = True
        if self.forest is not None:
            good = self.forest.solve(np.ascontiguousarray(v[self._of_forest]))
            if not good.all():
                name = self.cut.lower[int(self.forest_parts[np.flatnonzero(~good)[0]])].name
                raise GridError(f"net {self.cut.name}: the power flow of {name} has no solution")
            s[self._of_forest] = self.forest.power_mva
            self._slope[self._of_forest] = self.forest.per_pu_mva
        for k, engine in self.single.items():
            places, root, head = self._of_single[k]
            held = np.ones(engine.compiled.roots.size, np.complex128)
            held[root] = v[places]
            engine.set_slack(held)
            if not engine.solve():
                raise GridError(f"net {self.cut.name}: the power flow of {self.cut.lower[k].name} has no solution")
            s[places] = engine.root_mva[head]  # in the order of their nodes
        return s

    def _fleet_draws(self, fleet: FleetPowerFlow, parts: IntArray, v: ComplexArray) -> ComplexArray:
        fleet.set_slack(v)
        good = fleet.solve()
        if not good.all():
            name = self.cut.lower[int(parts[np.flatnonzero(~good)[0]])].name
            raise GridError(f"net {self.cut.name}: the power flow of {name} has no solution")
        p, q = fleet.slack_pq()
        return np.asarray(p + 1j * q)


def _nominal(net: CompiledNet) -> ComplexArray:
    """Return what the elements of each node inject, generators of set voltage left out [MVA]."""
    if any(group.has_zip for group in net.elements.values()):
        raise GridError(f"net {net.name}: loads that follow the voltage are not coupled here")
    p, q = net.nominal()
    gens = net.elements["gen"]
    np.subtract.at(p, gens.node, gens.p_mw)
    return p + 1j * q


class _Past:
    """How y followed x in the last rounds of x -> y(x), and from that the next x."""

    def __init__(self) -> None:
        self._steps: list[tuple[FloatArray, FloatArray]] = []
        self._last: tuple[FloatArray, FloatArray] | None = None

    def begin(self) -> None:
        """Begin anew at other inputs: how y follows x stays about the same, but for what is lost in rounding."""
        self._last = None
        self._steps = [step for step in self._steps if np.abs(step[1]).max(initial=0.0) > KEPT_PU]

    def next(self, x: ComplexArray, y: ComplexArray) -> ComplexArray:
        """Return where the differences of the last rounds let y(x) = x be expected."""
        flat = np.concatenate((x.real, x.imag))
        f = np.concatenate((y.real, y.imag)) - flat
        if self._last is not None:
            self._steps = [*self._steps, (flat - self._last[0], f - self._last[1])][-MEMORY:]
        self._last = flat, f
        new = flat + f
        if self._steps:
            dx, df = (np.array(column).T for column in zip(*self._steps, strict=True))
            new = new - (dx + df) @ np.linalg.lstsq(df, f, rcond=1e-12)[0]
        n = x.size
        return np.asarray(new[:n] + 1j * new[n:])
