"""The transmission system inside the world: iterates with the distribution grids at each instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.clock import is_tick, next_tick
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items, one
from sims.grid.exchange import Exchange, Offer
from sims.grid.taps import Avr
from sims.transmission.boundary import Boundary
from sims.transmission.disturbances import Disturbance
from sims.transmission.machinery import Machinery
from sims.transmission.motion import Motion
from sims.transmission.plant import Plant, Wish
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.reserve import CalledReserve
from sims.transmission.restoring import STEP_MS as RESTORING_MS
from sims.transmission.schedule import Schedule
from sims.transmission.seen import Rows, settled
from sims.transmission.ties import Ties

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
    quasi-steady system goes on from there. While any of this lasts, every 4 s it tells on `ties` what stands in
    `cell` at the grid step, and power stations follow what has been ordered since. Otherwise a disturbance takes
    effect at the next grid step.

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
        tells=("boundary", "fast", "ties"), finite=("f_hz",),
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
        self._dynamic = dynamic
        self._f0, self._wish, self._v_tol, self._s_tol = f_nominal_hz, wish, v_tolerance_pu, s_tolerance_mva
        self._called = CalledReserve(plant.afrr_mw, plant.full_s)
        self._boundary = Boundary(len(plant.interfaces), f_nominal_hz)
        self._v = np.ones(len(plant.interfaces), np.complex128)
        taps, count = len(system.engine.compiled.taps), len(plant.interfaces)
        self._tap_rows = range(taps - count, taps)  # the interface transformers are the last
        self.motion = Motion(machinery, system, ties, self._boundary, avr, self._tap_rows, events)
        self._now_ms = self._solved_ms = self._planned_ms = -1
        self._scheduled = self._p_set = np.zeros(len(plant.machines))
        self._static = np.zeros(0, np.complex128)
        self._iterations = 0
        self._set: list[int] = []
        self._read: tuple[Message, ...] = ()
        self._acts: list[Action] = []

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Open the instant on the grid step, and solve on each exchange."""
        following = next_tick(now_ms, self._step_ms)
        exchanges = items(inputs, "exchange")
        if now_ms % self._step_ms == 0 and now_ms != self._now_ms:
            self._now_ms, self._iterations = now_ms, 0
            self.motion.catch_up(now_ms, one(inputs, "fast_mw"))
            self._hand_back()
            self._prepare(now_ms, inputs)
            self._boundary.open()
            acts, self._acts = tuple(self._acts), []
            return self._solve(now_ms, following, exchanges, {"acts": acts, "fine": self.motion.taken()})
        if exchanges:
            return self._solve(now_ms, following, exchanges, {})
        return self._between(now_ms, following, inputs)

    def _between(self, now_ms: int, following: int, inputs: Inputs) -> Step:
        """Between two grid steps: follow what moves, if anything does."""
        motion = self.motion
        if not self._dynamic or self._solved_ms < 0 or motion.told(now_ms):
            return Step(min(following, motion.due_ms(now_ms)) if self._dynamic else following)
        answer, outputs = one(inputs, "fast_mw"), dict[str, Any]()
        motion.catch_up(now_ms, answer)
        if is_tick(now_ms, RESTORING_MS) and motion.under_way:
            self._hand_back()
            self._obey(now_ms, inputs, between=True)
            self._p_set = self._scheduled + self._called.p_mw
            outputs["ties"] = [self._ties(motion.call(now_ms, answer, self._p_set, self._static))]
        return motion.follow(now_ms, following, self._p_set, outputs)

    def _ties(self, seen: Rows) -> dict[str, Floats]:
        """Return what is metered of each cell between two grid steps, with the exchange that was due at the last."""
        stored_mws, largest_mw = self.plant.running(seen["gen_fine"]["p_elec_mw"])
        return seen["cell_fine"] | {
            "p_sched_mw": self.schedule.exports(self._planned_ms), "inertia_mws": stored_mws, "largest_mw": largest_mw,
        }

    def _hand_back(self) -> None:
        v = self.motion.hand_back()
        if v is not None:
            self._v = v

    def since(self) -> tuple[tuple[tuple[int, Rows], ...], tuple[Action, ...]]:
        """Return time and signals of the exchanges, and the acts, since the last grid step."""
        return tuple(self.motion.rows), tuple(self._acts)

    def _solve(self, now_ms: int, following: int, exchanges: Sequence[Exchange], outputs: dict[str, Any]) -> Step:
        """Take what the distribution grids drew, solve with it, offer and write down what that comes to."""
        self._iterations += 1
        self._plan(now_ms)
        missed = [self._take(told) for told in exchanges]
        before = self._v
        self._v, drawn = self.motion.solve(now_ms, self._p_set, self._static)
        if self._iterations > self.most_iterations:
            text = f"{np.abs(self._v - before).max():.1e} pu, {max(missed, default=0.0):.1e} MVA"
            raise ModelError(
                "transmission", now_ms, f"the boundary does not agree after {self.most_iterations} iterations: {text}")
        self._solved_ms = now_ms
        outputs = outputs | {"boundary": [self._offer(drawn)]} | self._results(now_ms)
        if not self._dynamic:
            return Step(following, outputs)
        return self.motion.follow(now_ms, following, self._p_set, outputs)

    def _take(self, told: Exchange) -> float:
        """Take what one distribution grid drew; return by how much that was not expected [MVA]."""
        at = self.plant.dso_interfaces[told.dso]
        expected = self._boundary.expected(np.abs(self._v), self.system.df_hz)[at]
        self._boundary.take(at, told)
        return float(np.abs(told.s_mva - expected).max())

    def _prepare(self, now_ms: int, inputs: Inputs) -> None:
        """Do what happens between two power flows: trips, orders, tap changers."""
        if not self._dynamic:
            self.motion.strike(now_ms)
        self.motion.drift(now_ms)
        self._obey(now_ms, inputs)
        if self._solved_ms >= 0 and self.motion.zoom is None:
            moved = self._avr.act(np.abs(self._v), now_ms - self._solved_ms)
            for i in np.flatnonzero(moved).tolist():
                place, pos = self.plant.interfaces[i], float(self._avr.pos[i])
                self._acts.append(Action(now_ms, "device", "control_voltage", place, "tap_pos", pos))
        self._set_taps()

    def _set_taps(self) -> None:
        positions = self._avr.pos.tolist()
        if positions != self._set:
            for row, pos in zip(self._tap_rows, positions, strict=True):
                self.system.engine.set_tap(row, pos)
            self._set = positions

    def _obey(self, now_ms: int, inputs: Inputs, *, between: bool = False) -> None:
        """Carry out the orders that have arrived; between two grid steps, those to power stations.

        The box that they lie in is emptied after a grid step only: what has been read stays in it until then.
        """
        read = {id(order) for order in self._read}
        box = [o for o in items(inputs, "commands") if not (between and o.receiver in self.plant.interfaces)]
        for order in box:
            if id(order) not in read:
                self._called.advance(min(round(order.arrived_ms), now_ms))  # a station moves once the call is there
                self._carry_out(order, now_ms)
        self._called.advance(now_ms)
        self._read = tuple(box)

    def _carry_out(self, order: Message, now_ms: int) -> None:
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
        self._acts.append(Action(now_ms, order.sender, duty, place, quantity, value, 1, rule or ""))

    def _plan(self, now_ms: int) -> None:
        """Look up set-points and static loads of a new instant."""
        if now_ms == self._planned_ms:
            return
        self._scheduled, self._static = self.schedule.machines(now_ms), self._load(now_ms)
        self._p_set, self._planned_ms = self._scheduled + self._called.p_mw, now_ms

    def _offer(self, drawn_mva: Complexes) -> dict[str, Offer]:
        """Return voltage, frequency, and what was taken to be drawn there, for each DSO."""
        f_hz = np.full(self._v.size, self._f0 + self.system.df_hz)
        zoom = self.motion.zoom
        if zoom is not None:
            f_hz = zoom.f_cell_hz[zoom.interface_cell]
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
        motion, zoom = self.motion, self.motion.zoom
        if zoom is None:
            seen, load_mva = settled(system, self.ties, self._tap_rows, motion.condition.drawn_mva), system.load_mva
            f_hz = np.full(n, self._f0 + system.df_hz)
        else:
            seen, load_mva, f_hz = zoom.instant(), zoom.load_mva, zoom.f_cell_hz
        planned, stepped = self.schedule.exports(now_ms), seen.drawn_mva.real
        stored_mws, largest_mw = plant.running(seen.p_gen_mw)
        cell_load = summed(plant.load_cell, load_mva.real, n) + summed(motion.machinery.case.bus_cell, stepped, n)
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
                "inertia_mws": stored_mws, "largest_mw": largest_mw,
            },
            "gen": {"p_mw": seen.p_gen_mw, "p_set_mw": self._p_set},
            "system": {
                "gen_mw": np.array([seen.p_gen_mw.sum()]),
                "static_load_mw": np.array([load_mva.real.sum() + stepped.sum()]),
                "loss_transmission_mw": np.array([seen.loss_mw]),
                "iterations": np.array([float(self._iterations)]),
                "contraction": np.array([self._boundary.contraction(system.response)]),
            },
        }

    def rest(self) -> None:
        """Let the power flow factorise anew, as it does after a restart."""
        self.system.engine.start_from(self.system.engine.v)

    def get_state(self) -> dict[str, Any]:
        """Return balance, taps, secondary control, boundary, and what moves between two grid steps."""
        return {
            "system": self.system.get_state(), "avr": self._avr.get_state(), "called": self._called.get_state(),
            "boundary": self._boundary.get_state(), "motion": self.motion.get_state(), "v": self._v.copy(),
            "solved_ms": self._solved_ms, "scheduled": self._scheduled.copy(), "p_set": self._p_set.copy(),
            "static": self._static.copy(), "planned_ms": self._planned_ms, "read": self._read,
            "acts": list(self._acts),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        motion = self.motion
        motion.machinery.impose(self.system, motion.condition, state["motion"]["condition"])
        self.system.set_state(state["system"])
        for part, name in ((self._avr, "avr"), (self._called, "called"), (self._boundary, "boundary")):
            part.set_state(state[name])
        self._set_taps()
        self._v, self._solved_ms = np.array(state["v"]), state["solved_ms"]
        self._scheduled, self._p_set, self._static = (np.array(state[k]) for k in ("scheduled", "p_set", "static"))
        self._planned_ms, self._read, self._acts = state["planned_ms"], state["read"], list(state["acts"])
        motion.set_state(state["motion"], self._solved_ms)
