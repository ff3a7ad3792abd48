"""A meshed grid with generators that hold voltages, solved by Newton's method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sims.core.errors import GridError
from sims.grid import meshed_kernels as kernels
from sims.grid.compiled import CompiledNet
from sims.grid.element_inputs import ElementInputs
from sims.grid.flows import FlowReader, Flows
from sims.grid.generators import Generators
from sims.grid.newton import Newton
from sims.grid.no_load import node_turns
from sims.grid.nodal import NodalMatrix
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray
from sims.grid.roots import Roots


class MeshedPowerFlow:
    """Power flow of one grid of any shape, with arrays [node] and [branch].

    The solver gets the nodal matrix that pandapower's parameters make, never a net to convert. Where it finds no
    solution pandapower tries; where that fails too, voltages are NaN.

    Parameters
    ----------
    grid : pandapowerNet or CompiledNet
    enforce_q_limits : bool
        Generators beyond `min_q_mvar` or `max_q_mvar` stay at the limit and let their voltage go.
    tolerance_mva : float
        Largest remaining power mismatch [MVA].
    """

    def __init__(self, grid: Any, *, enforce_q_limits: bool = False, tolerance_mva: float = 1e-8) -> None:
        self.compiled = grid if isinstance(grid, CompiledNet) else CompiledNet.from_net(grid)
        net = self._net = self.compiled
        self.enforce_q_limits = enforce_q_limits
        self.tolerance_mva = tolerance_mva
        self._elements = ElementInputs(net, 1)
        self._sums: list[FloatArray] | None = None
        self._injection: ComplexArray | None = None
        self._made: ComplexArray | None = None
        self._gens = Generators(net)
        self._roots = Roots(net)
        self._slots: IntArray = np.array([t.initial - int(t.positions[0]) for t in net.taps], dtype=np.int64)
        self._v: ComplexArray = np.ones(net.n_nodes, dtype=np.complex128)
        self._started = self._stale = False
        self.converged, self.iterations = False, 0
        self._flows: Flows | None = None
        self._readings: FloatArray | None = None
        self._fixed: ComplexArray | None = None
        self._no_vm = np.ones(net.n_nodes)
        self._sorted: Any = None
        self._rebuild()

    def _rebuild(self) -> None:
        self._nodal = NodalMatrix(self._net)
        self._reader = FlowReader(self._net)
        self._turns = node_turns(self._net)
        self._started, self._stale, self._sorted, self._fixed = False, True, None, None
        self._joined = not np.array_equal(self._net.rep, np.arange(self.n_nodes))
        root_of = np.full(self.n_nodes, -1, np.int64)
        root_of[self._net.rep[self._net.roots]] = np.arange(self._net.roots.size)
        self._root_of = np.where(self._net.live, root_of[self._net.rep], -1)
        self._heads = np.unique(self._net.rep[self._net.roots])

    def set_injection(self, p_mw: ArrayLike, q_mvar: ArrayLike) -> None:
        """Inject `p_mw`, `q_mvar` [node] in place of all elements but the generators, generation positive."""
        p, q = np.asarray(p_mw, dtype=float).reshape(-1), np.asarray(q_mvar, dtype=float).reshape(-1)
        if len(p) != self.n_nodes or len(q) != self.n_nodes:
            raise GridError(f"net {self.compiled.name}: injection has {len(p)} and {len(q)} values, needs [node] = "
                            f"{self.n_nodes}")
        self._injection = p + 1j * q
        self._fixed = None

    def set(self, kind: str, field: str, values: ArrayLike) -> None:
        """Write a column of an element table, in pandapower's units and signs.

        Parameters
        ----------
        kind : str
            ``load``, ``sgen``, ``storage`` (p_mw, q_mvar), ``gen`` (p_mw, vm_pu), ``ext_grid`` (vm_pu,
            va_degree). Setting a load, sgen or storage ends `set_injection`.
        """
        self._fixed = None
        if kind == "gen":
            self._gens.set(field, values)
            self._made = None
        elif kind == "ext_grid":
            self._roots.set(field, values)
            self._stale = True
        else:
            self._elements.set(kind, field, values)
            self._injection = self._sums = None

    def set_generator(self, row: int, *, in_service: bool) -> None:
        """Take generator number `row` (of ``elements['gen']``) out of service or back: P and voltage support."""
        self._gens.on[row] = in_service
        self._sorted = self._fixed = self._made = None

    def set_slack(self, v: ArrayLike) -> None:
        """Hold the roots at `v`, complex [pu], one for all or [root]."""
        self._roots.hold(v)
        self._stale |= self._roots.v.size > 1  # how the others stand to the first is part of the matrix

    def set_tap(self, trafo: int, position: ArrayLike) -> None:
        """Put transformer number `trafo` (a row of `compiled.taps`) on `position`."""
        taps = self.compiled.taps
        if not 0 <= trafo < len(taps):
            raise GridError(f"net {self.compiled.name}: no transformer number {trafo}; it has {len(taps)}")
        slot = int(np.asarray(taps[trafo].slot(position, self.compiled.name)).reshape(-1)[0])
        self._stale |= slot != self._slots[trafo]
        self._slots[trafo] = slot

    def set_branch(self, kind: str, element: int, *, in_service: bool) -> None:
        """Take a line, trafo, trafo3w or impedance out of service or back."""
        on = self._net.branch_in_service.copy()
        self.compiled.branch(kind, element)
        on[(self.compiled.branch_kind == kind) & (self.compiled.branch_element == element)] = in_service
        self.set_topology(self._net.switch_closed, on)

    def set_topology(self, closed: BoolArray, in_service: BoolArray) -> None:
        """Move to other switch states, closed[switch], and branch states, in_service[branch]."""
        if np.array_equal(closed, self._net.switch_closed) and np.array_equal(in_service, self._net.branch_in_service):
            return
        self._net = self.compiled.switched(closed, in_service)
        self._rebuild()

    def solve(self) -> bool:
        """Solve for the present inputs, starting from the last solution; returns whether it converged."""
        self._flows = self._readings = None
        if self._gens.held_mvar:
            self._gens.held_mvar = {}
            self._sorted = self._fixed = self._made = None
        self.converged = self._newton()
        for _ in range(10):
            if not (self.converged and self.enforce_q_limits and self._hold_limits()):
                break
            self.converged = self._newton()
        if not self.converged:
            self.converged = self._fall_back()
        self._started = self.converged
        if not self.converged:
            self._v = np.full(self.n_nodes, complex(np.nan, np.nan))
        return self.converged

    def _power(self, vm: FloatArray) -> ComplexArray:
        """Injection of every node at the voltage magnitudes `vm` [MVA], generators' P included."""
        if self._fixed is None or self._depends:
            if self._made is None:
                self._gens.add_to(made := np.zeros(self.n_nodes, np.complex128))
                self._made = made
            if self._injection is not None:
                s = self._injection
            else:
                if self._sums is None:
                    self._sums = [k[:, 0] for k in self._elements.nodal()]
                p, p_i, p_z, q, q_i, q_z = self._sums
                s = p + (p_i + p_z * vm) * vm + 1j * (q + (q_i + q_z * vm) * vm)
            self._fixed = s + self._made
        return self._fixed

    def _plan(self) -> Any:
        """Sort the nodes into reference, PV and PQ for a solver; kept until a generator changes its part."""
        if self._sorted is None:
            net, nodal = self._net, self._nodal
            holds = self._gens.holding(net)
            pv_nodes, first = np.unique(net.rep[net.elements["gen"].node[holds]], return_index=True)
            pv, reference = nodal.place[pv_nodes], int(nodal.place[nodal.reference])
            newton = Newton(nodal.matrix, reference, pv, self.tolerance_mva / net.base_mva)
            self._sorted = np.nonzero(holds)[0][first], pv, reference, newton
        return self._sorted

    def _newton(self) -> bool:
        net, nodal = self._net, self._nodal
        holder, pv, reference, newton = self._plan()
        if self._stale:
            ratio = np.ones(net.n_nodes, dtype=np.complex128)
            ratio[net.rep[net.roots]] = self._roots.v / self._roots.v[0]
            nodal.fill(self._slots, ratio)
            self._stale = False
        if not self._started:
            self._v = self._turns[net.rep] * self._roots.v[0]
        v, s = np.empty((2, len(nodal.nodes)), np.complex128)
        held, vm, self.iterations = self._v, self._gens.vm_pu[holder], 0
        for _ in range(30):
            power = self._power(np.abs(held) if self._depends else self._no_vm)
            kernels.begin(held, nodal.nodes, reference, self._roots.v[0], pv, vm, power, nodal.place,
                          1.0 / net.base_mva, v, s)
            found, new = newton.solve(v, s), np.empty_like(held)
            if found is None or not kernels.finish(found, nodal.place, self._root_of, self._roots.v, new):
                return False
            self.iterations += newton.iterations
            settled = not self._depends or float(np.abs(np.abs(new) - np.abs(held)).max()) < 1e-10
            held = new
            if settled:
                break
        self._v = held
        return True

    def _summed(self, s: ComplexArray) -> ComplexArray:
        """Return `s` [node] with live joined nodes summed onto the one that stands for them."""
        if not self._joined:
            return s
        np.add.at(out := np.zeros(self.n_nodes, np.complex128), self._net.rep, np.where(self._net.live, s, 0.0))
        return out

    @property
    def _depends(self) -> bool:
        return self._elements.depends and self._injection is None

    def _hold_limits(self) -> bool:
        """Put generators beyond their limits on the limit; returns whether there were any."""
        self._flows = None
        more = self._gens.hold_limits(self._net, self.gen_q_mvar)
        self._flows = None
        if more:
            self._sorted = self._fixed = self._made = None
        return more

    def _fall_back(self) -> bool:
        from sims.grid import reference  # pandapower itself: only where it is asked

        v = reference.solved_voltages(self._net, self.export())
        if v is not None:
            self._v = v
        return v is not None

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.compiled.n_nodes

    @property
    def v(self) -> ComplexArray:
        """Complex voltage [node] [pu]; 0 on dark nodes, NaN after divergence."""
        return self._v

    def start_from(self, v: ComplexArray) -> None:
        """Begin the next solution at the voltages `v` [node] [pu] and with a fresh factorisation."""
        self._sorted = None
        self._v, self._started = np.array(v, np.complex128), bool(np.isfinite(v).all())
        self._flows = self._readings = None

    @property
    def vm(self) -> FloatArray:
        """Voltage magnitude [node] [pu]."""
        return np.abs(self._v)

    @property
    def va(self) -> FloatArray:
        """Voltage angle [node] [rad]."""
        return np.angle(self._v)

    def _read(self) -> tuple[FloatArray, FloatArray, IntArray]:
        return np.ascontiguousarray(self._v.real[:, None]), np.ascontiguousarray(self._v.imag[:, None]), \
            self._slots[:, None]

    @property
    def flows(self) -> Flows:
        """Power entering each branch at both ends [branch]."""
        if self._flows is None:
            self._flows = Flows(*(end[:, 0] for end in vars(self._reader.flows(*self._read())).values()))
        return self._flows

    @property
    def readings(self) -> FloatArray:
        """What `FlowReader.readings` makes of the last solution, in one pass."""
        if self._readings is None:
            self._readings = self._reader.readings(*self._read())[:, 0]
        return self._readings

    @property
    def s_from_mva(self) -> ComplexArray:
        """Power entering each branch at its from end [branch] [MVA]."""
        return np.asarray(np.array([1, 1j]) @ self.readings[: 2 * self._net.n_branches].reshape(2, -1))

    @property
    def loading_percent(self) -> FloatArray:
        """Loading [branch] [%], as pandapower defines it."""
        return self.readings[2 * self._net.n_branches : 3 * self._net.n_branches]

    @property
    def loss_mw(self) -> float:
        """Losses in branches and shunts [MW], from branch flows."""
        return float(self.readings[-1])

    @property
    def slack_p_mw(self) -> float:
        """Active power drawn from all roots [MW]."""
        return float(self.root_mva.real.sum())

    @property
    def slack_q_mvar(self) -> float:
        """Reactive power drawn from all roots [Mvar]."""
        return float(self.root_mva.imag.sum())

    @property
    def root_mva(self) -> ComplexArray:
        """Complex power drawn from each electrical root [MVA], in the order of their nodes."""
        p, q = self._reader.into_grid(*self._read())
        return np.asarray(p[:, 0] + 1j * q[:, 0] - self._summed(self._power(np.abs(self._v)))[self._heads])

    @property
    def gen_q_mvar(self) -> FloatArray:
        """Reactive power of each generator [Mvar]; generators that share a node share it evenly."""
        net, flows = self._net, self.flows
        np.add.at(q := np.zeros(net.n_nodes), net.rep[net.branch_from], flows.q_from_mvar)
        np.add.at(q, net.rep[net.branch_to], flows.q_to_mvar)
        shunt = np.where(net.live, net.shunt_y.imag, 0.0)
        np.add.at(q, net.rep, -shunt * np.abs(self._v) ** 2 * net.base_mva - self._power(np.abs(self._v)).imag)
        return self._gens.reactive(net, q)

    def export(self, feeder: int = 0) -> Any:
        """Return a pandapower net in the present state."""
        del feeder
        net = self._net
        s = self._power(np.where(np.isfinite(self._v), np.abs(self._v), 1.0)).copy()
        self._gens.take_from(s)
        taps = {i: int(t.positions[0] + self._slots[i]) for i, t in enumerate(net.taps) if len(t.positions) > 1}
        from sims.grid import reference

        out = reference.export(net, s.real, s.imag, self._roots.v, taps)
        self._gens.write(out.gen, net.roots)
        return out
