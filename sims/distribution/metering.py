"""What the meters of the distribution grids and of the interfaces report, and to whom.

Each point has an accuracy class, taken as three standard deviations of a normal error; a frame carries
what one place measures at one instant. Sizes follow IEC 60870-5-104: 27 bytes a float with time tag on
40 bytes of TCP/IP.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.bundle import Bundle, Mail
from sims.core.clock import next_tick
from sims.core.message import Message
from sims.core.ports import Inputs, Ports, Step, items
from sims.distribution.meter_plan import FeederPoints, MeterPlan, TransmissionPlan
from sims.distribution.stations import SECONDARY_VALUES, AreaStations, PrimaryStations, SecondaryStations, Told

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FRAME_BYTES, VALUE_BYTES = 40, 27


class Metering:
    """All meters as one simulator: state of the grids in, frames out.

    Frames that travel leave at `frames`; what a site measures where it stands leaves at `own`. Ties and frequency are
    metered at the grid step and, while frequency moves, whenever the transmission system tells them on `ties`.
    """

    ports = Ports(
        reads=(
            "v_pu", "p_node_mw", "q_node_mvar", "flow_p_mw", "flow_q_mvar", "loading_percent", "tap_pos",
            "v_set_pu", "der_avail_mw", "der_mw", "faults", "interface", "cell", "storage",
        ),
        hears=("ties",),
        tells=("frames", "own"),
    )

    def __init__(self, plans: Sequence[MeterPlan], transmission: TransmissionPlan, seed: int, step_ms: int) -> None:
        self._plans = {plan.dso: plan for plan in plans}
        self._transmission = transmission
        self._step_ms = step_ms
        self._rng = {
            (plan.dso, purpose): np.random.default_rng([seed, zlib.crc32(plan.dso.encode()), zlib.crc32(purpose)])
            for plan in plans for purpose in (b"primary", b"secondary", b"smart", b"own", b"der", b"storage")
        }
        self._primaries = {plan.dso: PrimaryStations(plan) for plan in plans}
        self._secondaries = {plan.dso: SecondaryStations(plan) for plan in plans}
        self._smart = {plan.dso: SecondaryStations(plan, smart=True) for plan in plans if plan.smart}
        self._areas = {plan.dso: AreaStations(plan) for plan in plans}

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Report what is due at this instant."""
        frames: list[Mail] = []
        own: list[Message] = []
        if now_ms % self._step_ms == 0 and "v_pu" in inputs:
            for dso, plan in self._plans.items():
                state = {port: sources[dso] for port, sources in inputs.items() if dso in sources}
                scanned = plan.bands is not None and now_ms % plan.bands.scan_ms == 0
                due = now_ms % plan.primary_ms == 0
                if due or scanned:
                    frames += self._primary(plan, state, now_ms, by_exception=not due)
                if due:
                    own += self._own(plan, state, now_ms)
                for stations, purpose, period_ms in self._sets(plan):
                    due = now_ms % period_ms == 0
                    if due or scanned:
                        noise = self._noise(plan, purpose, (3, int(plan.feeders.node_start[-1])))
                        frames += _secondary(stations, state, noise, now_ms, by_exception=not due)
                if plan.der_to and now_ms % plan.der_ms == 0:
                    frames += self._der(plan, state, now_ms)
                if plan.storage and now_ms % plan.secondary_ms == 0:
                    frames += self._storage(plan, inputs["storage"]["der"], now_ms)
            for fault in items(inputs, "faults"):
                frames += self._fault_frames(fault, now_ms)
            self._interfaces(inputs, now_ms, frames, own)
            self._ties(next(iter(inputs["cell"].values())), now_ms, frames, own)
        for cell in items(inputs, "ties"):
            self._ties(cell, now_ms, frames, own)
        told = {port: told for port, told in (("frames", frames), ("own", own)) if told}
        return Step(next_tick(now_ms, self._step_ms), told)

    def _noise(self, plan: MeterPlan, purpose: bytes, shape: tuple[int, ...]) -> Floats:
        return self._rng[plan.dso, purpose].standard_normal(shape) / 300

    def _sets(self, plan: MeterPlan) -> list[tuple[SecondaryStations, bytes, int]]:
        """Return the secondary substations, and the meters below them that report for themselves."""
        sets = [(self._secondaries[plan.dso], b"secondary", plan.secondary_ms)]
        if plan.smart:
            sets.append((self._smart[plan.dso], b"smart", plan.smart_ms or plan.secondary_ms))
        return sets

    def _primary(
        self, plan: MeterPlan, state: Mapping[str, Any], now_ms: int, *, by_exception: bool
    ) -> list[Message]:
        """Return one frame per primary substation: busbar voltage, power, position of each transformer."""
        stations = self._primaries[plan.dso]
        noise = self._noise(plan, b"primary", (3, stations.transformers))
        size = [FRAME_BYTES + VALUE_BYTES * values for values in stations.values]
        return [
            Message(stations.name[k], to, "primary", values, now_ms, size[k])
            for k, values in stations.read(state, noise, by_exception=by_exception)
            for to in stations.to[k]
        ]

    def _own(self, plan: MeterPlan, state: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Return what each area agent measures where it stands."""
        areas = self._areas[plan.dso]
        noise = self._noise(plan, b"own", (3, len(areas.agent)))
        return [
            Message(agent, agent, "own", values, now_ms, FRAME_BYTES + VALUE_BYTES * count)
            for agent, count, values in zip(areas.agent, areas.values, areas.read(state, noise), strict=True)
            if values is not None
        ]

    def _der(self, plan: MeterPlan, state: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Return what all DER of each feeder give and could give, where it is known, to whoever subscribed to it."""
        feeders = plan.feeders
        noise = 1 + plan.p_class_percent * self._noise(plan, b"der", (2, len(feeders.feeders)))
        first = feeders.node_start[:-1]
        given, could = (
            (np.add.reduceat(state[port], first) * error).tolist()
            for port, error in zip(("der_mw", "der_avail_mw"), noise, strict=True)
        )
        return [
            _frame(feeder.name, to, "der", {"der_mw": given[f], "der_avail_mw": could[f]}, now_ms)
            for f, feeder in enumerate(feeders.feeders) if math.isfinite(given[f]) for to in plan.der_to
        ]

    def _storage(self, plan: MeterPlan, state: Mapping[str, Floats], now_ms: int) -> list[Message]:
        """Return what the batteries of each feeder give and hold."""
        error = 1 + plan.p_class_percent * self._noise(plan, b"storage", (2, len(state["p_mw"])))
        p_mw, soc_mwh = state["p_mw"] * error[0], state["soc_mwh"] * error[1]
        return [
            _frame(point.sender, point.to, "storage", {
                "device": point.device, "p_mw": p_mw[point.row], "soc_mwh": soc_mwh[point.row],
            }, now_ms)
            for point in plan.storage
        ]

    def _interfaces(self, inputs: Inputs, now_ms: int, frames: list[Mail], own: list[Message]) -> None:
        """Report interfaces to their receivers."""
        plan = self._transmission
        state = next(iter(inputs["interface"].values()))
        columns = [np.asarray(column, dtype=np.float64).tolist() for column in state.values()]
        size = FRAME_BYTES + VALUE_BYTES * len(columns)
        for name, row, receivers, site in zip(
            plan.interfaces, zip(*columns, strict=True), plan.interface_to, plan.interface_own, strict=True
        ):
            values = dict(zip(state, row, strict=True))
            frames += [Message(name, to, "interface", values, now_ms, size) for to in receivers]
            if site:
                own.append(Message(name, site, "interface", values, now_ms, size))

    def _ties(self, cell: Mapping[str, Floats], now_ms: int, frames: list[Mail], own: list[Message]) -> None:
        """Report the ties to the TSO and whoever balances a cell."""
        plan = self._transmission
        keys = ("f_hz", "p_tie_mw", "p_sched_mw", "inertia_mws", "largest_mw")
        every = {"cell": np.arange(len(cell["f_hz"])), **{key: cell[key] for key in keys}}
        own.append(_frame(plan.tso, plan.tso, "tie", every, now_ms))
        for to, at in plan.tie_to:
            values = {"cell": at, **{key: float(cell[key][at]) for key in keys}}
            frames.append(_frame(plan.tso, to, "tie", values, now_ms))

    def _fault_frames(self, fault: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Return the breaker's report, the indicators' reports, and the customers' call."""
        out: list[Message] = []
        for plan in self._plans.values():
            for point in plan.points:
                feeder = plan.feeders.feeders[point.feeder]
                if feeder.name != fault["feeder"]:
                    continue
                if point.crew:
                    # What a crew reads on site when it gets there: the open breaker and the indicators.
                    call = {
                        "feeder": feeder.name, "tripped_line": int(fault["tripped_line"]),
                        "passed": np.asarray(fault["passed"], np.int64),
                    }
                    out.append(_frame(feeder.name, point.crew, "outage_call", call, now_ms))
                if point.fault_to:
                    values = {"tripped_line": int(fault["tripped_line"])}
                    out.append(_frame(feeder.name, point.fault_to, "fault", values, now_ms))
                    out += self._indicators(feeder.grid, point, fault["passed"], now_ms)
        return out

    @staticmethod
    def _indicators(grid: Any, point: FeederPoints, passed: Ints, now_ms: int) -> list[Message]:
        """Return one report per indicator that saw the fault current, from the line's own substation."""
        out = []
        for line in passed:
            row = grid.branch("line", int(line))
            ends = int(grid.branch_from[row]), int(grid.branch_to[row])
            sender = next((point.gateways[n] for n in ends if point.gateways[n]), "")
            if sender:
                values = {"line": int(line), "passed": True}
                out.append(_frame(sender, point.fault_to, "fault_indicator", values, now_ms))
        return out

    def get_state(self) -> dict[str, Any]:
        """Return the states of the noise streams, and what was told last where stations report by exception."""
        noise = {f"{dso}:{what.decode()}": rng.bit_generator.state for (dso, what), rng in self._rng.items()}
        return noise | {f"{name}:told": told.last.copy() for name, told in self._told()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for (dso, what), rng in self._rng.items():
            rng.bit_generator.state = state[f"{dso}:{what.decode()}"]
        for name, told in self._told():
            told.last[:] = state[f"{name}:told"]

    def _told(self) -> Iterator[tuple[str, Told]]:
        for what, sets in (("primary", self._primaries), ("secondary", self._secondaries), ("smart", self._smart)):
            for dso, stations in sets.items():
                if stations.told is not None:
                    yield f"{dso}:{what}", stations.told


def _secondary(
    stations: SecondaryStations, state: Mapping[str, Any], noise: Floats, now_ms: int, *, by_exception: bool
) -> list[Bundle]:
    """Return one frame per node with a secondary substation that reports, all of them as one bundle."""
    rows, values = stations.read(state, noise, by_exception=by_exception)
    size = FRAME_BYTES + VALUE_BYTES * SECONDARY_VALUES
    return [Bundle(stations.addresses, rows, "secondary", values, now_ms, size)] if len(rows) else []


def _frame(sender: str, receiver: str, topic: str, values: Mapping[str, Any], now_ms: int) -> Message:
    count = sum([v.size if isinstance(v, np.ndarray) else 1 for v in values.values()])
    return Message(
        sender, receiver, topic, values, sent_ms=now_ms, size_bytes=FRAME_BYTES + VALUE_BYTES * count,
        priority=0 if topic.startswith("fault") else 1,
    )
