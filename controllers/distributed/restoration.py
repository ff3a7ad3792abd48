"""Restoring supply without a centre: the agents of a feeder find, isolate and go around a fault."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controllers.contract import Site, command
from controllers.distributed.area import Area, number
from controllers.distributed.book import shared
from controllers.distributed.fault_case import ENDED, SEEKING, Case
from controllers.distributed.outage import below, room_mva, ties_of, way_out
from controllers.distributed.paths import root_impedance, source_transformers
from controllers.distributed.picture import picture_of
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "restore_supply"


class RestoreSupply:
    """FLISR among the agents of one feeder, by mail from area to area.

    The leading agent hears of the trip and of the indicators that saw the fault current; the faulted line is
    the last of them. The agents at both of its ends confirm; the leading agent opens it and, once that is
    done, recloses the breaker. Agents with dark nodes report what they miss and ask the neighbours beyond
    their normally open lines; what those can carry is passed on towards the primary substation, each agent
    on the way lowering it to what its own lines bear, and the leading agent closes the tie with the largest
    offer that meets the need and leaves the voltage above `v_min_pu`. If the fault shows up behind the tie,
    the tie is opened again and the rest is left to the crew.

    In what order trip and indicators are heard of does not matter: an indicator that comes first waits for the
    trip, and one that comes late, while the breaker is still open, moves the place of the fault on; what was
    opened too early is closed again.

    Settings
    --------
    step_s : float
        Least time between opening a line and closing another (10).
    offers_s : float
        How long offers are awaited (20).
    patience_s : float
        After which an agent that has not confirmed is taken as agreeing (30).
    v_min_pu : float
        Least voltage at the far end of a tie (0.9).
    """

    urgent = frozenset({
        "fault", "fault_indicator", "flisr/passed", "flisr/between", "flisr/agree", "flisr/dark",
        "flisr/need", "flisr/ask", "flisr/offer",
    })
    reads: frozenset[str] = frozenset()
    EARLY_S = 60.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.step_s = float(s.get("step_s", 10.0))
        self.offers_s = float(s.get("offers_s", 20.0))
        self.patience_s = float(s.get("patience_s", 30.0))
        self.v_min_pu = float(s.get("v_min_pu", 0.9))
        self.case: Case | None = None
        self.passed: dict[int, float] = {}
        self.node_mva: dict[int, float] = {}
        self.node_v_pu: dict[int, float] = {}
        self.outflow_mva: dict[int, float] = {}
        self.own_v_pu = 1.0
        self.board, self.frames = picture_of(site, self.area), 0
        self.trafo_percent = np.zeros(0)
        self.reach = self.area.routes()
        self.due_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Answer the mail; the leading agent then takes the next step of its case."""
        out: list[Message] = []
        self.board.look(inbox)
        for message in inbox:
            if message.topic in self.urgent:
                out += self._flisr(message.topic, message, now_s)
        self.due_s = math.inf  # while no case is open nothing is due
        if self.case is not None:
            out += self._proceed(now_s)
            if self.case.step not in ENDED:
                self.due_s = now_s
        return out

    def _read(self) -> None:
        """Read the newest measurements into loads, voltages and outflows."""
        for frame in self.board.frames_since(self.frames):
            # What the sun takes off the load now may be gone while the tie is closed: plan with the load alone.
            self.node_mva[frame.node] = float(np.hypot(frame.p_mw - frame.der_mw, frame.q_mvar))
            self.node_v_pu[frame.node] = frame.v_pu
        self.frames = self.board.count
        if self.board.primary is not None:
            values = self.board.primary.values
            self.trafo_percent = np.asarray(values["loading_percent"], float)
            self.own_v_pu = float(np.max(values["v_pu"])) if self.area.at_root else self.own_v_pu
        if self.board.own is not None:
            self._own(self.board.own.values)

    def _own(self, values: Mapping[str, Any]) -> None:
        if not self.area.at_root:
            self.own_v_pu = number(values["v_pu"])
        if "boundary_line" in values:
            grid, own = self.area.feeder.grid, self.area.feeder.area
            self.outflow_mva = {}
            for line, p_mw in zip(np.ravel(values["boundary_line"]), np.ravel(values["boundary_p_mw"]), strict=True):
                row = grid.branch("line", int(line))
                ends = int(grid.branch_from[row]), int(grid.branch_to[row])
                near = ends[0] if own[ends[0]] == self.area.number else ends[1]
                if p_mw > 0:
                    self.outflow_mva[near] = self.outflow_mva.get(near, 0.0) + float(p_mw)

    def _flisr(self, topic: str, message: Message, now_s: float) -> list[Message]:
        values = message.values
        to = int(values.get("to", self.area.number))
        if to != self.area.number:
            return self._send(topic, to, values)
        if topic == "fault":
            return self._fault(int(number(values["tripped_line"])), now_s) if self.area.leads else []
        if topic in ("fault_indicator", "flisr/passed"):
            return self._indicator(int(number(values["line"])), bool(np.ravel(values["passed"])[0]), now_s)
        if topic == "flisr/between":
            return self._between(int(values["line"]))
        if topic == "flisr/dark":
            return self._dark(int(values["line"]))
        if topic == "flisr/ask":
            return self._ask(int(values["line"]), int(values["node"]))
        if topic == "flisr/offer":
            return self._offer(values)
        if self.case is not None and topic == "flisr/agree" and int(values["line"]) == self.case.line:
            self.case.agreed.add(int(values["area"]))
        elif self.case is not None and topic == "flisr/need" and int(values["line"]) == self.case.line:
            self.case.needs[int(values["area"])] = float(values["mva"])
        return []

    def _send(self, topic: str, to: int, values: Any) -> list[Message]:
        """Return the message on its way to an area: to the next agent on the tree, or to this one itself."""
        told = {**values, "to": to}
        if to == self.area.number:
            return self._flisr(topic, Message(self.site.name, self.site.name, topic, told), 0.0)
        return [Message(self.site.name, self.reach[to], topic, told, size_bytes=80, priority=0)]

    def _fault(self, tripped: int, now_s: float) -> list[Message]:
        case = self.case
        if case is not None and case.tie is not None and now_s - case.step_s < 3600:
            # The fault lies behind the tie: open it, give the sound side its supply back, leave the rest.
            tie, case.tie, case.step, case.step_s = case.tie, None, "tie failed", now_s
            case.tripped = tripped
            return [self._switch(tie, False)]
        if case is None or case.step in ENDED:
            early = {line for line, heard_s in self.passed.items() if now_s - heard_s <= self.EARLY_S}
            self.case, self.passed = Case(tripped, now_s, early), {}
        return []

    def _indicator(self, line: int, passed: bool, now_s: float) -> list[Message]:
        if not passed:
            return []
        if not self.area.leads:
            return self._send("flisr/passed", 0, {"line": line, "passed": True})
        case = self.case
        if case is not None and case.step in SEEKING:
            case.passed.add(line)
        else:
            self.passed[line] = now_s
        return []

    def _locate(self, case: Case) -> list[Message]:
        """Find the faulted line; let the agents at its ends confirm where it is news."""
        if not case.locate(self.area.feeder.grid) or case.line is None:
            return []
        told = {"line": case.line}
        return [m for a in self._ends(case.line) for m in self._send("flisr/between", a, told)]

    def _ends(self, line: int) -> list[int]:
        grid, area = self.area.feeder.grid, self.area.feeder.area
        row = grid.branch("line", line)
        return sorted({int(area[grid.branch_from[row]]), int(area[grid.branch_to[row]])})

    def _between(self, line: int) -> list[Message]:
        if self.area.number not in self._ends(line):
            return []
        return self._send("flisr/agree", 0, {"line": line, "area": self.area.number})

    def _proceed(self, now_s: float) -> list[Message]:
        """Take the next step of the case where it is due."""
        case = self.case
        assert case is not None
        waited = now_s - case.step_s
        out = self._locate(case) if case.step in SEEKING else []
        if case.step == "locating":
            late = now_s - case.since_s >= self.patience_s
            if case.line is not None and (case.agreed.issuperset(self._ends(case.line)) or late):
                return out + self._isolate(case, now_s)
            return out if case.line is not None or not late else out + self._end("given up", now_s)
        if case.step == "isolated" and waited >= self.step_s:
            out = [] if case.tripped == case.line else [self._switch(case.tripped, True)]
            case.step = "reclosed"
            if waited < self.offers_s:
                return out
            return out + self._go_around(case, now_s)
        if case.step == "reclosed" and waited >= self.offers_s:
            return self._go_around(case, now_s)
        if case.step == "tie failed" and waited >= self.step_s:
            return [self._switch(case.tripped, True), *self._end("given up", now_s)]
        return []

    def _isolate(self, case: Case, now_s: float) -> list[Message]:
        assert case.line is not None
        case.step, case.step_s = "isolated", now_s
        dark = below(self.area.feeder.grid, case.line)
        case.dark = {int(self.area.feeder.area[n]) for n in dark}
        out = [self._switch(case.line, False)]
        if case.opened is not None and case.opened not in (case.line, case.tripped):
            out.append(self._switch(case.opened, True))
        case.opened = case.line
        return out + [m for a in sorted(case.dark) for m in self._send("flisr/dark", a, {"line": case.line})]

    def _dark(self, line: int) -> list[Message]:
        """Report what the own dark nodes miss, and ask for it beyond each normally open line."""
        self._read()
        grid, areas, mine = self.area.feeder.grid, self.area.feeder.area, self.area.number
        dark = below(grid, line)
        missing = sum(self._load(n) for n in dark if areas[n] == mine)
        out = self._send("flisr/need", 0, {"area": mine, "line": line, "mva": missing})
        for tie, near, far in ties_of(grid, dark):
            if areas[near] == mine and tie != line:
                out += self._send("flisr/ask", int(areas[far]), {"line": tie, "node": far})
        return out

    def _load(self, node: int) -> float:
        feeder = self.area.feeder
        rated = float(np.hypot(feeder.load_mw[node], feeder.load_mvar[node]))
        return self.node_mva.get(node, rated)

    def _ask(self, tie: int, node: int) -> list[Message]:
        """Offer what the way from the tie to this area's exit can carry, and pass the offer on."""
        self._read()
        z = root_impedance(self.area.feeder.grid)[node]
        # 0.25 is the tangent of the load's angle at cos phi 0.97.
        drop = float(z.real + 0.25 * z.imag)
        v_pu = self.node_v_pu.get(node, self.own_v_pu)
        return self._offer({"line": tie, "node": node, "mva": float("inf"), "v_pu": v_pu, "drop": drop})

    def _offer(self, values: Any) -> list[Message]:
        self._read()
        grid = self.area.feeder.grid
        mine = {int(n) for n in self.area.nodes}
        load = {n: self._load(n) for n in mine}
        for node, outflow in self.outflow_mva.items():
            load[node] = load.get(node, 0.0) + outflow
        rows, outside = way_out(grid, int(values["node"]), mine)
        limit = self.site.grid.loading_max_percent
        trafos = [] if not self.area.leads else list(source_transformers(grid))
        lines = [r for r in rows if r not in trafos]
        mva = min(float(values["mva"]), room_mva(grid, lines, load, limit))
        told = {**values, "mva": min(mva, 1e6), "node": outside}
        if outside >= 0 and not self.area.leads:
            return self._send("flisr/offer", int(self.area.feeder.area[outside]), told)
        for k, row in enumerate(trafos):
            if row in rows and k < len(self.trafo_percent):
                free = float(grid.rating[row]) * (limit - float(self.trafo_percent[k])) / 100
                told["mva"] = min(told["mva"], free)
        if self.case is not None:
            self.case.offers[int(told["line"])] = (told["mva"], float(told["v_pu"]), float(told["drop"]))
        return []

    def _go_around(self, case: Case, now_s: float) -> list[Message]:
        """Close the tie that offers most, if that is enough and leaves the voltage acceptable."""
        need = sum(case.needs.values())
        if case.needs.keys() != case.dark:
            return self._end("given up", now_s)  # how much is missing is not known: too little to close on
        tie = case.best_tie(self.area.feeder.grid, self.v_min_pu)
        if tie is None or need <= 0:
            return self._end("given up" if need > 0 else "restored", now_s)
        case.tie = tie
        return [self._switch(case.tie, True), *self._end("restored", now_s)]

    def _end(self, step: str, now_s: float) -> list[Message]:
        case = self.case
        assert case is not None
        case.step, case.step_s = step, now_s
        values = {
            "feeder": self.area.feeder.name, "duty": DUTY, "step": step,
            "line": -1 if case.line is None else case.line, "tie": -1 if case.tie is None else case.tie,
            "need_mva": sum(case.needs.values()), "took_s": now_s - case.since_s,
        }
        out = [Message(self.site.name, LOGBOOK, "goal", values)]
        if step == "restored" and case.line is not None:
            out += self._tell_crew(case)
        return out

    def _tell_crew(self, case: Case) -> list[Message]:
        """Tell the crew what was switched, so that it turns round; where the agents gave up, it is to come."""
        reclosed = () if case.tripped == case.line else (case.tripped,)
        tie = () if case.tie is None else (case.tie,)
        line = np.array([case.line, *reclosed, *tie], dtype=np.int64)
        values = {"feeder": self.area.feeder.name, "line": line, "closed": np.arange(len(line)) > 0}
        crews = (n for n in self.site.neighbours if n.rpartition(".")[2] == "crew")
        return [Message(self.site.name, crew, "switched", values, size_bytes=80) for crew in crews]

    def _switch(self, line: int, closed: bool) -> Message:
        return command(
            self.site, self.area.feeder.name, DUTY, 60.0, line=np.array([line]), closed=np.array([closed])
        )
