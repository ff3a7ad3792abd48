"""The transmission system inside the world: iterates with the distribution grids at each instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.clock import next_tick
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items
from sims.grid.taps import Avr
from sims.transmission.boundary import Boundary
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.schedule import Schedule
from sims.transmission.ties import Ties

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Plant:
    """Names and places: machines with their cell, interfaces with the DSO's slice, each cell's bias [MW/Hz]."""

    machines: tuple[str, ...]
    machine_cell: NDArray[np.int64]
    interfaces: tuple[str, ...]
    dso_interfaces: Mapping[str, NDArray[np.int64]]
    load_cell: NDArray[np.int64]
    bias_mw_per_hz: Floats

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.bias_mw_per_hz.size)


@dataclass(frozen=True)
class Trip:
    """The loss of a machine (row) at a time."""

    at_ms: int
    machine: int


@dataclass(frozen=True)
class Wish:
    """What the TSO wants at each interface: a voltage, and what reactive power that asks for.

    Q_ref = sat(k (U_set - U)), positive into transmission; `q_band_mvar` is both its limit and the static
    band that holds without it.
    """

    v_set_pu: Floats
    k_mvar_per_pu: float
    q_band_mvar: Floats

    def q_ref_mvar(self, v_pu: Floats) -> Floats:
        """Return the reactive power wished for at the voltages `v_pu` [Mvar]."""
        return np.clip(self.k_mvar_per_pu * (self.v_set_pu - v_pu), -self.q_band_mvar, self.q_band_mvar)


class TransmissionSimulator:
    """Transmission grid, machines under droop, interface transformers.

    At each grid step it tells `boundary` — for each DSO the complex voltages of its interfaces, the
    frequency [Hz] and whether that may be the last word — hears `exchange`, solves again, and stays silent
    once voltage and power agree.

    Parameters
    ----------
    load : callable
        Time [ms] -> static load by case load row [MVA].
    v_tolerance_pu, s_tolerance_mva : float
        When the boundary agrees.
    """

    ports = Ports(
        reads=("commands",),
        hears=("exchange",),
        writes=("f_hz", "interface", "cell", "gen", "system", "acts"),
        tells=("boundary",),
    )
    most_iterations = 50
    f_tolerance_hz = 1e-7

    def __init__(
        self, system: QuasiSteady, ties: Ties, schedule: Schedule, plant: Plant, avr: Avr,
        load: Callable[[int], Complexes], trips: Sequence[Trip], authorize: Authorize, step_ms: int, *,
        f_nominal_hz: float, wish: Wish, v_tolerance_pu: float = 1e-6, s_tolerance_mva: float = 1e-4,
    ) -> None:
        self.system, self.ties, self.schedule, self.plant = system, ties, schedule, plant
        self._avr, self._load, self._authorize, self._step_ms = avr, load, authorize, step_ms
        self._trips = sorted(trips, key=lambda t: t.at_ms)
        self._f0, self._wish = f_nominal_hz, wish
        self._v_tol, self._s_tol = v_tolerance_pu, s_tolerance_mva
        self._delta_mw = np.zeros(len(plant.machines))
        self._boundary = Boundary(len(plant.interfaces))
        self._v = np.ones(len(plant.interfaces), np.complex128)
        self._now_ms = self._solved_ms = -1
        self._iterations = 0

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Open the instant on the grid step, iterate on each exchange, close when it agrees."""
        following = next_tick(now_ms, self._step_ms)
        exchanges = items(inputs, "exchange")
        if now_ms % self._step_ms == 0 and now_ms != self._now_ms:
            self._now_ms, self._iterations = now_ms, 0
            actions = self._prepare(now_ms, items(inputs, "commands"))
            self._boundary.open()
            self._boundary.begin_at(np.abs(self.system.v_interface), self.system.df_hz)
            self._solve(now_ms)
            return Step(following, {"boundary": [self._offer()], "acts": tuple(actions)})
        if not exchanges:
            return Step(following)
        return self._iterate(now_ms, following, exchanges)

    def _iterate(self, now_ms: int, following: int, exchanges: Sequence[tuple[str, Complexes, Floats]]) -> Step:
        """Take what the distribution grids drew; offer new voltages, or close the instant."""
        self._iterations += 1
        boundary, per_hz = self._boundary.s_mva.copy(), self._boundary.per_hz.copy()
        for dso, drawn, droop in exchanges:
            at = self.plant.dso_interfaces[dso]
            boundary[at], per_hz[at] = drawn, droop
        ds_mva = float(np.abs(boundary - self.system.boundary_mva).max())
        before, df_before = self._v, self.system.df_hz
        self._boundary.take(boundary, per_hz, np.abs(before), df_before)
        self._solve(now_ms)
        dv_pu = float(np.abs(self._v - before).max())
        still = abs(self.system.df_hz - df_before) < self.f_tolerance_hz
        settled = self._iterations > 1 and still and dv_pu < self._v_tol and ds_mva < self._s_tol
        if not settled and self._iterations < self.most_iterations:
            return Step(following, {"boundary": [self._offer()]})
        if not settled:
            raise ModelError(
                "transmission", now_ms,
                f"the boundary does not agree after {self._iterations} iterations: {dv_pu:.1e} pu, {ds_mva:.1e} MVA",
            )
        self._solved_ms = now_ms
        self._boundary.close()
        return Step(following, self._results(now_ms, dv_pu, ds_mva))

    def _prepare(self, now_ms: int, orders: Sequence[Message]) -> list[Action]:
        """Do what happens between two power flows: trips, orders, tap changers."""
        actions: list[Action] = []
        for trip in self._trips:
            if trip.at_ms <= now_ms and self.system.running[trip.machine]:
                self.system.trip(trip.machine)
        for order in orders:
            self._obey(order, now_ms, actions)
        if self._solved_ms >= 0:
            moved = self._avr.act(np.abs(self._v), now_ms - self._solved_ms)
            for i in np.flatnonzero(moved).tolist():
                place, pos = self.plant.interfaces[i], float(self._avr.pos[i])
                actions.append(Action(now_ms, "device", "control_voltage", place, "tap_pos", pos))
        for i, pos in enumerate(self._avr.pos):
            self.system.engine.set_tap(self.tap_rows[i], int(pos))
        return actions

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

    def _solve(self, now_ms: int) -> None:
        self._p_set = self.schedule.machines(now_ms) + self._delta_mw
        self.system.solve(now_ms, self._p_set, self._load(now_ms), self._boundary.expected)
        self._v = self.system.v_interface.copy()

    def _offer(self) -> dict[str, tuple[Complexes, float, bool]]:
        """Return voltage, frequency and whether that may be the last word, for each DSO."""
        f_hz = self._f0 + self.system.df_hz
        return {dso: (self._v[at], f_hz, self._iterations > 0) for dso, at in self.plant.dso_interfaces.items()}

    def _results(self, now_ms: int, dv_pu: float, ds_mva: float) -> dict[str, Any]:
        """Return what the instant came to."""
        system, plant, engine = self.system, self.plant, self.system.engine
        at = self._interface_branches()
        v_high = np.abs(engine.v[engine.compiled.branch_from[at]])
        export = -(engine.p_from_mw[at] + 1j * engine.q_from_mvar[at])
        f_hz = np.full(plant.n_cells, self._f0 + system.df_hz)
        ties, planned = self.ties.exports(engine.v), self.schedule.exports(now_ms)
        return {
            "f_hz": f_hz,
            "interface": {
                "p_mw": export.real, "q_mvar": export.imag, "v_pu": v_high,
                "v_set_pu": self._wish.v_set_pu, "q_ref_mvar": self._wish.q_ref_mvar(v_high),
                "q_band_mvar": self._wish.q_band_mvar,
                "tap_pos": self._avr.pos.astype(float), "loading_percent": engine.loading_percent[at],
                "v_busbar_pu": np.abs(self._v),
            },
            "cell": {
                "f_hz": f_hz, "p_tie_mw": ties, "p_sched_mw": planned,
                "ace_mw": ties - planned + plant.bias_mw_per_hz * system.df_hz,
                "p_gen_mw": summed(plant.machine_cell, system.p_gen_mw, plant.n_cells),
                "p_load_mw": summed(plant.load_cell, system.load_mva.real, plant.n_cells),
            },
            "gen": {"p_mw": system.p_gen_mw, "p_set_mw": self._p_set},
            "system": {
                "gen_mw": np.array([system.p_gen_mw.sum()]),
                "static_load_mw": np.array([system.load_mva.real.sum()]),
                "loss_transmission_mw": np.array([float(engine.loss_mw)]),
                "residual_v_pu": np.array([dv_pu]), "residual_s_mva": np.array([ds_mva]),
                "iterations": np.array([float(self._iterations)]),
            },
        }

    def _interface_branches(self) -> NDArray[np.int64]:
        taps = self.system.engine.compiled.taps
        return np.array([int(taps[row].branches[0]) for row in self.tap_rows], np.int64)

    def get_state(self) -> dict[str, Any]:
        """Return balance, taps, secondary control, boundary and waiting orders."""
        return {
            "system": self.system.get_state(), "avr": self._avr.get_state(), "delta_mw": self._delta_mw.copy(),
            "boundary": self._boundary.get_state(), "v": self._v.copy(),
            "solved_ms": self._solved_ms,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.system.set_state(state["system"])
        self._avr.set_state(state["avr"])
        self._delta_mw = np.array(state["delta_mw"])
        self._boundary.set_state(state["boundary"])
        self._v = np.array(state["v"])
        self._solved_ms = state["solved_ms"]
