"""The run's side of its field protocol: shows each instant to the units, waits, and passes their orders on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms.field import Bench, FeederUnit
from sims.comms.sunspec import DerMap
from sims.core.clock import next_tick
from sims.core.ports import Inputs, Ports, Step, one

Ints = NDArray[np.int64]
Wait = Callable[[int], None]
"""Called with the time [ms] once an instant is shown; returns when the run may go on."""


DSO_PORTS = (
    "v_dev_pu", "p_real_mw", "q_real_mvar", "v_pu", "loading_percent", "tap_pos", "v_set_pu", "feeder",
)  # fmt: skip
"""What the desk reads of each distribution simulator."""


def paced(speed: float) -> Wait:
    """Return a wait that lets `speed` simulated seconds pass in each real one.

    A run that is slower than that is not held up, and does not make up for it later.
    """
    last: list[float] = []

    def wait(now_ms: int) -> None:
        if last and (left := last[1] + (now_ms - last[0]) / 1000 / speed - time.monotonic()) > 0:
            time.sleep(left)
        last[:] = [now_ms, time.monotonic()]

    return wait


@dataclass(frozen=True)
class FeederSpan:
    """Where a feeder stands in the arrays of its distribution simulator."""

    unit: FeederUnit
    dso: str
    number: int
    nodes: slice
    lines: Ints
    taps: slice
    closed: Callable[[], NDArray[np.bool_]]


@dataclass(frozen=True)
class DerSpan:
    """Which devices have a map, by their place among the devices of a distribution simulator."""

    maps: DerMap
    dso: str
    own: Ints
    device: Ints
    cell: Ints


class FieldDesk:
    """Shows the settled state of each grid tick to the units, waits, and hands on what was written meanwhile.

    An order acts at the next tick: it goes to the simulator of the actuator, which asks the table once more.

    Ports
    -----
    writes : ``to_der`` and ``to_<dso>``, tuples of Message
    tells : ``actions``, refused writes
    """

    def __init__(
        self, bench: Bench, feeders: Sequence[FeederSpan], ders: Sequence[DerSpan], step_ms: int, wait: Wait
    ) -> None:
        self._bench, self._feeders, self._ders = bench, feeders, ders
        self._step_ms, self._wait = step_ms, wait
        self._dso = {span.unit.name: span.dso for span in feeders}
        self.ports = Ports(
            reads=(*DSO_PORTS, "p_avail_mw", "f_hz"),
            writes=("to_der", *(f"to_{dso}" for dso in dict.fromkeys(self._dso.values()))),
            tells=("actions",),
        )  # fmt: skip

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Show, wait, hand on."""
        self._bench.clock[0] = now_ms
        if "v_pu" in inputs:
            self._show(now_ms, inputs)
        self._wait(now_ms)
        return Step(next_tick(now_ms, self._step_ms), self._orders())

    def _show(self, now_ms: int, inputs: Inputs) -> None:
        f_hz, avail = one(inputs, "f_hz"), one(inputs, "p_avail_mw")
        for der in self._ders:
            p, q, v = (inputs[port][der.dso][der.own] for port in ("p_real_mw", "q_real_mvar", "v_dev_pu"))
            der.maps.update(p, q, v, f_hz[der.cell], avail[der.device])
        cell = {der.dso: int(der.cell[0]) for der in self._ders if der.cell.size}
        for span in self._feeders:
            state = {port: sources[span.dso] for port, sources in inputs.items() if span.dso in sources}
            figures = {name: float(column[span.number]) for name, column in state["feeder"].items()}
            figures["f_hz"] = float(f_hz[cell.get(span.dso, 0)])
            span.unit.update(
                now_ms // 1000, figures, state["v_pu"][span.nodes], state["loading_percent"][span.lines], span.closed(),
                state["tap_pos"][span.taps].astype(float), state["v_set_pu"][span.taps].astype(float),
            )  # fmt: skip

    def _orders(self) -> dict[str, Any]:
        """Return what was written since the last tick, by port."""
        out: dict[str, Any] = {port: [] for port in self.ports.writes}
        bench = self._bench
        for _ in range(len(bench.orders)):
            order = bench.orders.popleft()
            out["to_der" if "device" in order.values else f"to_{self._dso[order.receiver]}"].append(order)
        told: dict[str, Any] = {port: tuple(orders) for port, orders in out.items()}
        refused = [bench.refused.popleft() for _ in range(len(bench.refused))]
        return told | ({"actions": refused} if refused else {})

    def get_state(self) -> dict[str, Any]:
        """Return nothing: what is shown is the run's, what clients wrote has been handed on."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue; the next tick shows all anew."""
