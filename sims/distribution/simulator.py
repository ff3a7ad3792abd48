"""One DSO inside the world: answers the transmission grid's voltage with its feeders' power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from sims.grid.curve import Curve
from sims.grid.taps import Avr

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]

MOST_SETTLING = 4
"""Rounds in which tap changers find their positions at the start; each moves by as many steps as it takes."""


@dataclass(frozen=True)
class LineFault:
    """A lasting fault on a line of one feeder [pandapower index], from `at_ms` until repaired."""

    at_ms: int
    feeder: int
    line: int
    repaired_ms: int


class DistributionSimulator:
    """All feeders of one DSO.

    On `boundary` it hears the interfaces' complex voltages and the frequency, solves, and tells `exchange`:
    the power each interface draws [MVA], and how that follows its voltage [MVA/pu] and the frequency
    [MVA/Hz]. This may repeat within one instant; taps, switches and base injections stand still meanwhile.
    Where it may have been the last time, it also writes down what the instant came to.
    """

    ports = Ports(
        reads=("p_mw", "q_mvar", "pu_mw", "qu_mvar", "pf_mw", "p_avail_mw", "commands"),
        hears=("boundary",),
        writes=(
            "v_pu", "p_node_mw", "q_node_mvar", "flow_p_mw", "flow_q_mvar", "loading_percent", "tap_pos",
            "v_set_pu", "v_dev_pu", "p_real_mw", "q_real_mvar", "der_avail_mw", "der_mw", "feeder", "bus", "line",
            "trafo", "acts", "faults",
        ),
        tells=("exchange",),
    )

    def __init__(
        self, name: str, feeders: Feeders, devices: DeviceMap, avr: Avr, busbar: Ints,
        curves: Sequence[Curve], faults: Sequence[LineFault], authorize: Authorize, step_ms: int,
    ) -> None:
        self.name, self.feeders = name, feeders
        self.devices = Devices(devices, feeders, curves)
        self._avr, self._busbar = avr, busbar
        self._faults = sorted(faults, key=lambda f: f.at_ms)
        self._authorize, self._step_ms = authorize, step_ms
        self._now_ms = -1
        self._solved_ms = -1
        kinds = np.concatenate([f.grid.branch_kind for f in feeders.feeders])
        self._lines, self._trafos = np.flatnonzero(kinds == "line"), np.flatnonzero(kinds == "trafo")
        regulated = [
            int(start) + int(f.grid.taps[t].branches[0])
            for f, start, taps in zip(feeders.feeders, feeders.branch_start, feeders.regulated, strict=False)
            for t in taps
        ]
        self._regulated = np.searchsorted(self._trafos, np.array(regulated, np.int64))
        feeders.set_taps(avr.pos)

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """On a boundary voltage prepare the instant once, solve, answer."""
        boundary = items(inputs, "boundary")
        if not boundary:
            return Step(next_tick(now_ms, self._step_ms))
        told: dict[str, Any] = {}
        if now_ms != self._now_ms:
            told = self._prepare(now_ms, inputs)
            self._now_ms = now_ms
        v_interface, f_hz, last = boundary[-1][self.name]
        drawn = self.feeders.solve(v_interface, self.devices.follow(f_hz))
        if self._solved_ms < 0:
            drawn = self._settle_taps(v_interface, drawn)
        if not np.isfinite(drawn.s_mva).all():
            where = ", ".join(self.feeders.feeders[f].name for f in np.flatnonzero(~self.feeders.converged))
            raise ModelError(self.name, now_ms, f"power flow of {where} has no solution")
        told["exchange"] = [(self.name, drawn.s_mva, drawn.per_pu, drawn.per_hz)]
        if last:
            self._solved_ms = now_ms
            told |= self._results()
        return Step(next_tick(now_ms, self._step_ms), told)

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

    def _results(self) -> dict[str, Any]:
        """Return what the instant came to, devices and feeders included."""
        feeders, figures = self.feeders, self.devices.figures()
        return figures | {
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

    def get_state(self) -> dict[str, Any]:
        """Return taps, switches and the last voltages."""
        return {
            "avr": self._avr.get_state(), "switches": [s.get_state() for s in self.feeders.states],
            "v": self.feeders.v.copy(), "solved_ms": self._solved_ms,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._avr.set_state(state["avr"])
        for kept, switch in zip(state["switches"], self.feeders.states, strict=True):
            switch.set_state(kept)
        for f in range(len(self.feeders.feeders)):
            self.feeders.switch(f)
        self._solved_ms = state["solved_ms"]
        self.feeders.v[:] = state["v"]
