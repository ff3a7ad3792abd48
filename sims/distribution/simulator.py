"""One DSO inside the world: answers the transmission grid's voltage with its feeders' power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.clock import next_tick
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items, one
from sims.distribution.feeders import Feeders
from sims.grid.curve import Curve
from sims.grid.taps import Avr

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]

KINDS = ("load", "pv", "wind", "storage", "ev", "heatpump", "chp")
"""Kinds of devices, in the order of `DeviceMap.kind`."""
MOST_SETTLING = 4
"""Rounds in which tap changers find their positions at the start; each moves by as many steps as it takes."""
GENERATION = tuple(KINDS.index(kind) for kind in ("pv", "wind", "chp"))


@dataclass(frozen=True)
class DeviceMap:
    """Where the devices of this DSO stand: index over all devices, flat node, feeder, kind, curves."""

    index: Ints
    node: Ints
    feeder: Ints
    kind: Ints
    curve_pu: Ints
    curve_qu: Ints
    curve_pf: Ints


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
    the power each interface draws [MVA], and how that follows the frequency [MW/Hz]. This may repeat within
    one instant; taps, switches and base injections stand still meanwhile. Where it may have been the last
    time, it also writes down what the instant came to.
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
        self.name, self.feeders, self.devices = name, feeders, devices
        self._avr, self._busbar, self._curves = avr, busbar, curves
        self._faults = sorted(faults, key=lambda f: f.at_ms)
        self._authorize, self._step_ms = authorize, step_ms
        self._now_ms = -1
        self._solved_ms = -1
        self._f_hz = float("nan")
        self._node_of_feeder = np.repeat(np.arange(len(feeders.feeders)), np.diff(feeders.node_start))
        self._customers = np.concatenate([f.customers for f in feeders.feeders]).astype(float)
        kinds = np.concatenate([f.grid.branch_kind for f in feeders.feeders])
        self._lines, self._trafos = np.flatnonzero(kinds == "line"), np.flatnonzero(kinds == "trafo")
        regulated = [
            int(start) + int(f.grid.taps[t].branches[0])
            for f, start, taps in zip(feeders.feeders, feeders.branch_start, feeders.regulated, strict=False)
            for t in taps
        ]
        self._regulated = np.searchsorted(self._trafos, np.array(regulated, np.int64))
        self._sources = np.flatnonzero(np.isin(devices.kind, GENERATION))
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
        self._follow_frequency(f_hz)
        drawn = self.feeders.solve(v_interface)
        if self._solved_ms < 0:
            drawn = self._settle_taps(v_interface, drawn)
        if not np.isfinite(drawn).all():
            where = ", ".join(self.feeders.feeders[f].name for f in np.flatnonzero(~self.feeders.converged))
            raise ModelError(self.name, now_ms, f"power flow of {where} has no solution")
        told["exchange"] = [(self.name, drawn, self._droop(f_hz))]
        if last:
            self._solved_ms = now_ms
            told |= self._results()
        return Step(next_tick(now_ms, self._step_ms), told)

    def _settle_taps(self, v_interface: Complexes, drawn: Complexes) -> Complexes:
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
        index = self.devices.index
        self._p, self._q, self._pu, self._qu, self._pf, self._avail = (
            np.asarray(one(inputs, port))[index] for port in self.ports.reads[:-1]
        )
        self._f_hz = float("nan")
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

    def _follow_frequency(self, f_hz: float) -> None:
        """Add what devices give at this frequency, and hand the nodal sums to the power flow."""
        if f_hz == self._f_hz:
            return
        self._f_hz = f_hz
        devices, n = self.devices, int(self.feeders.node_start[-1])
        self._p_f = self._p + self._pf * self._at_frequency(f_hz)[devices.curve_pf]
        p, q = summed(devices.node, self._p_f, n), summed(devices.node, self._q, n)
        pu = _by_node(devices.curve_pu, devices.node, self._pu, n)
        qu = _by_node(devices.curve_qu, devices.node, self._qu, n)
        self.feeders.inject(p, q, pu, qu)

    def _droop(self, f_hz: float) -> Floats:
        """Return how what each interface draws changes with frequency [MW/Hz], for a faster agreement."""
        h, devices, count = 1e-4, self.devices, int(self.feeders.interface.max()) + 1
        slope = (self._at_frequency(f_hz + h) - self._at_frequency(f_hz - h)) / (2 * h)
        if not slope.any():
            return np.zeros(count)
        by_feeder = summed(devices.feeder, -self._pf * slope[devices.curve_pf], self.feeders.interface.size)
        return summed(self.feeders.interface, by_feeder, count)

    def _at_frequency(self, f_hz: float) -> Floats:
        """Return every curve's value at `f_hz`, and a last 0 for devices that follow none (index -1)."""
        return np.array([*(float(curve(np.array(f_hz))) for curve in self._curves), 0.0])

    def _results(self) -> dict[str, Any]:
        """Return what the instant came to, devices and feeders included."""
        feeders, devices = self.feeders, self.devices
        feeders.collect()
        v = np.where(feeders.live, np.abs(feeders.v), np.nan)
        at = v[devices.node]
        on = np.isfinite(at)
        v_dev = np.where(on, at, 0.0)
        p = np.where(on, self._p_f + self._pu * _by_curve(self._curves, devices.curve_pu, v_dev), 0.0)
        q = np.where(on, self._q + self._qu * _by_curve(self._curves, devices.curve_qu, v_dev), 0.0)
        n = int(feeders.node_start[-1])
        der = self._sources
        return {
            "v_pu": v,
            "der_avail_mw": summed(devices.node[der], self._avail[der], n),
            "der_mw": summed(devices.node[der], p[der], n),
            "p_node_mw": summed(devices.node, p, n), "q_node_mvar": summed(devices.node, q, n),
            "flow_p_mw": feeders.flow_mva.real, "flow_q_mvar": feeders.flow_mva.imag,
            "loading_percent": feeders.loading_percent,
            "tap_pos": self._avr.pos, "v_set_pu": self._avr.v_set_pu,
            "v_dev_pu": v_dev, "p_real_mw": p, "q_real_mvar": q,
            "feeder": self._by_feeder(v, p, on),
            "bus": {"vm_pu": v},
            "line": {"loading_percent": feeders.loading_percent[self._lines]},
            "trafo": {"loading_percent": feeders.loading_percent[self._trafos], "tap_pos": self._positions()},
        }

    def _by_feeder(self, v: Floats, p: Floats, on: NDArray[np.bool_]) -> Mapping[str, Floats]:
        """Return one row of figures per feeder."""
        feeders, devices = self.feeders, self.devices
        n = len(feeders.feeders)
        by_kind = summed(devices.feeder * len(KINDS) + devices.kind, p, n * len(KINDS)).reshape(n, -1)
        out = self._customers * np.isnan(v)
        dark_load = (~on) & (devices.kind == KINDS.index("load"))
        nodes, branches = feeders.node_start[:-1], feeders.branch_start[:-1]
        high = np.where(np.isnan(v), -np.inf, v)
        low = np.where(np.isnan(v), np.inf, v)
        return {
            "p_mw": feeders.slack_mva.real, "q_mvar": feeders.slack_mva.imag, "loss_mw": feeders.loss_mw,
            "load_mw": -by_kind[:, 0], **{f"{kind}_mw": by_kind[:, k] for k, kind in enumerate(KINDS) if k},
            "customers": summed(self._node_of_feeder, self._customers, n),
            "customers_out": summed(self._node_of_feeder, out, n),
            "pv_avail_mw": self._available("pv"), "wind_avail_mw": self._available("wind"),
            "unserved_mw": summed(devices.feeder, np.where(dark_load, -self._p_f, 0.0), n),
            "vm_min_pu": np.minimum.reduceat(low, nodes), "vm_max_pu": np.maximum.reduceat(high, nodes),
            "loading_max_percent": np.fmax.reduceat(feeders.loading_percent, branches),
            "converged": feeders.converged.astype(float),
        }

    def _positions(self) -> Floats:
        """Return the tap position of each transformer, NaN where it is not regulated."""
        out = np.full(self._trafos.size, np.nan)
        out[self._regulated] = self._avr.pos
        return out

    def _available(self, kind: str) -> Floats:
        at = self.devices.kind == KINDS.index(kind)
        return summed(self.devices.feeder[at], self._avail[at], len(self.feeders.feeders))

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


def _by_curve(curves: Sequence[Curve], which: Ints, at: Floats) -> Floats:
    """Return each device's curve at its own abscissa; 0 where it follows none."""
    out = np.zeros(at.size)
    for k, curve in enumerate(curves):
        follow = which == k
        if follow.any():
            out[follow] = curve(at[follow])
    return out


def _by_node(which: Ints, node: Ints, amplitude: Floats, n: int) -> dict[int, Floats]:
    """Return, for each curve with any amplitude, its sum per node."""
    found: dict[int, Floats] = {}
    for k in np.unique(which[(which >= 0) & (amplitude != 0.0)]):
        at = which == k
        found[int(k)] = summed(node[at], amplitude[at], n)
    return found
