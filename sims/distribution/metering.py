"""What the meters of the distribution grids and of the interfaces report, and to whom.

Each point has an accuracy class, taken as three standard deviations of a normal error; a frame carries
what one place measures at one instant. Sizes follow IEC 60870-5-104: 27 bytes a float with time tag on
40 bytes of TCP/IP.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import next_tick
from sims.core.message import Message
from sims.core.ports import Inputs, Ports, Step, items
from sims.distribution.feeders import Feeders
from sims.grid.compiled import CompiledNet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FRAME_BYTES, VALUE_BYTES = 40, 27
HIGH_VOLTAGE_KV = 60.0


@dataclass(frozen=True)
class AreaPoint:
    """What an area agent measures where it stands: its node and the lines to neighbouring areas."""

    agent: str
    node: int
    line: Ints
    row: Ints
    sign: Floats
    neighbour: Ints


@dataclass(frozen=True)
class FeederPoints:
    """Meters of one feeder, with the receivers of their frames; empty receivers send nothing.

    `gateways` and `secondary_to` have one entry per node, empty where no substation reports.
    """

    feeder: int
    primary_to: tuple[str, ...]
    gateways: tuple[str, ...]
    secondary_to: tuple[str, ...]
    areas: tuple[AreaPoint, ...] = ()
    fault_to: str = ""
    crew: str = ""


@dataclass(frozen=True)
class MeterPlan:
    """The meters of one DSO: where they stand and how often and how well they measure."""

    dso: str
    feeders: Feeders
    points: Sequence[FeederPoints]
    primary_ms: int
    secondary_ms: int
    v_class_percent: float
    p_class_percent: float


@dataclass(frozen=True)
class TransmissionPlan:
    """Receivers of the interfaces' and the ties' frames; `own` ones stand where they are measured."""

    interfaces: tuple[str, ...]
    interface_to: tuple[tuple[str, ...], ...]
    interface_own: tuple[str, ...]
    tie_to: Sequence[tuple[str, int]] = field(default_factory=tuple)
    tso: str = "tso"


@dataclass(frozen=True)
class HeadLines:
    """The lines that leave the busbars of a primary substation: pandapower indices and branch rows."""

    line: Ints
    row: Ints


def head_lines(grid: CompiledNet) -> HeadLines:
    """Return the lines in service at the medium-voltage busbars of `grid`, whose breakers stand there."""
    busbars = np.unique([grid.rep[tap.lv_node] for tap in grid.taps if grid.vn_kv[tap.hv_node] > HIGH_VOLTAGE_KV])
    near = np.isin(grid.rep[grid.branch_from], busbars) | np.isin(grid.rep[grid.branch_to], busbars)
    row = np.flatnonzero(near & (grid.branch_kind == "line") & grid.joined).astype(np.int64)
    line = grid.branch_element[row].astype(np.int64)
    line.flags.writeable = row.flags.writeable = False
    return HeadLines(line, row)


class Metering:
    """All meters as one simulator: state of the grids in, frames out.

    Frames that travel leave at `frames`; what a site measures where it stands leaves at `own`.
    """

    ports = Ports(
        reads=(
            "v_pu", "p_node_mw", "q_node_mvar", "flow_p_mw", "flow_q_mvar", "loading_percent", "tap_pos",
            "v_set_pu", "der_avail_mw", "der_mw", "faults", "interface", "cell",
        ),
        tells=("frames", "own"),
    )

    def __init__(self, plans: Sequence[MeterPlan], transmission: TransmissionPlan, seed: int, step_ms: int) -> None:
        self._plans = {plan.dso: plan for plan in plans}
        self._transmission = transmission
        self._step_ms = step_ms
        self._rng = {
            (plan.dso, purpose): np.random.default_rng([seed, zlib.crc32(plan.dso.encode()), zlib.crc32(purpose)])
            for plan in plans for purpose in (b"primary", b"secondary", b"own")
        }
        self._trafos = {
            plan.dso: [
                np.array([int(f.grid.taps[t].branches[0]) for t in regulated], np.int64)
                for f, regulated in zip(plan.feeders.feeders, plan.feeders.regulated, strict=True)
            ]
            for plan in plans
        }
        self._heads = {plan.dso: [head_lines(f.grid) for f in plan.feeders.feeders] for plan in plans}

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Report what is due at this instant."""
        frames: list[Message] = []
        own: list[Message] = []
        if now_ms % self._step_ms == 0 and "v_pu" in inputs:
            for dso, plan in self._plans.items():
                state = {port: sources[dso] for port, sources in inputs.items() if dso in sources}
                if now_ms % plan.primary_ms == 0:
                    frames += self._primary(plan, state, now_ms)
                    own += self._own(plan, state, now_ms)
                if now_ms % plan.secondary_ms == 0:
                    frames += self._secondary(plan, state, now_ms)
            for fault in items(inputs, "faults"):
                frames += self._fault_frames(fault, now_ms)
            self._interfaces(inputs, now_ms, frames, own)
        told = {port: told for port, told in (("frames", frames), ("own", own)) if told}
        return Step(next_tick(now_ms, self._step_ms), told)

    def _noise(self, plan: MeterPlan, purpose: bytes, shape: tuple[int, ...]) -> Floats:
        return self._rng[plan.dso, purpose].standard_normal(shape) / 300

    def _primary(self, plan: MeterPlan, state: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Return one frame per primary substation: busbar voltage, power, position of each transformer."""
        feeders, out = plan.feeders, []
        noise = self._noise(plan, b"primary", (3, int(feeders.tap_start[-1])))
        for point in plan.points:
            f = point.feeder
            if not point.primary_to:
                continue
            feeder = feeders.feeders[f]
            taps = slice(int(feeders.tap_start[f]), int(feeders.tap_start[f + 1]))
            first = int(feeders.branch_start[f])
            rows = self._trafos[plan.dso][f] + first
            nodes = int(feeders.node_start[f]) + feeder.grid.branch_to[self._trafos[plan.dso][f]]
            heads = self._heads[plan.dso][f]
            v = np.nan_to_num(state["v_pu"][nodes]) * (1 + plan.v_class_percent * noise[0, taps])
            p = state["flow_p_mw"][rows] * (1 + plan.p_class_percent * noise[1, taps])
            q = state["flow_q_mvar"][rows] * (1 + plan.p_class_percent * noise[2, taps])
            values = {
                "v_pu": v, "p_mw": p, "q_mvar": q, "tap_pos": state["tap_pos"][taps].astype(float),
                "v_set_pu": state["v_set_pu"][taps], "loading_percent": state["loading_percent"][rows],
                "head_line": heads.line,
                "line_loading_percent": np.nan_to_num(state["loading_percent"][first + heads.row]),
            }
            out += [_frame(feeder.name, to, "primary", values, now_ms) for to in point.primary_to]
        return out

    def _secondary(self, plan: MeterPlan, state: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Return one frame per secondary substation."""
        feeders, out = plan.feeders, []
        noise = self._noise(plan, b"secondary", (3, int(feeders.node_start[-1])))
        v = state["v_pu"] * (1 + plan.v_class_percent * noise[0])
        p = state["p_node_mw"] * (1 + plan.p_class_percent * noise[1])
        q = state["q_node_mvar"] * (1 + plan.p_class_percent * noise[2])
        finite = np.isfinite(v).tolist()
        columns = [x.tolist() for x in (v, p, q, state["der_avail_mw"], state["der_mw"])]
        names = ("node", "v_pu", "p_mw", "q_mvar", "der_avail_mw", "der_mw")
        size = FRAME_BYTES + VALUE_BYTES * len(names)
        for point in plan.points:
            start = int(feeders.node_start[point.feeder])
            for node, (gateway, to) in enumerate(zip(point.gateways, point.secondary_to, strict=True)):
                at = start + node
                if to and finite[at]:
                    a, b, c, d, e = columns
                    values = dict(zip(names, (node, a[at], b[at], c[at], d[at], e[at]), strict=True))
                    out.append(Message(gateway, to, "secondary", values, now_ms, size))
        return out

    def _own(self, plan: MeterPlan, state: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Return what each area agent measures where it stands."""
        feeders, out = plan.feeders, []
        noise = self._noise(plan, b"own", (3, sum(len(p.areas) for p in plan.points)))
        k = 0
        for point in plan.points:
            nodes, branches = int(feeders.node_start[point.feeder]), int(feeders.branch_start[point.feeder])
            for area in point.areas:
                at = nodes + area.node
                if np.isfinite(state["v_pu"][at]):
                    values = {
                        "node": area.node,
                        "v_pu": float(state["v_pu"][at] * (1 + plan.v_class_percent * noise[0, k])),
                        "p_mw": float(state["p_node_mw"][at] * (1 + plan.p_class_percent * noise[1, k])),
                        "q_mvar": float(state["q_node_mvar"][at] * (1 + plan.p_class_percent * noise[2, k])),
                        "boundary_line": area.line, "neighbour_area": area.neighbour,
                        "boundary_p_mw": state["flow_p_mw"][branches + area.row] * area.sign,
                        "boundary_q_mvar": state["flow_q_mvar"][branches + area.row] * area.sign,
                    }
                    out.append(_frame(area.agent, area.agent, "own", values, now_ms))
                k += 1
        return out

    def _interfaces(self, inputs: Inputs, now_ms: int, frames: list[Message], own: list[Message]) -> None:
        """Report interfaces to their receivers, and the ties to the TSO and whoever balances a cell."""
        plan = self._transmission
        state = next(iter(inputs["interface"].values()))
        cell = next(iter(inputs["cell"].values()))
        for i, name in enumerate(plan.interfaces):
            values = {key: float(column[i]) for key, column in state.items()}
            frames += [_frame(name, to, "interface", values, now_ms) for to in plan.interface_to[i]]
            if plan.interface_own[i]:
                own.append(_frame(name, plan.interface_own[i], "interface", values, now_ms))
        keys = ("f_hz", "p_tie_mw", "p_sched_mw")
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
        """Return the states of the noise streams."""
        return {f"{dso}:{what.decode()}": rng.bit_generator.state for (dso, what), rng in self._rng.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for (dso, what), rng in self._rng.items():
            rng.bit_generator.state = state[f"{dso}:{what.decode()}"]


def _frame(sender: str, receiver: str, topic: str, values: Mapping[str, Any], now_ms: int) -> Message:
    count = sum([v.size if isinstance(v, np.ndarray) else 1 for v in values.values()])
    return Message(
        sender, receiver, topic, values, sent_ms=now_ms, size_bytes=FRAME_BYTES + VALUE_BYTES * count,
        priority=0 if topic.startswith("fault") else 1,
    )
