"""Frequency dynamics: machines on a reduced network, disturbances, and what the boundary sees of them."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_S, next_tick
from sims.core.errors import ModelError
from sims.transmission import kernel as k
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import Condition, Disturbance, Due, LineSwitch
from sims.transmission.loads import Linearised, Slots
from sims.transmission.network import reduce
from sims.transmission.readings import Readings
from sims.transmission.startup import at_rest, parameters, refuse_unstable, start_power

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

SYNC_DEG, SYNC_HZ = 30.0, 0.1
"""Synchro-check: largest angle [deg] and slip [Hz] at which two islands may be joined."""
NAME = "transmission"
_KEPT = (
    "now_ms", "log", "_x", "_ref", "_boundary", "_sensitivity", "_condition", "_queue", "_number", "_t_hist", "_f_hist",
)


class Dynamics(Readings):
    """Electromechanical model of one synchronous system, from a solved power flow onwards.

    Parameters
    ----------
    case : MachineCase
    v0 : complex array [bus]
        Solved voltages [pu].
    s_gen_mva : complex array [machine], optional
        Power of the machines [MVA], where it does not follow from `v0` (several machines at one bus).
    interfaces : sequence of int
        Bus numbers at which distribution grids are connected.
    boundary_mva : complex array [interface], optional
        Power they feed into the grid at the start, contained in `v0`.
    condition : Condition, optional
        What is out of service at the start, contained in `v0`.
    df0_hz : float
        Frequency deviation at the start, which the governors are to hold (quasi-steady operation under droop).
    dt_ms : int
        Step of the integration.
    v_floor_pu : float
        Voltage below which loads become impedances.
    end_ms : int, optional
        End of the run; disturbances beyond it are refused.
    check : bool
        Refuse a start from which oscillations grow.

    Raises
    ------
    ModelError
        `v0` does not solve the case, a machine cannot be initialised within its limits, or the start is unstable.
    """

    def __init__(
        self, case: MachineCase, v0: Complex, s_gen_mva: Complex | None = None, *, interfaces: Sequence[int] = (),
        boundary_mva: Complex | None = None, condition: Condition | None = None,
        df0_hz: float = 0.0, dt_ms: int = 10,
        v_floor_pu: float = 0.7, start_ms: int = 0, end_ms: int | None = None, check: bool = True,
    ) -> None:
        if dt_ms < 1:
            raise ModelError(NAME, start_ms, f"dt_ms = {dt_ms} must be at least 1")
        self.case, self.dt_ms, self.end_ms, self.v_floor_pu = case, dt_ms, end_ms, v_floor_pu
        self.now_ms = start_ms
        self.interfaces = tuple(interfaces)
        self._interface_bus = case.bus_index(self.interfaces)
        n_if = len(self.interfaces)
        self._boundary = np.zeros(n_if, np.complex128)
        if boundary_mva is not None:
            self._boundary = np.array(boundary_mva, np.complex128)
        self._check_shape("boundary_mva", self._boundary, n_if)
        self._check_shape("v0", v0, case.n_bus)
        self._sensitivity = np.zeros((3, n_if))
        self._par, self._kind = parameters(case, dt_ms / MS_PER_S)
        self._condition = Condition.normal(case) if condition is None else copy.deepcopy(condition)
        boundary = -self._condition.drawn_mva
        np.add.at(boundary, self._interface_bus, self._boundary)
        if s_gen_mva is not None:
            self._check_shape("s_gen_mva", s_gen_mva, len(case.machines))
        s_gen = start_power(
            case, v0, s_gen_mva, boundary, self._condition.closed, self._condition.online, start_ms)
        self._x, self._ref = at_rest(case, self._par, v0, s_gen, df0_hz / case.f0_hz)
        self._slots = Slots(case, v0, self._interface_bus)
        self._slots.admit(np.flatnonzero(self._condition.drawn_mva).tolist())
        self._queue: list[Due] = []
        self._number = 0
        self.log: list[tuple[int, str]] = []
        self._omega0 = 2 * np.pi * case.f0_hz
        self._rebuild(np.asarray(v0, np.complex128))
        self._begin_history()
        if check:
            self._check_start()

    def _check_shape(self, what: str, values: NDArray[Any], n: int) -> None:
        if np.shape(values) != (n,):
            raise ModelError(NAME, self.now_ms, f"{what} has shape {np.shape(values)}, expected ({n},)")
        if not np.all(np.isfinite(values)):
            at = int(np.argmin(np.isfinite(values)))
            raise ModelError(NAME, self.now_ms, f"{what} is not finite at position {at}")

    def _check_start(self) -> None:
        v, slot, scratch = self._v.copy(), self._slot, self._scratch()

        def rates(x: Array) -> Array:
            dx = np.zeros_like(x)
            self._evaluate(x, v, slot, scratch, dx)
            return dx

        refuse_unstable(self.case.machines.names, rates, self._x, self._omega0, self.now_ms)

    @property
    def condition(self) -> Condition:
        """What is in service, and what is drawn beyond the case's loads, now; a copy."""
        return copy.deepcopy(self._condition)

    @property
    def online(self) -> NDArray[np.bool_]:
        """Which machines run, [machine]."""
        return self._condition.online.copy()

    @property
    def islands(self) -> int:
        """Number of islands with a machine running."""
        return int(self._net.count)

    def schedule(self, event: Disturbance) -> None:
        """Let `event` happen at its time.

        Raises
        ------
        ModelError
            It lies in the past or beyond the end of the run, or concerns something that does not exist.
        """
        what = f"{type(event).__name__} at {event.t_ms / MS_PER_S:.3f} s"
        if event.t_ms < self.now_ms:
            raise ModelError(NAME, self.now_ms, f"{what} lies in the past")
        if self.end_ms is not None and event.t_ms >= self.end_ms:
            end_s = self.end_ms / MS_PER_S
            raise ModelError(NAME, self.now_ms, f"{what} lies outside the run, which ends at {end_s:.3f} s")
        if text := event.fault(self.case):
            raise ModelError(NAME, self.now_ms, f"{what}: {text}")
        self._push(event)

    def _push(self, event: Disturbance) -> None:
        self._number += 1
        heapq.heappush(self._queue, Due(event.t_ms, self._number, event))

    def set_boundary(self, p_mw: Array, q_mvar: Array) -> None:
        """Hold these powers [interface], positive into the grid, until they are set again."""
        s = np.asarray(p_mw, np.float64) + 1j * np.asarray(q_mvar, np.float64)
        self._check_shape("boundary power", s, len(self.interfaces))
        self._boundary = s
        self._slot, self._stale = self._slots.held(self._table, s), True

    def set_boundary_sensitivity(self, dp_dv: Array, dq_dv: Array, v_pu: Array | None = None) -> None:
        """Let the held powers, which come in at `v_pu` (or at present), answer voltage linearly [MW/pu, Mvar/pu]."""
        at = self.v_interface_pu if v_pu is None else v_pu
        rows = [np.asarray(row, np.float64) for row in (dp_dv, dq_dv, at)]
        for name, row in zip(("dp_dv", "dq_dv", "v_pu"), rows, strict=True):
            self._check_shape(name, row, len(self.interfaces))
        self._sensitivity = np.stack(rows)
        self._refresh_slots()

    def set_p_ref(self, dp_mw: Array) -> None:
        """Shift the machines' power references from their start values [machine], as secondary control does."""
        self._check_shape("dp_mw", dp_mw, len(self.case.machines))
        self._ref[k.P_AUX] = np.asarray(dp_mw, np.float64) / self.case.base_mva
        self._stale = True

    def set_valve_range(self, low_mw: Array, high_mw: Array) -> None:
        """Keep the turbines of steam machines within these powers [machine], and within their own limits."""
        m, base = self.case.machines, self.case.base_mva
        steam, scale, g = m.governor == 1, m["sn_mva"], m.governor_values
        low, high = np.maximum(low_mw, g["v_min"] * scale) / base, np.minimum(high_mw, g["v_max"] * scale) / base
        self._par[k.V_MIN] = np.where(steam, low, self._par[k.V_MIN])
        self._par[k.V_MAX] = np.where(steam, high, self._par[k.V_MAX])

    def advance(self, until_ms: int) -> None:
        """Integrate to `until_ms`; events at that very instant come with the next call.

        Raises
        ------
        ModelError
            The voltage collapsed, or a machine's speed left all bounds; says when and where.
        """
        if until_ms < self.now_ms:
            raise ModelError(NAME, self.now_ms, f"cannot advance back to {until_ms / MS_PER_S:.3f} s")
        while self.now_ms < until_ms:
            self._happen()
            stop = min([until_ms] + [due.t_ms for due in self._queue[:1]])
            ahead = stop - self.now_ms
            if self.now_ms % self.dt_ms or ahead < self.dt_ms:
                self._run(1, min(stop, next_tick(self.now_ms, self.dt_ms)) - self.now_ms)
            else:
                self._run(ahead // self.dt_ms, self.dt_ms)

    def _happen(self) -> None:
        """Carry out what is due now, then reduce the network anew."""
        before: Complex | None = None
        while self._queue and self._queue[0].t_ms <= self.now_ms:
            event = heapq.heappop(self._queue).event
            if isinstance(event, LineSwitch) and event.closed:
                if before is not None:  # judge the closing by what the events before it have made of the grid
                    self._rebuild(before)
                    before = None
                if text := self._out_of_step(event):
                    self.log.append((self.now_ms, f"{event.from_bus}-{event.to_bus} not closed: {text}"))
                    continue
            before = self.v_bus if before is None else before
            for follow in event.apply(self.case, self._condition):
                self._push(follow)
            self._slots.admit(event.buses(self.case))
            self.log.append((self.now_ms, str(event)))
        if before is not None:
            live = self._net.island >= 0
            self._rebuild(before)
            self._report_dead(live & (self._net.island < 0))

    def _report_dead(self, dead: NDArray[np.bool_]) -> None:
        if dead.any():
            buses = ", ".join(str(self.case.bus_ids[i]) for i in np.flatnonzero(dead))
            lost_mw = self.case.load_mva.real[dead[self.case.load_bus]].sum()
            self.log.append((self.now_ms, f"dead: bus {buses} with {lost_mw:.1f} MW of load"))

    def _out_of_step(self, event: LineSwitch) -> str:
        island, v, f = self._net.island, self.v_bus, self.f_bus_hz
        for b in event.branches(self.case):
            i, j = int(self.case.branch_from[b]), int(self.case.branch_to[b])
            if island[i] != island[j] and island[i] >= 0 and island[j] >= 0:
                angle, slip = abs(np.degrees(np.angle(v[i] / v[j]))), abs(f[i] - f[j])
                if angle > SYNC_DEG or slip > SYNC_HZ:
                    return f"the islands differ by {angle:.0f} deg and {slip:.3f} Hz"
        return ""

    def _rebuild(self, v_bus: Complex) -> None:
        """Reduce the network to the machines and slots that now stand; `v_bus` is where the solution is sought."""
        self._reduce()
        island = self._net.island
        start = (v_bus * np.exp(-1j * self._frames()[np.maximum(island, 0)]) * (island >= 0))[self._slots.bus]
        self._v = np.concatenate([start.real, start.imag])
        self._refresh_slots()
        self._relinearise()

    def _reduce(self) -> None:
        c, m = self._condition, self.case.machines
        if not c.online.any():
            raise ModelError(NAME, self.now_ms, "no machine is left running: the system is black")
        self._net = reduce(self.case, c.closed, c.online, self._slots.bus, self._slots.admittance)
        self._on = np.ascontiguousarray(c.online, np.int64)
        self._machine_island = np.where(c.online, self._net.island[m.bus], 0)
        self._linear = Linearised(self._net, self._slots, m.bus)
        self._weigh()

    def _refresh_slots(self) -> None:
        self._table = self._slots.table(self._condition, self._sensitivity)
        self._slot, self._stale = self._slots.held(self._table, self._boundary), True

    def _relinearise(self) -> None:
        e = self._internal_voltages()
        real = np.concatenate([e.real, e.imag])
        m = len(self._slots.bus)
        flat = np.concatenate([(self._net.island[self._slots.bus] >= 0) * 1.0, np.zeros(m)])
        for start in (self._v, flat, 0.5 * flat):
            v = self._linear.solve(real, start, self._slot, 0.0, self.v_floor_pu)
            if v is not None and np.all(np.hypot(v[:m], v[m:])[flat[:m] > 0] > 0.05):
                self._v, self._stale = v, True
                return
        raise self._collapse()

    def _collapse(self) -> ModelError:
        m = len(self._slots.bus)
        dead = self._net.island[self._slots.bus] < 0
        vm = np.where(dead, np.inf, np.hypot(self._v[:m], self._v[m:]))
        bus = self.case.bus_ids[self._slots.bus[int(np.argmin(vm))]]
        return ModelError(
            NAME, self.now_ms,
            f"voltage collapse: the loads leave the network no solution, lowest voltage at bus {bus}; "
            "shed load there or keep the lines that feed it")

    def _run(self, n_steps: int, step_ms: int) -> None:
        speed = np.empty((n_steps, len(self.case.machines)))
        done, retried = 0, -1
        while done < n_steps:
            lin = self._linear
            code, steps, where, iterations = k.integrate(
                self._x, n_steps - done, step_ms / MS_PER_S, self._omega0, 0.0, self._par, self._kind, self._on,
                self._machine_island, self._net.count, self._ref, self._slot, self.v_floor_pu, lin.me, lin.cr,
                lin.jac, lin.ge, lin.gi, self._v, speed[done:])
            self._elapse(steps * step_ms)
            self._remember(speed[done : done + steps], step_ms)
            done += steps
            self._stale = True
            if code == k.BLEW_UP:
                raise ModelError(
                    self.case.machines.names[where], self.now_ms,
                    f"runs away: speed beyond {self.case.f0_hz * (1 + k.SPEED_LIMIT):.0f} Hz or below "
                    f"{self.case.f0_hz * (1 - k.SPEED_LIMIT):.0f} Hz within the next {step_ms} ms")
            if code == k.NO_VOLTAGE and retried == done:
                raise self._collapse()
            if code == k.NO_VOLTAGE or (steps and iterations > 16 * steps):
                retried = done if code == k.NO_VOLTAGE else -1
                self._relinearise()

    def _elapse(self, ms: int) -> None:
        self.now_ms += ms
        if self._condition.ramp_mva_per_s.any():
            self._condition.drift(ms)
            self._refresh_slots()

    def _scratch(self) -> Array:
        return np.empty((k.N_WORK, 2 * max(len(self.case.machines), len(self._slots.bus)) + 2))

    def _evaluate(self, x: Array, v: Array, slot: Array, scratch: Array, dx: Array) -> tuple[Array, int]:
        out, lin = np.empty((3, x.shape[1])), self._linear
        found = k.evaluate(
            x, 0.0, self._par, self._kind, self._on, self._machine_island, self._net.count, self._ref, slot,
            self.v_floor_pu, lin.me, lin.cr, lin.jac, lin.ge, lin.gi, v, scratch, dx, out)
        return out, found

    def get_state(self) -> dict[str, Any]:
        """Return everything that a restart needs."""
        lin = self._linear
        kept = {name: getattr(self, name) for name in _KEPT}
        return copy.deepcopy({
            **kept, "slots": self._slots.bus, "v": self._v, "linear": (lin.me, lin.cr, lin.jac),
        })

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned, on the same case."""
        state = copy.deepcopy(state)
        self._slots.admit(state["slots"].tolist())
        for name in _KEPT:
            setattr(self, name, state[name])
        self._reduce()
        self._linear.me, self._linear.cr, self._linear.jac = state["linear"]
        self._v = state["v"]
        self._refresh_slots()
