"""Restore supply: locate the fault, isolate it, and bring back by remote switching what can be supplied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site, command
from controllers.dms.feeder_file import FeederFile
from controllers.dms.flisr import Case, Plan, locate, plan
from controllers.dms.network import Bools, Ints
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "restore_supply"
TRIES = 3
PATIENCE_MS = 180_000
"""After that long without a sign of life from the head line the order is given again."""


@dataclass(eq=False)
class Outage:
    """One trip and what was done about it."""

    tripped: int
    since_ms: int
    before: Bools
    passed: set[int] = field(default_factory=set)
    plan: Plan | None = None
    sent_ms: int = -1
    tries: int = 0


class RestoreSupply:
    """Runs fault location, isolation and restoration for the feeders of one DSO.

    Settings: `remote_delay_ms` (60 000) from the trip to the switching order: the time of the operator and
    of the drives, in which the indicators report; `emergency_v_min_pu` (0.9) that supply over ties must keep
    (EN 50160 allows 10 % below nominal).
    """

    urgent = frozenset({"fault"})

    def __init__(self, site: Site) -> None:
        self._site, self._desk = site, Desk(site)
        self._delay_ms = int(site.settings.get("remote_delay_ms", 60_000))
        self._v_min = float(site.settings.get("emergency_v_min_pu", 0.9))
        self._crew = f"{site.name.partition('.')[0]}.crew"
        self._outages: dict[str, Outage] = {}
        self._faulted: dict[str, set[int]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("fault", "fault_indicator")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return switching orders once the delay has passed; one message holds the whole sequence."""
        now_ms = self._desk.read(now_s, inbox)
        for message in inbox:
            if message.topic == "fault":
                self._note_trip(message)
        for message in inbox:
            if message.topic == "fault_indicator":
                self._note_indicator(message)
        out: list[Message] = []
        for name in sorted(self._outages):
            outage = self._outages[name]
            if outage.plan is None:
                if now_ms >= outage.since_ms + self._delay_ms:
                    out += self._act(name, outage, now_ms)
            elif now_ms >= outage.sent_ms + PATIENCE_MS:
                if outage.tries >= TRIES or self._alive(self._desk.state.files[name], outage):
                    del self._outages[name]
                else:
                    out.append(self._order(name, outage, now_ms))
        return out

    def _note_trip(self, message: Message) -> None:
        file = self._desk.state.files.get(message.sender)
        if file is None:
            return
        row = file.net.line(int(np.atleast_1d(message.values["tripped_line"])[0]))
        known = self._outages.get(message.sender)
        if known is not None and message.sent_ms <= max(known.since_ms, known.sent_ms):
            return
        before = file.closed.copy()
        before[row] = True
        self._outages[message.sender] = Outage(row, message.sent_ms, before)

    def _note_indicator(self, message: Message) -> None:
        name = message.sender.rpartition(".")[0]
        outage, file = self._outages.get(name), self._desk.state.files.get(name)
        if outage is None or file is None or outage.plan is not None or message.sent_ms < outage.since_ms:
            return
        lines = np.atleast_1d(message.values["line"])
        passed = np.broadcast_to(np.atleast_1d(message.values["passed"]), lines.shape)
        outage.passed |= {file.net.line(int(line)) for line, on in zip(lines, passed, strict=True) if on}

    def _act(self, name: str, outage: Outage, now_ms: int) -> list[Message]:
        """Plan and order the sequence, believe it done, and tell the crew and the logbook."""
        file, grid = self._desk.state.files[name], self._site.grid
        picture = self._desk.state.picture(name, now_ms)
        dark = ~file.net.topology(file.closed).live
        # PV that went dark with its feeder comes back by ramps later: the ties must carry the load alone.
        s = file.s - file.der_mw / file.belief.grid.base_mva
        v_anchor = np.ones(len(file.net.anchor), dtype=complex)
        if picture is not None and (np.abs(picture.v[file.net.anchor]) > 0.5).all():
            s = np.where(dark, s, picture.s)
            v_anchor = picture.v[file.net.anchor]
        known = self._faulted.setdefault(name, set())
        faulted = locate(file.net.topology(outage.before), outage.tripped, outage.passed)
        case = Case(file.net, file.closed, s, v_anchor, self._v_min, grid.loading_max_percent,
                    frozenset(known))
        outage.plan = plan(case, outage.tripped, faulted)
        known.add(faulted)
        if not outage.plan.operations:
            del self._outages[name]
            return []
        order = self._order(name, outage, now_ms)
        lines, closed = order.values["line"], order.values["closed"]
        self._desk.state.switch(name, lines, closed)
        goal = {
            "duty": DUTY, "feeder": name, "faulted_line": int(file.belief.grid.branch_element[faulted]),
            "restored_mw": outage.plan.restored_mw, "dark_mw": outage.plan.dark_mw,
        }
        out = [order, Message(self._site.name, LOGBOOK, "goal", goal)]
        if self._crew in self._site.neighbours:
            report = {"feeder": name, "line": lines, "closed": closed}
            out.append(Message(self._site.name, self._crew, "switched", report))
        return out

    def _order(self, name: str, outage: Outage, now_ms: int) -> Message:
        assert outage.plan is not None
        outage.sent_ms, outage.tries = now_ms, outage.tries + 1
        return switching_order(self._site, self._desk.state.files[name], outage.plan)

    @staticmethod
    def _alive(file: FeederFile, outage: Outage) -> bool:
        """Tell whether the feeder's own telemetry shows that the order was carried out."""
        if outage.plan is None or outage.tripped not in outage.plan.closed:
            return True
        lines, loading = file.told("head_line"), file.told("line_loading_percent")
        if lines is None or loading is None or file.primary_ms <= outage.sent_ms:
            return file.primary_ms > outage.sent_ms
        head = int(file.belief.grid.branch_element[outage.tripped])
        at = np.flatnonzero(lines.astype(np.int64) == head)
        return not len(at) or bool(loading[at[0]] > 0.0)


def switching_order(site: Site, file: FeederFile, sequence: Plan) -> Message:
    """Return a sequence as one command: what opens stands before what closes, and is done first."""
    rows: Ints = np.array((*sequence.opened, *sequence.closed), dtype=np.int64)
    closed = np.arange(len(rows)) >= len(sequence.opened)
    line = file.belief.grid.branch_element[rows].astype(np.int64)
    line.flags.writeable = closed.flags.writeable = False
    return command(site, file.belief.name, DUTY, 600.0, line=line, closed=closed)
