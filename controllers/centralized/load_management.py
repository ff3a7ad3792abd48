"""Move load between infeeds by remote switching: the DMS proposes, an operator looks at it, then it is switched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site, command
from controllers.dms.load_management import Relief, relieve
from controllers.dms.network import Ints
from controllers.host import LOGBOOK
from sims.core.errors import GridError
from sims.core.message import Message

DUTY = "manage_congestion"


@dataclass(eq=False)
class Proposal:
    """An overload that was seen, and when the operator will have decided on it."""

    seen_ms: int
    ready_ms: int


class ManageLoad:
    """Ends overloads of lines and infeeds by reconfiguration where the estimate shows them lasting.

    Settings: `patience_ms` (600 000) that an overload must last; `operator_delay_ms` (120 000, the median of a
    lognormal drawn from `site.rng`) and `operator_delay_sigma` (0.5) from the proposal to the operator's word;
    `least_percent` (2) of a rating that the overloads must fall by; `rest_ms` (3 600 000) between two switchings
    of a feeder; `emergency_v_min_pu` (0.9); `save_losses` (false) also switches for losses alone.

    The plan is made anew when the operator decides: what has changed meanwhile counts. It is one command; what
    opens stands before what closes, so that two infeeds are never joined.
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site)
        self._patience_ms = int(settings.get("patience_ms", 600_000))
        self._median_ms = float(settings.get("operator_delay_ms", 120_000))
        self._sigma = float(settings.get("operator_delay_sigma", 0.5))
        self._rest_ms = int(settings.get("rest_ms", 3_600_000))
        self._v_min = float(settings.get("emergency_v_min_pu", 0.9))
        self._least = float(settings.get("least_percent", 2.0)) / 100.0
        self._losses = bool(settings.get("save_losses", False))
        self._since: dict[str, int] = {}
        self._proposals: dict[str, Proposal] = {}
        self._rests_until: dict[str, int] = {}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the switching the operator has agreed to."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        out: list[Message] = []
        for feeder in desk.register.feeders:
            name = feeder.name
            if now_ms < self._rests_until.get(name, 0):
                continue
            found = self._plan(name, now_ms)
            if found is None or not self._worth(found):
                self._since.pop(name, None)
                self._proposals.pop(name, None)
                continue
            since = self._since.setdefault(name, now_ms)
            if now_ms - since < self._patience_ms:
                continue
            waiting = self._proposals.get(name)
            if waiting is None:
                thinking = self._median_ms * float(np.exp(self._sigma * self._site.rng.standard_normal()))
                waiting = self._proposals[name] = Proposal(now_ms, now_ms + round(thinking))
            if now_ms >= waiting.ready_ms:
                out += self._order(name, found, now_ms)
        return out

    def _worth(self, found: Relief) -> bool:
        """Tell whether a plan does enough: what is overloaded either way is not switched to and fro."""
        plan = found.plan
        if plan.excess[0] > 1e-6:
            return plan.operations > 0 and plan.excess[0] - plan.excess[1] >= self._least
        return plan.operations > 0 and self._losses

    def _plan(self, name: str, now_ms: int) -> Relief | None:
        picture = self._desk.state.picture(name, now_ms)
        if picture is None:
            return None
        file, limits = self._desk.state.files[name], self._site.grid
        try:
            return relieve(
                file.net, file.closed, picture.s, None, self._v_min, picture.v[file.net.anchor],
                limits.loading_max_percent / 100.0,
            )
        except GridError:  # meshed, without a tie or without a solution: nothing this desk can do
            return None

    def _order(self, name: str, found: Relief, now_ms: int) -> list[Message]:
        file, plan = self._desk.state.files[name], found.plan
        rows: Ints = np.array((*plan.opened, *plan.closed), dtype=np.int64)
        closed = np.arange(len(rows)) >= len(plan.opened)
        line = file.belief.grid.branch_element[rows].astype(np.int64)
        line.flags.writeable = closed.flags.writeable = False
        self._desk.state.switch(name, line, closed)
        self._since.pop(name, None)
        self._proposals.pop(name, None)
        self._rests_until[name] = now_ms + self._rest_ms
        goal = {
            "duty": DUTY, "feeder": name, "loading_before_percent": plan.loading_percent[0],
            "loading_after_percent": plan.loading_percent[1], "losses_saved_mw": plan.losses_mw[0] - plan.losses_mw[1],
        }
        return [command(self._site, name, DUTY, 600.0, line=line, closed=closed),
                Message(self._site.name, LOGBOOK, "goal", goal)]
