"""One DSO inside the world: answers the transmission grid's voltage with its feeders' power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import next_tick
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items, one
from sims.distribution.devices import DeviceMap, Devices
from sims.distribution.feeders import Drawn, Feeders
from sims.distribution.upstream import Upstream
from sims.grid.curve import Curve
from sims.grid.exchange import Exchange, Offer
from sims.grid.taps import Avr

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]

MOST_SETTLING = 4
"""Rounds in which tap changers find their positions at the start; each moves by as many steps as it takes."""
GUESSES = 2
"""How often the opening of an instant may correct its voltages by its own power."""
SETTLING_OFFERS = 2
"""Offers of the first instant at which they do so; from then on they stand still, so that the boundary can agree."""


@dataclass(frozen=True)
class LineFault:
    """A lasting fault on a line of one feeder [pandapower index], from `at_ms` until repaired."""

    at_ms: int
    feeder: int
    line: int
    repaired_ms: int


class DistributionSimulator:
    """All feeders of one DSO.

    At each grid step it solves at the voltages and the frequency of the last one and tells `exchange`: what each
    interface draws, and how that follows its voltage and the frequency. On `boundary` it hears what the
    transmission grid makes of it (`Offer`), solves at those voltages and writes down what the instant came to; if
    the interfaces draw something else than was expected there it tells `exchange` again. Taps, switches and base
    injections stand still meanwhile. In the first instant it has no voltages and waits for an offer.

    A feeder without a solution stops the run, or is held (`Feeders`): then it has no readings, NaN in all its
    figures and ``converged`` 0, while its devices go on at the voltage and the power that they had last.
    """

    ports = Ports(
        reads=("p_mw", "q_mvar", "pu_mw", "qu_mvar", "pf_mw", "p_avail_mw", "commands"),
        hears=("boundary",),
        writes=(
            "v_pu", "p_node_mw", "q_node_mvar", "flow_p_mw", "flow_q_mvar", "loading_percent", "tap_pos",
            "v_set_pu", "v_dev_pu", "p_real_mw", "q_real_mvar", "der_avail_mw", "der_mw", "feeder", "bus", "line",
            "trafo", "residual", "acts", "faults",
        ),
        tells=("exchange",), finite=("p_real_mw", "q_real_mvar", "flow_p_mw", "flow_q_mvar"),
    )
    threaded = True

    def __init__(
        self, name: str, feeders: Feeders, devices: DeviceMap, avr: Avr, busbar: Ints,
        curves: Sequence[Curve], faults: Sequence[LineFault], authorize: Authorize, step_ms: int,
    ) -> None:
        self.name, self.feeders = name, feeders
        self.devices = Devices(devices, feeders, curves)
        self._avr, self._busbar = avr, busbar
        self._faults = sorted(faults, key=lambda f: f.at_ms)
        self._authorize, self._step_ms = authorize, step_ms
        self._now_ms = self._solved_ms = self._tried_ms = -1
        self._offers = 0
        self._upstream = Upstream()
        kinds = np.concatenate([f.grid.branch_kind for f in feeders.feeders])
        self._lines, self._trafos = np.flatnonzero(kinds == "line"), np.flatnonzero(kinds == "trafo")
        regulated = [
            int(start) + int(f.grid.taps[t].branches[0])
            for f, start, taps in zip(feeders.feeders, feeders.branch_start, feeders.regulated, strict=False)
            for t in taps
        ]
        self._regulated = np.searchsorted(self._trafos, np.array(regulated, np.int64))
        feeders.set_taps(avr.pos)
        if feeders.hold:
            self.ports = replace(self.ports, finite=("p_real_mw", "q_real_mvar"))

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Prepare the instant once and tell what is drawn; on an offer solve with it, and tell what is different."""
        offers = items(inputs, "boundary")
        following = next_tick(now_ms, self._step_ms)
        if not offers and (not self._upstream.known or now_ms % self._step_ms):
            return Step(following)
        told: dict[str, Any] = {}
        if now_ms != self._now_ms:
            told = self._prepare(now_ms, inputs)
            self._now_ms = now_ms
        if not offers:
            return Step(following, told | self._open(now_ms))
        offer: Offer = offers[-1][self.name]
        self._upstream.hear(offer, now_ms)
        drawn = self._drawn(now_ms, offer.v_pu, offer.f_hz)
        missed = np.abs(drawn.s_mva - offer.drawn_mva)
        self._solved_ms = now_ms
        told |= self._results(missed, (np.abs(offer.by_p) + np.abs(offer.by_q)) @ missed)
        if missed.sum() > offer.within_mva:
            told |= self._exchange(drawn, offer.v_pu, offer.f_hz)
        return Step(following, told)

    def _open(self, now_ms: int) -> dict[str, Any]:
        """Solve at the voltages that the grid above is likely to come to, and tell what is drawn there."""
        above = self._upstream
        v_pu, f_hz = above.begin()
        drawn = self.feeders.foresee(v_pu, self.devices.follow(f_hz))
        for _ in range(GUESSES):
            better = above.answer(v_pu, drawn)
            if np.abs(better - v_pu).max() < above.near_pu:
                break
            v_pu = better
            drawn = self._drawn(now_ms, v_pu, f_hz)
        return self._exchange(drawn, v_pu, f_hz)

    def _drawn(self, now_ms: int, v_pu: Complexes, f_hz: float) -> Drawn:
        """Solve all feeders at these voltages and this frequency; at a new instant those that were held, too."""
        if now_ms != self._tried_ms:
            self._tried_ms, self.feeders.held[:] = now_ms, False
        drawn = self.feeders.solve(v_pu, self.devices.follow(f_hz))
        if self._offers < SETTLING_OFFERS and self._solved_ms in (-1, now_ms):
            self._offers += 1
            drawn = self._settle_taps(v_pu, drawn)
        if not np.isfinite(drawn.s_mva).all():
            where = ", ".join(self.feeders.feeders[f].name for f in np.flatnonzero(~self.feeders.converged))
            raise ModelError(self.name, now_ms, f"power flow of {where} has no solution")
        return drawn

    def _exchange(self, drawn: Drawn, v_pu: Complexes, f_hz: float) -> dict[str, Any]:
        """Return what the transmission grid is told."""
        return {"exchange": [Exchange(self.name, drawn.s_mva, drawn.per_pu, drawn.per_hz, np.abs(v_pu), f_hz)]}

    def _settle_taps(self, v_interface: Complexes, drawn: Drawn) -> Drawn:
        """Let the tap changers stand at the first instant where the hours before would have brought them."""
        for _ in range(MOST_SETTLING):
            if not self._avr.settle(np.abs(self.feeders.v[self._busbar])):
                break
            self.feeders.set_taps(self._avr.pos)
            drawn = self.feeders.solve(v_interface)
        return drawn

    def _prepare(self, now_ms: int, inputs: Inputs) -> dict[str, Any]:
        """Do what happens between two power flows: faults, orders, tap changers, new injections."""
        actions: list[Action] = []
        faults: list[dict[str, Any]] = []
        self._switch(now_ms, items(inputs, "commands"), actions, faults)
        if self._solved_ms >= 0:
            moved = self._avr.act(np.abs(self.feeders.v[self._busbar]), now_ms - self._solved_ms)
            if moved.any():
                actions += self._tap_actions(np.flatnonzero(moved), now_ms)
        self.feeders.set_taps(self._avr.pos)
        self.devices.take(*(one(inputs, port) for port in self.ports.reads[:-1]))
        return {"acts": tuple(actions), "faults": tuple(faults)}

    def _switch(
        self, now_ms: int, orders: Sequence[Message], actions: list[Action], faults: list[dict[str, Any]]
    ) -> None:
        """Let faults strike and heal, carry out orders, and let protection answer."""
        changed: set[int] = set()
        for fault in self._faults:
            state = self.feeders.states[fault.feeder]
            if fault.at_ms <= now_ms < fault.repaired_ms and fault.line not in state.faulted:
                state.faulted.add(fault.line)
                changed.add(fault.feeder)
            elif now_ms >= fault.repaired_ms and fault.line in state.faulted:
                state.faulted.discard(fault.line)
        for order in orders:
            changed |= self._obey(order, now_ms, actions)
        for f in sorted(changed):
            name = self.feeders.feeders[f].name
            for head, seen in self.feeders.states[f].trip():
                faults.append({"feeder": name, "tripped_line": head, "passed": seen})
                actions.append(Action(now_ms, "device", "protection", name, "closed", 0.0))
            self.feeders.switch(f)

    def _obey(self, order: Message, now_ms: int, actions: list[Action]) -> set[int]:
        """Carry out one order if it is the sender's to give; return the feeders whose topology changed."""
        duty, values = order.topic.removeprefix("command/"), order.values
        rule = self._authorize(order.sender, duty, order.receiver, now_ms)
        names = [f.name for f in self.feeders.feeders]
        if rule is None and order.receiver not in names:
            rule = f"there is no feeder {order.receiver}"
        quantity = next(q for q in ("closed", "v_set_pu", "tap_pos", *values) if q in values)
        value = np.atleast_1d(np.asarray(values[quantity], float))
        total, refused = float(value.sum()), rule or ""
        actions.append(Action(now_ms, order.sender, duty, order.receiver, quantity, total, value.size, refused))
        if rule is not None:
            return set()
        f = names.index(order.receiver)
        if quantity == "closed":
            moved = self.feeders.states[f].move(np.atleast_1d(values["line"]), value > 0.5)
            return {f} if moved else set()
        grid = self.feeders.feeders[f].grid
        elements = [grid.taps[t].element for t in self.feeders.regulated[f]]
        for trafo, wanted in zip(np.atleast_1d(values["trafo"]), value, strict=True):
            if int(trafo) in elements:
                i = int(self.feeders.tap_start[f]) + elements.index(int(trafo))
                if quantity == "v_set_pu":
                    self._avr.v_set_pu[i] = wanted
                else:
                    self._avr.hold(i, int(wanted))
        return set()

    def _tap_actions(self, moved: Ints, now_ms: int) -> list[Action]:
        feeder = np.searchsorted(self.feeders.tap_start, moved, side="right") - 1
        names = [self.feeders.feeders[f].name for f in feeder]
        return [
            Action(now_ms, "device", "control_voltage", name, "tap_pos", float(self._avr.pos[i]))
            for name, i in zip(names, moved, strict=True)
        ]

    def _results(self, residual_mva: Floats, residual_pu: Floats) -> dict[str, Any]:
        """Return what the instant came to, devices and feeders included."""
        feeders, figures = self.feeders, self.devices.figures()
        return figures | {
            "residual": {"residual_s_mva": residual_mva, "residual_v_pu": residual_pu},
            "flow_p_mw": feeders.flow_mva.real, "flow_q_mvar": feeders.flow_mva.imag,
            "loading_percent": feeders.loading_percent,
            "tap_pos": self._avr.pos, "v_set_pu": self._avr.v_set_pu,
            "bus": {"vm_pu": figures["v_pu"]},
            "line": {"loading_percent": feeders.loading_percent[self._lines]},
            "trafo": {"loading_percent": feeders.loading_percent[self._trafos], "tap_pos": self._positions()},
        }

    def _positions(self) -> Floats:
        """Return the tap position of each transformer, NaN where it is not regulated."""
        out = np.full(self._trafos.size, np.nan)
        out[self._regulated] = self._avr.pos
        return out

    def rest(self) -> None:
        """Let feeders that are solved by themselves start anew, as they do after a restart."""
        self.feeders.forget_alone()

    def get_state(self) -> dict[str, Any]:
        """Return taps, switches, the last voltages and the frequency they were found at."""
        return {
            "avr": self._avr.get_state(), "feeders": self.feeders.get_state(), "devices": self.devices.get_state(),
            "solved_ms": self._solved_ms, "offers": self._offers, "upstream": self._upstream.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._avr.set_state(state["avr"])
        self.feeders.set_state(state["feeders"], self._avr.pos)
        self.devices.set_state(state["devices"])
        self._solved_ms, self._offers = state["solved_ms"], state["offers"]
        self._upstream.set_state(state["upstream"])
