"""The transmission system inside the world: iterates with the distribution grids at each instant."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.clock import MS_PER_S, next_tick
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items, one
from sims.grid.taps import Avr
from sims.transmission.boundary import Boundary
from sims.transmission.disturbances import Condition, Disturbance
from sims.transmission.plant import Plant, Wish
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.schedule import Schedule
from sims.transmission.seen import settled
from sims.transmission.ties import Ties
from sims.transmission.zoom import Machinery, Rows, Zoom

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
NEVER_MS = 1 << 62
Exchange = tuple[str, Complexes, Complexes, Complexes]
"""A DSO, what its interfaces draw [MVA], and how that follows voltage [MVA/pu] and frequency [MVA/Hz]."""


class TransmissionSimulator:
    """Transmission grid, machines under droop, interface transformers.

    At each grid step it tells `boundary` — for each DSO the complex voltages of its interfaces, the
    frequency [Hz] and whether that may be the last word — hears `exchange`, solves again, and stays silent
    once voltage and power agree.

    Where `dynamic` is set, a disturbance starts the machines moving (`Zoom`) at its exact millisecond. Until they
    have settled it tells `fast` every 20 ms, one tick later — frequency by cell, the one the feeders were last
    solved for [Hz], and for how long it holds [s] — and takes from `fast_mw` what the devices answer at each
    interface. At a grid step within that time the feeders are solved again; at the first one after it the
    quasi-steady system goes on from there. Otherwise a disturbance takes effect at the next grid step.

    Parameters
    ----------
    load : callable
        Time [ms] -> static load by case load row [MVA].
    events : sequence of Disturbance
    machinery : Machinery
        What the disturbances concern, and what the machines in motion are made of.
    v_tolerance_pu, s_tolerance_mva : float
        When the boundary agrees.
    """

    ports = Ports(
        reads=("commands", "fast_mw"),
        hears=("exchange",),
        writes=("f_hz", "interface", "cell", "gen", "system", "acts", "fine"),
        tells=("boundary", "fast"),
    )
    most_iterations = 50
    f_tolerance_hz = 1e-7
    opening_mw, passing_mw = 0.2, 1e-3
    """What the first guess of an instant may leave over, and a solution that cannot be the last one."""

    def __init__(
        self, system: QuasiSteady, ties: Ties, schedule: Schedule, plant: Plant, avr: Avr,
        load: Callable[[int], Complexes], events: Sequence[Disturbance], authorize: Authorize, step_ms: int, *,
        f_nominal_hz: float, wish: Wish, machinery: Machinery, dynamic: bool = False, v_tolerance_pu: float = 1e-6,
        s_tolerance_mva: float = 1e-4,
    ) -> None:
        self.system, self.ties, self.schedule, self.plant = system, ties, schedule, plant
        self._avr, self._load, self._authorize, self._step_ms = avr, load, authorize, step_ms
        self._events = sorted(events, key=lambda e: e.t_ms)
        self._machinery, self._dynamic = machinery, dynamic
        self._condition = Condition.normal(machinery.case)
        self.zoom: Zoom | None = None
        self._rows: list[tuple[int, Rows]] = []
        self._told_ms = self._fast_ms = -1
        self._f0, self._wish = f_nominal_hz, wish
        self._v_tol, self._s_tol = v_tolerance_pu, s_tolerance_mva
        self._delta_mw = np.zeros(len(plant.machines))
        self._boundary = Boundary(len(plant.interfaces))
        self._v = np.ones(len(plant.interfaces), np.complex128)
        self._now_ms = self._solved_ms = self._planned_ms = -1
        self._iterations = 0

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Open the instant on the grid step, iterate on each exchange, close when it agrees."""
        following = next_tick(now_ms, self._step_ms)
        exchanges = items(inputs, "exchange")
        if now_ms % self._step_ms == 0 and now_ms != self._now_ms:
            self._now_ms, self._iterations = now_ms, 0
            self._catch_up(now_ms, inputs)
            over = self._hand_back()
            actions = self._prepare(now_ms, items(inputs, "commands"))
            if self.zoom is None:
                if not over:
                    self._boundary.open()
                self._boundary.begin_at(np.abs(self._v), self.system.df_hz)
            self._solve(now_ms, self.opening_mw)
            rows, self._rows = self.fine(), []
            return Step(following, {"boundary": [self._offer()], "acts": tuple(actions), "fine": rows})
        if exchanges:
            return self._iterate(now_ms, following, exchanges)
        return self._between(now_ms, following, inputs)

    def _hand_back(self) -> bool:
        """Go on quasi-steadily from where the machines have come to rest, if they have; tell whether."""
        zoom = self.zoom
        if zoom is None or zoom.moving or not zoom.whole:
            return False
        self._v = zoom.v_interface
        self._boundary.s_mva = zoom.expected_mva(np.abs(self._v))
        self._impose(zoom.hand_back(self.system))
        self.zoom = None
        return True

    def _catch_up(self, now_ms: int, inputs: Inputs) -> None:
        """Let the machines move to `now_ms` with what the devices answered to the frequency told last."""
        if self.zoom is None or self.zoom.now_ms >= now_ms:
            return
        answer = one(inputs, "fast_mw")
        if answer is not None and self._fast_ms >= 0:
            self.zoom.answer(answer)
        self.zoom.advance(now_ms)
        self._rows.append((now_ms, self.zoom.signals()))

    def _between(self, now_ms: int, following: int, inputs: Inputs) -> Step:
        """Between two instants: begin to follow the machines, or follow them further."""
        if not self._dynamic or self._solved_ms < 0 or now_ms == self._told_ms:
            return Step(min(following, self._due_ms(now_ms)))
        self._catch_up(now_ms, inputs)
        return self._follow(now_ms, following, {})

    def _follow(self, now_ms: int, following: int, outputs: dict[str, Any]) -> Step:
        """Start the machines where a disturbance is due; tell the devices while they move."""
        due = [e for e in self._events if e.t_ms >= now_ms] if self._dynamic else []
        if due and due[0].t_ms == now_ms and self.zoom is None:
            step_percent = np.array([t.tap_step_percent for t in self._machinery.transformers])
            tap = 1 + self._avr.pos * step_percent / 100
            self.zoom = Zoom(
                self._machinery, self.system, self._condition, at_ms=now_ms, p_set_mw=self._p_set,
                drawn_mva=self.system.boundary_mva, per_pu=self._boundary.per_pu, tap_ratio=tap, events=due)
            self._f_fed_hz, self._fast_ms = self.zoom.f_cell_hz, -1
            self._rows.append((now_ms, self.zoom.signals()))
        zoom = self.zoom
        if zoom is not None and due and due[0].t_ms == now_ms:
            zoom.moving = True
        if zoom is None or (zoom.whole and not zoom.moving):
            return Step(min(following, self._due_ms(now_ms)), outputs)
        self._told_ms = self._fast_ms = now_ms
        after = min(following, self._due_ms(now_ms), next_tick(now_ms, zoom.step_ms))
        f_hz = zoom.f_cell_hz
        told = {"f_hz": f_hz, "fast": [(f_hz, self._f_fed_hz, (after - now_ms) / MS_PER_S)]}
        return Step(after, outputs | told)

    def _due_ms(self, now_ms: int) -> int:
        """Return when the next disturbance starts the machines, a time far off where none does."""
        later = (e.t_ms for e in self._events if e.t_ms > now_ms)
        return next(later, NEVER_MS) if self._dynamic else NEVER_MS

    def _impose(self, condition: Condition) -> None:
        """Bring the quasi-steady system to what is in service, and to what is drawn beyond its loads."""
        for machine in np.flatnonzero(self.system.running & ~condition.online).tolist():
            self.system.trip(machine)
        for row in np.flatnonzero(self._condition.closed != condition.closed).tolist():
            self.system.switch(*self._machinery.branches[row], closed=bool(condition.closed[row]))
        stepped = np.zeros(self.system.engine.n_nodes, np.complex128)
        np.add.at(stepped, self._machinery.bus_node, condition.drawn_mva)
        self.system.draw(stepped)
        self._condition = condition

    def fine(self) -> tuple[tuple[int, Rows], ...]:
        """Return time and signals of the exchanges since the last grid step."""
        return tuple(self._rows)

    def _iterate(self, now_ms: int, following: int, exchanges: Sequence[Exchange]) -> Step:
        """Take what the distribution grids drew; offer new voltages, or close the instant."""
        self._iterations += 1
        known, zoom = self._boundary, self.zoom
        boundary, per_pu, per_hz = known.s_mva.copy(), known.per_pu.copy(), known.per_hz.copy()
        for dso, *told in exchanges:
            at = self.plant.dso_interfaces[dso]
            boundary[at], per_pu[at], per_hz[at] = told
        if zoom is not None:
            return self._iterate_moving(zoom, now_ms, following, (boundary, per_pu, per_hz))
        before, df_before = self._v, self.system.df_hz
        ds_mva = float(np.abs(boundary - known.expected(np.abs(before), df_before)).max())
        known.take(boundary, per_pu, per_hz, np.abs(before), df_before)
        self._solve(now_ms, None if ds_mva < self._s_tol else self.passing_mw)
        dv_pu = float(np.abs(self._v - before).max())
        still = abs(self.system.df_hz - df_before) < self.f_tolerance_hz
        settled = self._iterations > 1 and still and dv_pu < self._v_tol and ds_mva < self._s_tol
        return self._close(now_ms, following, settled, dv_pu, ds_mva)

    def _iterate_moving(self, zoom: Zoom, now_ms: int, following: int, told: tuple[Complexes, ...]) -> Step:
        """Take what was drawn while the machines move: their state stands, the network answers."""
        before, (drawn, per_pu, per_hz) = self._v, told
        ds_mva = float(np.abs(drawn - zoom.expected_mva(np.abs(before))).max())
        zoom.feeders(drawn, per_pu)
        self._boundary.take(drawn, per_pu, per_hz, np.abs(before), zoom.df_hz)
        self._v = zoom.v_interface
        dv_pu = float(np.abs(self._v - before).max())
        settled = self._iterations > 1 and dv_pu < self._v_tol and ds_mva < self._s_tol
        return self._close(now_ms, following, settled, dv_pu, ds_mva)

    def _close(self, now_ms: int, following: int, settled: bool, dv_pu: float, ds_mva: float) -> Step:
        """Close the instant if it agrees, offer again if not."""
        if not settled and self._iterations < self.most_iterations:
            return Step(following, {"boundary": [self._offer()]})
        if not settled:
            text = f"after {self._iterations} iterations: {dv_pu:.1e} pu, {ds_mva:.1e} MVA"
            raise ModelError("transmission", now_ms, f"the boundary does not agree {text}")
        self._solved_ms = now_ms
        self._boundary.close()
        if self.zoom is not None:
            self._f_fed_hz = self.zoom.f_cell_hz
        return self._follow(now_ms, following, self._results(now_ms, dv_pu, ds_mva))

    def _prepare(self, now_ms: int, orders: Sequence[Message]) -> list[Action]:
        """Do what happens between two power flows: trips, orders, tap changers."""
        actions: list[Action] = []
        if not self._dynamic:
            self._strike(now_ms)
        for order in orders:
            self._obey(order, now_ms, actions)
        if self._solved_ms >= 0 and self.zoom is None:
            moved = self._avr.act(np.abs(self._v), now_ms - self._solved_ms)
            for i in np.flatnonzero(moved).tolist():
                place, pos = self.plant.interfaces[i], float(self._avr.pos[i])
                actions.append(Action(now_ms, "device", "control_voltage", place, "tap_pos", pos))
        for i, pos in enumerate(self._avr.pos):
            self.system.engine.set_tap(self.tap_rows[i], int(pos))
        return actions

    def _strike(self, now_ms: int) -> None:
        """Let the disturbances up to now take effect in the quasi-steady system."""
        due = [e for e in self._events if e.t_ms <= now_ms]
        self._events = self._events[len(due) :]
        condition = copy.deepcopy(self._condition)
        for event in due:
            event.apply(self._machinery.case, condition)
        if due:
            self._impose(condition)

    @property
    def tap_rows(self) -> tuple[int, ...]:
        """Rows of the interface transformers in the engine's tap table: the last ones."""
        total = len(self.system.engine.compiled.taps)
        return tuple(range(total - len(self.plant.interfaces), total))

    def _obey(self, order: Message, now_ms: int, actions: list[Action]) -> None:
        """Carry out an order to a power station or an interface transformer, if it is the sender's to give."""
        duty, values = order.topic.removeprefix("command/"), order.values
        rule = self._authorize(order.sender, duty, order.receiver, now_ms)
        quantity = next((q for q in ("p_delta_mw", "v_set_pu", "tap_pos") if q in values), "nothing")
        value = float(np.sum(values.get(quantity, 0.0)))
        place = order.receiver
        station = place.removeprefix("gen.") if place.startswith("gen.") else ""
        if rule is None and station not in self.plant.machines and place not in self.plant.interfaces:
            rule = f"there is nothing at {place}"
        if rule is None and quantity == "p_delta_mw" and station:
            self._delta_mw[self.plant.machines.index(station)] = value
        elif rule is None and place in self.plant.interfaces and quantity == "v_set_pu":
            self._avr.v_set_pu[self.plant.interfaces.index(place)] = value
        elif rule is None and place in self.plant.interfaces and quantity == "tap_pos":
            self._avr.hold(self.plant.interfaces.index(place), int(value))
        elif rule is None:
            rule = f"{place} cannot move {quantity}"
        actions.append(Action(now_ms, order.sender, duty, place, quantity, value, 1, rule or ""))

    def _solve(self, now_ms: int, tolerance_mw: float | None) -> None:
        if now_ms != self._planned_ms:
            self._p_set, self._static = self.schedule.machines(now_ms) + self._delta_mw, self._load(now_ms)
            self._planned_ms = now_ms
            if self.zoom is not None:
                self.zoom.plan(self._p_set, self._static)
        if self.zoom is not None:
            self._v = self.zoom.v_interface
            return
        self._v = self.system.solve(now_ms, self._p_set, self._static, self._boundary.expected, tolerance_mw)

    def _offer(self) -> dict[str, tuple[Complexes, float, bool]]:
        """Return voltage, frequency and whether that may be the last word, for each DSO."""
        last = self._iterations > 0
        f_hz = np.full(self._v.size, self._f0 + self.system.df_hz)
        if self.zoom is not None:
            f_hz = self.zoom.f_cell_hz[self.zoom.interface_cell]
        return {dso: (self._v[at], float(f_hz[at[0]]), last) for dso, at in self.plant.dso_interfaces.items()}

    def _results(self, now_ms: int, dv_pu: float, ds_mva: float) -> dict[str, Any]:
        """Return what the instant came to."""
        system, plant, n = self.system, self.plant, self.plant.n_cells
        if self.zoom is None:
            seen, load_mva = settled(system, self.ties, self.tap_rows, self._condition.drawn_mva), system.load_mva
            f_hz = np.full(n, self._f0 + system.df_hz)
        else:
            seen, load_mva, f_hz = self.zoom.instant(), self.zoom.load_mva, self.zoom.f_cell_hz
        planned, stepped = self.schedule.exports(now_ms), seen.drawn_mva.real
        cell_load = summed(plant.load_cell, load_mva.real, n) + summed(self._machinery.case.bus_cell, stepped, n)
        return {
            "f_hz": f_hz,
            "interface": {
                "p_mw": seen.export_mva.real, "q_mvar": seen.export_mva.imag, "v_pu": seen.v_high_pu,
                "v_set_pu": self._wish.v_set_pu, "q_ref_mvar": self._wish.q_ref_mvar(seen.v_high_pu),
                "q_band_mvar": self._wish.q_band_mvar,
                "tap_pos": self._avr.pos.astype(float), "loading_percent": seen.loading_percent,
                "v_busbar_pu": np.abs(self._v),
            },
            "cell": {
                "f_hz": f_hz, "p_tie_mw": seen.p_tie_mw, "p_sched_mw": planned,
                "ace_mw": seen.p_tie_mw - planned + plant.bias_mw_per_hz * (f_hz - self._f0),
                "p_gen_mw": summed(plant.machine_cell, seen.p_gen_mw, n), "p_load_mw": cell_load,
            },
            "gen": {"p_mw": seen.p_gen_mw, "p_set_mw": self._p_set},
            "system": {
                "gen_mw": np.array([seen.p_gen_mw.sum()]),
                "static_load_mw": np.array([load_mva.real.sum() + stepped.sum()]),
                "loss_transmission_mw": np.array([seen.loss_mw]),
                "residual_v_pu": np.array([dv_pu]), "residual_s_mva": np.array([ds_mva]),
                "iterations": np.array([float(self._iterations)]),
            },
        }

    def get_state(self) -> dict[str, Any]:
        """Return balance, taps, secondary control, boundary and waiting orders; not while the machines move."""
        if self.zoom is not None:
            raise ModelError("transmission", self._now_ms, "the machines move; take the state once they have settled")
        return {
            "system": self.system.get_state(), "avr": self._avr.get_state(), "delta_mw": self._delta_mw.copy(),
            "boundary": self._boundary.get_state(), "v": self._v.copy(),
            "solved_ms": self._solved_ms, "condition": copy.deepcopy(self._condition),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.system.set_state(state["system"])
        self._impose(copy.deepcopy(state["condition"]))
        self._events = [e for e in self._events if e.t_ms > state["solved_ms"]]
        self._avr.set_state(state["avr"])
        self._delta_mw = np.array(state["delta_mw"])
        self._boundary.set_state(state["boundary"])
        self._v = np.array(state["v"])
        self._solved_ms = state["solved_ms"]
