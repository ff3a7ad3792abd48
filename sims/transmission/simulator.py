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
from sims.grid.exchange import Exchange, Offer
from sims.grid.taps import Avr
from sims.transmission.boundary import Boundary
from sims.transmission.disturbances import Condition, Disturbance
from sims.transmission.plant import Plant, Wish
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.reserve import FOREVER_MS, CalledReserve
from sims.transmission.schedule import Schedule
from sims.transmission.seen import settled
from sims.transmission.ties import Ties
from sims.transmission.zoom import Machinery, Rows, Zoom

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class TransmissionSimulator:
    """Transmission grid, machines under droop, interface transformers.

    At each grid step it hears on `exchange` what the distribution grids draw and how that follows voltage and
    frequency, solves with that, writes down what the instant came to, and tells `boundary`: for each DSO an
    `Offer`. Who draws something else at that voltage says so, and it solves again; silence is consent.

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
        When the boundary agrees: what all interfaces together may draw beyond what was expected, and how far
        that would move any voltage.
    """

    ports = Ports(
        reads=("commands", "fast_mw"),
        hears=("exchange",),
        writes=("f_hz", "interface", "cell", "gen", "system", "acts", "fine"),
        tells=("boundary", "fast"), finite=("f_hz",),
    )
    most_iterations = 50

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
        self._f0, self._wish, self._v_tol, self._s_tol = f_nominal_hz, wish, v_tolerance_pu, s_tolerance_mva
        self._called = CalledReserve(plant.afrr_mw, plant.full_s)
        self._boundary = Boundary(len(plant.interfaces), f_nominal_hz)
        self._v = np.ones(len(plant.interfaces), np.complex128)
        self._told_ms = self._fast_ms = self._now_ms = self._solved_ms = self._planned_ms = self._begun_ms = -1
        self._iterations = 0
        self._set: list[int] = []

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Open the instant on the grid step, and solve on each exchange."""
        following = next_tick(now_ms, self._step_ms)
        exchanges = items(inputs, "exchange")
        if now_ms % self._step_ms == 0 and now_ms != self._now_ms:
            self._now_ms, self._iterations = now_ms, 0
            self._catch_up(now_ms, inputs)
            self._hand_back()
            actions = self._prepare(now_ms, items(inputs, "commands"))
            rows, self._rows = self.fine(), []
            self._boundary.open()
            return self._solve(now_ms, following, exchanges, {"acts": tuple(actions), "fine": rows})
        if exchanges:
            return self._solve(now_ms, following, exchanges, {})
        return self._between(now_ms, following, inputs)

    def _hand_back(self) -> None:
        """Go on quasi-steadily from where the machines have come to rest, if they have."""
        zoom = self.zoom
        if zoom is None or zoom.moving or not zoom.whole:
            return
        self._v = zoom.v_interface
        self._impose(zoom.hand_back(self.system))
        self.zoom = None

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
            self._f_fed_hz, self._fast_ms, self._begun_ms = self.zoom.f_cell_hz, -1, now_ms
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
        return next(later, FOREVER_MS) if self._dynamic else FOREVER_MS

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

    def _solve(self, now_ms: int, following: int, exchanges: Sequence[Exchange], outputs: dict[str, Any]) -> Step:
        """Take what the distribution grids drew, solve with it, offer and write down what that comes to."""
        self._iterations += 1
        if self._begun_ms == now_ms:  # machines may only start from an instant that all agree on
            self.zoom, self._begun_ms, self._rows = None, -1, []
        self._plan(now_ms)
        missed = [self._take(told) for told in exchanges]
        before = self._v
        zoom = self.zoom
        if zoom is not None:
            df_hz = zoom.f_cell_hz[zoom.interface_cell] - self._f0
            zoom.feeders(self._boundary.expected(np.abs(zoom.v_interface), df_hz), self._boundary.per_pu)
            self._v, drawn = zoom.v_interface, zoom.expected_mva(np.abs(zoom.v_interface))
            self._f_fed_hz = zoom.f_cell_hz
        else:
            self._v = self.system.solve(now_ms, self._p_set, self._static, self._boundary)
            drawn = self.system.boundary_mva
        if self._iterations > self.most_iterations:
            text = f"{np.abs(self._v - before).max():.1e} pu, {max(missed, default=0.0):.1e} MVA"
            raise ModelError(
                "transmission", now_ms, f"the boundary does not agree after {self.most_iterations} iterations: {text}")
        self._solved_ms = now_ms
        return self._follow(now_ms, following, outputs | {"boundary": [self._offer(drawn)]} | self._results(now_ms))

    def _take(self, told: Exchange) -> float:
        """Take what one distribution grid drew; return by how much that was not expected [MVA]."""
        at = self.plant.dso_interfaces[told.dso]
        expected = self._boundary.expected(np.abs(self._v), self.system.df_hz)[at]
        self._boundary.take(at, told)
        return float(np.abs(told.s_mva - expected).max())

    def _prepare(self, now_ms: int, orders: Sequence[Message]) -> list[Action]:
        """Do what happens between two power flows: trips, orders, tap changers."""
        actions: list[Action] = []
        if not self._dynamic:
            self._strike(now_ms)
        for order in orders:
            self._obey(order, now_ms, actions)
        self._called.advance(now_ms)
        if self._solved_ms >= 0 and self.zoom is None:
            moved = self._avr.act(np.abs(self._v), now_ms - self._solved_ms)
            for i in np.flatnonzero(moved).tolist():
                place, pos = self.plant.interfaces[i], float(self._avr.pos[i])
                actions.append(Action(now_ms, "device", "control_voltage", place, "tap_pos", pos))
        positions = self._avr.pos.tolist()
        if positions != self._set:
            for row, pos in zip(self.tap_rows, positions, strict=True):
                self.system.engine.set_tap(row, pos)
            self._set = positions
        return actions

    def _strike(self, now_ms: int) -> None:
        """Let the disturbances up to now take effect in the quasi-steady system."""
        due = [e for e in self._events if e.t_ms <= now_ms]
        if not due:
            return
        self._events = self._events[len(due) :]
        condition = copy.deepcopy(self._condition)
        for event in due:
            event.apply(self._machinery.case, condition)
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
            self._called.order(self.plant.machines.index(station), value, order.sent_ms, order.ttl_ms)
        elif rule is None and place in self.plant.interfaces and quantity == "v_set_pu":
            self._avr.v_set_pu[self.plant.interfaces.index(place)] = value
        elif rule is None and place in self.plant.interfaces and quantity == "tap_pos":
            self._avr.hold(self.plant.interfaces.index(place), int(value))
        elif rule is None:
            rule = f"{place} cannot move {quantity}"
        actions.append(Action(now_ms, order.sender, duty, place, quantity, value, 1, rule or ""))

    def _plan(self, now_ms: int) -> None:
        """Look up set-points and static loads of a new instant."""
        if now_ms == self._planned_ms:
            return
        self._p_set, self._static = self.schedule.machines(now_ms) + self._called.p_mw, self._load(now_ms)
        self._planned_ms = now_ms
        if self.zoom is not None:
            self.zoom.plan(self._p_set, self._static)

    def _offer(self, drawn_mva: Complexes) -> dict[str, Offer]:
        """Return voltage, frequency, and what was taken to be drawn there, for each DSO."""
        f_hz = np.full(self._v.size, self._f0 + self.system.df_hz)
        if self.zoom is not None:
            f_hz = self.zoom.f_cell_hz[self.zoom.interface_cell]
        r = self.system.response
        within = min(self._s_tol, self._v_tol / float(r.pu_per_mva.max())) / len(self.plant.dso_interfaces)
        return {
            dso: Offer(
                self._v[at], float(f_hz[at[0]]), drawn_mva[at], within, r.v_by_p[at[:, None], at],
                r.v_by_q[at[:, None], at])
            for dso, at in self.plant.dso_interfaces.items()
        }

    def _results(self, now_ms: int) -> dict[str, Any]:
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
                "iterations": np.array([float(self._iterations)]),
            },
        }

    def rest(self) -> None:
        """Let the power flow factorise anew, as it does after a restart."""
        self.system.engine.start_from(self.system.engine.v)

    def get_state(self) -> dict[str, Any]:
        """Return balance, taps, secondary control, boundary and waiting orders; not while the machines move."""
        if self.zoom is not None:
            raise ModelError("transmission", self._now_ms, "the machines move; take the state once they have settled")
        return {
            "system": self.system.get_state(), "avr": self._avr.get_state(), "called": self._called.get_state(),
            "boundary": self._boundary.get_state(), "v": self._v.copy(),
            "solved_ms": self._solved_ms, "condition": copy.deepcopy(self._condition), "rows": list(self._rows),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._impose(copy.deepcopy(state["condition"]))
        self.system.set_state(state["system"])
        self._events = [e for e in self._events if e.t_ms > state["solved_ms"]]
        for part, name in ((self._avr, "avr"), (self._called, "called"), (self._boundary, "boundary")):
            part.set_state(state[name])
        self._v, self._solved_ms, self._rows = np.array(state["v"]), state["solved_ms"], list(state["rows"])
