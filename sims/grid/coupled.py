"""A transmission grid and the distribution grids below it, solved side by side until their boundary agrees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.forest import Forest
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.partition import MARK, Cut
from sims.grid.parts import ComplexArray, FloatArray, IntArray

MEMORY = 6
"""Rounds that the acceleration looks back on."""


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
    so that grids with several infeeds settle as well. Taps stand still meanwhile.

    Parameters
    ----------
    cut : Cut
    tolerance_pu, tolerance_mva : float
        What may be left at each boundary.

    Attributes
    ----------
    upper : MeshedPowerFlow
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
        grid = CompiledNet.from_net(cut.upper, f"{cut.name}, transmission")
        self.upper = MeshedPowerFlow(grid)
        self._node = np.array([grid.node(above) for _, above, _ in cut.boundaries], np.int64)
        loads = grid.elements["load"]
        mine = (cut.upper.load.type == MARK).to_numpy()
        if any(group.has_zip for group in grid.elements.values()):
            raise GridError(f"net {cut.name}: loads of the transmission grid that follow the voltage are not coupled")
        own = grid.fixed_p_mw + 1j * grid.fixed_q_mvar
        for kind, group in grid.elements.items():
            if kind != "gen":
                keep = ~mine if kind == "load" else np.ones(len(group), bool)
                np.add.at(own, group.node[keep], (group.p_mw + 1j * group.q_mvar)[keep])
        self.own_mva: ComplexArray = own
        self.s_mva: ComplexArray = -(loads.p_mw + 1j * loads.q_mvar)[mine]
        self.v: ComplexArray = np.ones(self._node.size, np.complex128)
        self._lower()
        self._slope: ComplexArray = np.zeros(self._node.size, np.complex128)

    def _lower(self) -> None:
        """Compile each grid once and put it where it is solved."""
        known: dict[int, CompiledNet] = {}
        self.compiled = []
        for part in self.cut.lower:
            if id(part.net) not in known:
                known[id(part.net)] = CompiledNet.from_net(part.net, part.name)
            self.compiled.append(known[id(part.net)])
        number = np.array([k for k, _, _ in self.cut.boundaries], np.int64)
        trees = [k for k, net in enumerate(self.compiled)
                 if net.radial and net.roots.size == 1 and not len(net.elements["gen"])
                 and not any(group.has_zip for group in net.elements.values())]
        place = {int(k): i for i, k in enumerate(number)}
        of_net: dict[int, list[int]] = {}
        for k in trees:
            of_net.setdefault(id(self.compiled[k]), []).append(k)
        many = [np.array(parts, np.int64) for parts in of_net.values() if len(parts) >= self.least_fleet]
        self.fleets = tuple((FleetPowerFlow(self.compiled[parts[0]], len(parts)), parts) for parts in many)
        self._of_fleet = [np.array([place[k] for k in parts.tolist()], np.int64) for parts in many]
        self._probed = False
        rest = [k for k in trees if all(k not in parts for parts in many)]
        self.forest_parts: IntArray = np.array(rest, np.int64)
        self.forest = Forest([self.compiled[k] for k in rest], ()) if rest else None
        self._of_forest = np.array([place[k] for k in rest], np.int64)
        self.single: dict[int, MeshedPowerFlow] = {}
        self._of_single: dict[int, tuple[IntArray, IntArray]] = {}
        for k, net in enumerate(self.compiled):
            if k in set(trees):
                continue
            self.single[k] = MeshedPowerFlow(net)
            places = np.flatnonzero(number == k)
            nodes = [net.node(self.cut.boundaries[i][2]) for i in places]
            root = np.array([int(np.flatnonzero(net.roots == node)[0]) for node in nodes], np.int64)
            self._of_single[k] = (places, root)
        if self.forest is not None:
            p, q = (np.concatenate([self.compiled[k].nominal()[i] for k in rest]) for i in (0, 1))
            none = np.zeros((p.size, 0))
            self.forest.inject(p, q, none, none, np.zeros(p.size))

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
        x, past = self.v.copy(), _Past()
        for k in range(1, self.most_rounds + 1):
            drawn = self._draw(x)
            left = np.where(self._slope == 0, np.abs(drawn - self.s_mva), 0.0)
            self.s_mva = drawn
            y = self._supply(x)
            left_pu = float(np.abs(y - x).max(initial=0.0))
            left_mva = float(np.fmax(left, np.abs(self._slope * (np.abs(y) - np.abs(x)))).max(initial=0.0))
            if left_pu < self.tolerance_pu and left_mva < self.tolerance_mva:
                self.v = x
                return Settled(k, left_pu, left_mva)
            x = past.next(x, y)
            self._probed &= k % 4 != 0  # slower than expected: how the fleets follow the voltage has changed
        raise GridError(f"net {self.cut.name}: the boundary does not agree after {self.most_rounds} rounds; "
                        f"{left_pu:.2g} pu and {left_mva:.2g} MVA are left")

    def _supply(self, v: ComplexArray) -> ComplexArray:
        """Return the boundary voltages where the grids draw what they did at `v`, followed along their slope."""
        magnitude, found, drawn = np.abs(v), v, self.s_mva
        for _ in range(self.inner_steps if self._slope.any() else 1):
            total = self.own_mva.copy()
            np.subtract.at(total, self._node, drawn)
            self.upper.set_injection(total.real, total.imag)
            if not self.upper.solve():
                raise GridError(f"net {self.cut.name}: the power flow of the transmission grid has no solution")
            found = self.upper.v[self._node]
            before, drawn = drawn, self.s_mva + self._slope * (np.abs(found) - magnitude)
            if np.abs(drawn - before).max(initial=0.0) < self.tolerance_mva / 10:
                break
        return found

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
            places, root = self._of_single[k]
            held = np.ones(engine.compiled.roots.size, np.complex128)
            held[root] = v[places]
            engine.set_slack(held)
            if not engine.solve():
                raise GridError(f"net {self.cut.name}: the power flow of {self.cut.lower[k].name} has no solution")
            s[places] = _by_root(engine)[root]
        return s


    def _fleet_draws(self, fleet: FleetPowerFlow, parts: IntArray, v: ComplexArray) -> ComplexArray:
        fleet.set_slack(v)
        good = fleet.solve()
        if not good.all():
            name = self.cut.lower[int(parts[np.flatnonzero(~good)[0]])].name
            raise GridError(f"net {self.cut.name}: the power flow of {name} has no solution")
        p, q = fleet.slack_pq()
        return np.asarray(p + 1j * q)


def _by_root(engine: MeshedPowerFlow) -> ComplexArray:
    """Return what each root gives [root, MVA]; `root_mva` has them in the order of their nodes."""
    net = engine.compiled
    heads = np.unique(net.rep[net.roots])
    return np.asarray(engine.root_mva[np.searchsorted(heads, net.rep[net.roots])])


class _Past:
    """The last rounds of x -> y(x), and from them the next x."""

    def __init__(self) -> None:
        self._x: list[FloatArray] = []
        self._f: list[FloatArray] = []

    def next(self, x: ComplexArray, y: ComplexArray) -> ComplexArray:
        """Return where the differences of the last rounds let y(x) = x be expected."""
        flat = np.concatenate((x.real, x.imag))
        f = np.concatenate((y.real, y.imag)) - flat
        self._x, self._f = [*self._x, flat][-MEMORY:], [*self._f, f][-MEMORY:]
        new = flat + f
        if len(self._f) > 1:
            df, dx = np.diff(self._f, axis=0).T, np.diff(self._x, axis=0).T
            new = new - (dx + df) @ np.linalg.lstsq(df, f, rcond=1e-12)[0]
        n = x.size
        return np.asarray(new[:n] + 1j * new[n:])
