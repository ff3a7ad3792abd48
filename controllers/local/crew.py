"""The crew that drives out and switches by hand: what restores supply where nothing is remote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from controllers.contract import Site, command
from controllers.dms.flisr import Case, locate, plan
from controllers.dms.network import Bools, Complexes, Ints, Network
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "restore_supply"
TYPICAL_LOAD = 0.5
"""Share of the nameplate that the crew reckons with: it has no telemetry."""


@dataclass(eq=False)
class Job:
    """A call: when it came, when the crew will have switched, what it reads on site."""

    called_ms: int
    ready_ms: int
    tripped: int = -1
    passed: set[int] = field(default_factory=set)


class Crew:
    """Goes where customers call from, finds the fault by the indicators, and switches by hand.

    Settings: `crew_delay_ms` (45 min, the median of a lognormal drawn from `site.rng`) and
    `crew_delay_sigma` (0.3) from the call to the switching; `emergency_v_min_pu` (0.9) is kept.

    The call carries what the crew finds on site when it gets there: `tripped_line` and the lines whose
    indicators have `passed`. Mail ``switched`` about the feeder says that somebody was faster: the crew
    turns round. What it switches itself it reports to the control room, if it has one.
    """

    urgent = frozenset({"outage_call"})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._median_ms = float(site.settings.get("crew_delay_ms", 2_700_000))
        self._sigma = float(site.settings.get("crew_delay_sigma", 0.3))
        self._v_min = float(site.settings.get("emergency_v_min_pu", 0.9))
        self._nets = {f.name: Network(f.grid) for f in site.grid.feeders}
        self._closed = {name: net.normal.copy() for name, net in self._nets.items()}
        self._faulted: dict[str, set[int]] = {}
        self._jobs: dict[str, Job] = {}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take calls, and return the switching of the jobs whose time has come."""
        now_ms = round(now_s * 1000)
        for message in inbox:
            name = str(message.values.get("feeder", message.sender))
            if name not in self._nets:
                continue
            if message.topic == "outage_call":
                self._take_call(name, message)
            elif message.topic == "switched":
                self._believe(name, message.values["line"], message.values["closed"])
                self._jobs.pop(name, None)
        out: list[Message] = []
        for name in sorted(self._jobs):
            if now_ms >= self._jobs[name].ready_ms:
                out += self._switch(name, self._jobs.pop(name))
        return out

    def _take_call(self, name: str, message: Message) -> None:
        """Start a job, or add what a further call about the same outage tells."""
        job = self._jobs.get(name)
        if job is None:
            drive = self._median_ms * float(np.exp(self._sigma * self._site.rng.standard_normal()))
            job = self._jobs[name] = Job(message.sent_ms, message.sent_ms + round(drive))
        net = self._nets[name]
        if "tripped_line" in message.values:
            job.tripped = net.line(int(np.atleast_1d(message.values["tripped_line"])[0]))
        if "passed" in message.values:
            job.passed |= {net.line(int(line)) for line in np.atleast_1d(message.values["passed"])}

    def _switch(self, name: str, job: Job) -> list[Message]:
        belief, net = self._site.grid.feeder(name), self._nets[name]
        if job.tripped < 0:
            values = {"duty": DUTY, "feeder": name, "restored_mw": 0.0, "found": "no tripped breaker"}
            return [Message(self._site.name, LOGBOOK, "goal", values)]
        closed = self._closed[name]
        before = closed.copy()
        before[job.tripped] = True
        closed[job.tripped] = False
        known = self._faulted.setdefault(name, set())
        faulted = locate(net.topology(before), job.tripped, job.passed)
        load = (belief.load_mw + 1j * belief.load_mvar).astype(np.complex128)
        s: Complexes = -TYPICAL_LOAD / belief.grid.base_mva * load
        case = Case(net, closed, s, np.ones(len(net.anchor), dtype=complex), self._v_min,
                    self._site.grid.loading_max_percent, frozenset(known))
        sequence = plan(case, job.tripped, faulted)
        known.add(faulted)
        if not sequence.operations:
            return []
        rows: Ints = np.array((*sequence.opened, *sequence.closed), dtype=np.int64)
        line = belief.grid.branch_element[rows].astype(np.int64)
        state = np.arange(len(rows)) >= len(sequence.opened)
        line.flags.writeable = state.flags.writeable = False
        self._believe(name, line, state)
        goal = {"duty": DUTY, "feeder": name, "restored_mw": sequence.restored_mw, "dark_mw": sequence.dark_mw}
        # What is switched by hand does not expire while it is talked over with the control room.
        out = [command(self._site, name, DUTY, 0.0, line=line, closed=state),
               Message(self._site.name, LOGBOOK, "goal", goal)]
        report = {"feeder": name, "line": line, "closed": state}
        room = self._site.name.partition(".")[0]
        told = (to for to in self._site.neighbours if to.rpartition(".")[0] in (room, name))
        out += [Message(self._site.name, to, "switched", report) for to in told]
        return out

    def _believe(self, name: str, lines: Ints, closed: Bools) -> None:
        net = self._nets[name]
        rows = [net.line(int(line)) for line in np.atleast_1d(lines)]
        self._closed[name][rows] = np.atleast_1d(closed)
