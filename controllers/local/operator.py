"""The operator on duty: relieves the transmission grid by hand when the TSO rings up and asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.belief import FeederBelief
from controllers.contract import Site, command
from controllers.dms.charging import EV_WEIGHT, KEPT_SHARE
from controllers.dms.congestion import STEPS
from controllers.dms.network import Ints, Network
from controllers.dms.set_points import Floats, Register, SetPoints
from controllers.local.crew import TYPICAL_LOAD
from controllers.logbook import alarm, goal
from sims.core.message import Message

DUTY = "manage_congestion"


class Operator:
    """Does what the TSO asks for by telephone, with what a control room without telemetry can do.

    Less export: all PV and wind below the interface are held to the highest step (60, 30 or 0 % of their rating)
    that is sure to suffice. They feed in at least what the TSO says is exported, so that a cap at that less the
    relief is. Less import: charging is held back to what drivers must be left, and where that is not enough, lines
    that leave the busbars are opened, as few as possible, by half the nameplate behind them. All of it is undone
    after `hold_s`; who still needs it rings again.

    The order is remote; it is the call that takes its time. Lines that are switched are told to the crew and to
    whoever else switches.

    Settings: `hold_s` (3600).
    """

    urgent = frozenset({"request"})
    reads = frozenset({"request"})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hold_s = float(site.settings.get("hold_s", 3600.0))
        self._register = Register(site.grid.feeders)
        self._points = SetPoints(site, self._register)
        for quantity in self._points.ttl_ms:
            self._points.ttl_ms[quantity] = int(1000 * self._hold_s)
        self._nets: dict[str, Network] = {}
        self._dark_until_s: dict[tuple[str, int], float] = {}
        self.due_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the orders that answer a call, and close again what has been open long enough."""
        out: list[Message] = []
        for message in inbox:
            if message.topic == "request":
                out += self._answer(message, now_s)
        over = [line for line, until_s in self._dark_until_s.items() if now_s >= until_s]
        out += self._switch(over, True)
        for line in over:
            del self._dark_until_s[line]
        self.due_s = min(self._dark_until_s.values(), default=1e12)
        return out

    def _answer(self, call: Message, now_s: float) -> list[Message]:
        """Carry out what is asked for at one interface."""
        name, relief_mw = str(call.values["interface"]), float(call.values["relief_mw"])
        flow_mw = float(call.values.get("p_mw", 0.0))
        way = "export" if relief_mw < 0 else "import"
        text = f"{call.sender} asks for {abs(relief_mw):.1f} MW less {way} at {name}"
        out = [alarm(self._site, "request", text, relief_mw)]
        feeders = [f for f in self._site.grid.feeders if f.interface == name]
        if relief_mw < 0:
            given = {"capped_mw": self._cap(feeders, flow_mw, -relief_mw)}
        else:
            held_mw = self._hold_back(feeders)
            opened, shed_mw = self._shed(feeders, relief_mw - held_mw)
            self._dark_until_s |= dict.fromkeys(opened, now_s + self._hold_s)
            out += self._switch(opened, False)
            given = {"held_back_mw": held_mw, "shed_mw": shed_mw}
        out += self._points.orders(DUTY, "p_max_mw", round(1000 * now_s), int(1000 * self._hold_s))
        return [*out, goal(self._site, DUTY, {"interface": name}, relief_mw=relief_mw, **given)]

    def _rows(self, feeders: Sequence[FeederBelief], *kinds: str) -> Ints:
        """Return the devices of these kinds in these feeders."""
        names = [f.name for f in self._register.feeders]
        parts = [self._register.of(*kinds, feeder=names.index(f.name)) for f in feeders]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def _cap(self, feeders: Sequence[FeederBelief], export_mw: float, relief_mw: float) -> float:
        """Hold PV and wind to a step; return what they are held to [MW]."""
        rows = self._rows(feeders, "pv", "wind")
        rated = self._register.p_rated_mw[rows]
        whole = float(rated.sum())
        share = max(export_mw - relief_mw, 0.0) / whole if whole > 0 else 0.0
        step = max(s for s in STEPS if s <= share + 1e-9)
        self._points.wish(DUTY, "p_max_mw", rows, step * rated)
        return step * whole

    def _hold_back(self, feeders: Sequence[FeederBelief]) -> float:
        """Hold charging to what drivers are left; return what that gives at the usual share of charging [MW]."""
        rows = self._rows(feeders, "ev")
        drawn: Floats = EV_WEIGHT * self._register.p_rated_mw[rows]
        self._points.wish(DUTY, "p_max_mw", rows, KEPT_SHARE * drawn)
        return float((1 - KEPT_SHARE) * drawn.sum())

    def _shed(self, feeders: Sequence[FeederBelief], missing_mw: float) -> tuple[list[tuple[str, int]], float]:
        """Choose lines at the busbars that take `missing_mw` off, by the usual load; return them and that load."""
        found = [(mw, f.name, row) for f in feeders for mw, row in self._heads(f)]
        found = sorted(one for one in found if one[1:] not in self._dark_until_s)
        opened: list[tuple[str, int]] = []
        off_mw = 0.0
        while found and off_mw < missing_mw:
            # The least that suffices, else the most there is.
            best = next((k for k, (mw, *_) in enumerate(found) if off_mw + mw >= missing_mw), len(found) - 1)
            mw, name, row = found.pop(best)
            off_mw += mw
            opened.append((name, row))
        return opened, off_mw

    def _heads(self, feeder: FeederBelief) -> list[tuple[float, int]]:
        """Return the usual load behind each line that leaves a busbar, and its row; as normally switched."""
        net = self._nets.setdefault(feeder.name, Network(feeder.grid))
        grid, closed = feeder.grid, net.normal
        live = net.topology(closed).live
        busbar = np.isin(grid.rep, grid.rep[net.anchor])
        leaves = busbar[grid.branch_from] ^ busbar[grid.branch_to]
        out = []
        for row in np.flatnonzero((grid.branch_kind == "line") & closed & leaves).tolist():
            without = closed.copy()
            without[row] = False
            lost = live & ~net.topology(without).live
            out.append((TYPICAL_LOAD * float(np.asarray(feeder.load_mw)[lost].sum()), row))
        return [(mw, row) for mw, row in out if mw > 0]

    def _switch(self, lines: Sequence[tuple[str, int]], closed: bool) -> list[Message]:
        """Return the orders to open or close lines, one a feeder, and word of it to whoever else switches."""
        out: list[Message] = []
        for name in dict.fromkeys(name for name, _ in lines):
            rows = [row for feeder, row in lines if feeder == name]
            line = self._site.grid.feeder(name).grid.branch_element[rows].astype(np.int64)
            state = np.full(len(rows), closed)
            line.flags.writeable = state.flags.writeable = False
            out.append(command(self._site, name, DUTY, 600.0, line=line, closed=state))
            report = {"feeder": name, "line": line, "closed": state}
            room = self._site.name.partition(".")[0]
            told = (to for to in self._site.neighbours if to.rpartition(".")[0] in (room, name))
            out += [Message(self._site.name, to, "switched", report) for to in told]
        return out
