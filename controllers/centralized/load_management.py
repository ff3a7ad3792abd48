"""Move load between infeeds by remote switching: the DMS proposes, an operator looks at it, then it is switched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site, command
from controllers.dms.congestion import below_anchors
from controllers.dms.feeder_file import FeederFile, Picture
from controllers.dms.load_management import Relief, relieve
from controllers.dms.network import Bools, Complexes, Floats, Ints
from controllers.logbook import LOGBOOK
from sims.core.errors import GridError
from sims.core.message import Message

DUTY = "manage_congestion"
TRIES = 3
PATIENCE_MS = 180_000
"""After that long without an effect at the meters an order is given again."""


@dataclass(eq=False)
class Overload:
    """An overload that does not pass: since when, the most that each busbar has drawn in it, the operator's decision.

    `drawn_pu` is the current [anchor] by the estimate; `ready_ms` is -1 as long as nothing is proposed.
    """

    since_ms: int
    drawn_pu: Floats
    ready_ms: int = -1


@dataclass(eq=False)
class Switching:
    """An order on its way: what it moves, and what the busbars' transformers carried before and should after."""

    rows: Ints
    closed: Bools
    load_mva: Floats
    sent_ms: int
    tries: int = 1


class ManageLoad:
    """Ends overloads of lines and infeeds by reconfiguration, where they outlast what congestion management does.

    Transformers are watched by their meters, lines by the estimate. An overload ends for this desk once the
    loading is `margin_percent` below the limit, which is also what a plan has to reach, and with the heaviest
    load seen since it began: what charging or storage holds just below the limit is still worth a switching.

    Settings: `patience_ms` (600 000) that an overload must last; `operator_delay_ms` (120 000, the median of a
    lognormal drawn from `site.rng`) and `operator_delay_sigma` (0.5) from the proposal to the operator's word;
    `margin_percent` (10); `exchanges` (2), the most pairs of switches moved at a time; `least_percent` (2) of a
    rating that the overloads must fall by; `rest_ms` (3 600 000) from one switching of a feeder to the next, half
    of it from a proposal that came to nothing; `emergency_v_min_pu` (0.9); `save_losses` (false) also switches for
    losses alone.

    The plan is made when the operator decides: what has changed meanwhile counts. It is one command; what
    opens stands before what closes, so that two infeeds are never joined. Where the transformers' meters show no
    effect it is given again, three times in all. A feeder whose switches stand otherwise than this desk left
    them has had a fault: it is left to restoration, lest load be moved onto the fault.
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
        self._most = site.grid.loading_max_percent
        self._aim = self._most - float(settings.get("margin_percent", 10.0))
        self._exchanges = int(settings.get("exchanges", 2))
        self._losses = bool(settings.get("save_losses", False))
        self._crew = f"{site.name.partition('.')[0]}.crew"
        self._left = {name: file.closed for name, file in self._desk.state.files.items()}
        self._overloads: dict[str, Overload] = {}
        self._sent: dict[str, Switching] = {}
        self._rests_until: dict[str, int] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail()

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the switching the operator has agreed to."""
        now_ms = self._desk.read(now_s, inbox)
        out: list[Message] = []
        for name, file in self._desk.state.files.items():
            if not file.net.tied or file.primary_ms < 0:
                continue
            if name in self._sent:
                out += self._followed(name, file, now_ms)
            elif self._touched(name, file):
                self._overloads.pop(name, None)
            elif now_ms >= self._rests_until.get(name, 0) and self._lasting(name, file, now_ms):
                out += self._proposed(name, file, now_ms)
        return out

    def _touched(self, name: str, file: FeederFile) -> bool:
        """Tell whether a feeder's switches stand otherwise than this desk left them."""
        left = self._left[name]
        return file.closed is not left and not np.array_equal(file.closed, left)

    def _lasting(self, name: str, file: FeederFile, now_ms: int) -> bool:
        """Note what a feeder's transformers and lines carry; tell whether it is too much for too long."""
        told = file.told("loading_percent")
        loading = 0.0 if told is None else float(told.max(initial=0.0))
        picture = self._desk.state.picture(name, now_ms)
        if picture is None:
            return False
        loading = max(loading, picture.fullest_percent)
        known = self._overloads.get(name)
        if known is None:
            if loading > self._most or self._losses:
                self._overloads[name] = Overload(now_ms, drawn(picture))
            return False
        known.drawn_pu = np.maximum(known.drawn_pu, drawn(picture))
        if loading <= self._aim and not self._losses:
            del self._overloads[name]
            return False
        return now_ms - known.since_ms >= self._patience_ms

    def _proposed(self, name: str, file: FeederFile, now_ms: int) -> list[Message]:
        """Propose a switching, or order the one that is right now that the operator has decided."""
        known = self._overloads[name]
        if known.ready_ms < 0:
            thinking = self._median_ms * float(np.exp(self._sigma * self._site.rng.standard_normal()))
            known.ready_ms = now_ms + round(thinking)
        if now_ms < known.ready_ms:
            return []
        found = self._plan(name, file, known.drawn_pu, now_ms)
        if found is None or not self._worth(found):
            # It stays an overload: another look is taken after the rest, without a new wait for it to last.
            self._rests_until[name], known.ready_ms = now_ms + self._rest_ms // 2, -1
            return []
        del self._overloads[name]
        self._rests_until[name] = now_ms + self._rest_ms
        return self._order(name, file, found, now_ms)

    def _worth(self, found: Relief) -> bool:
        """Tell whether a plan does enough: what is overloaded either way is not switched to and fro."""
        plan = found.plan
        if plan.excess[0] > 1e-6:
            return plan.operations > 0 and plan.excess[0] - plan.excess[1] >= self._least
        return plan.operations > 0 and self._losses

    def _plan(self, name: str, file: FeederFile, drawn_pu: Floats, now_ms: int) -> Relief | None:
        picture = self._desk.state.picture(name, now_ms)
        if picture is None:
            return None
        s, limit = (picture.s, self._most) if self._losses else (heaviest(picture, drawn_pu), self._aim)
        try:
            return relieve(
                file.net, file.closed, s, None, self._v_min, picture.v[file.net.anchor], limit / 100.0,
                exchanges=None if self._losses else self._exchanges,
            )
        except GridError:  # meshed, without a tie or without a solution: nothing this desk can do
            return None

    def _order(self, name: str, file: FeederFile, found: Relief, now_ms: int) -> list[Message]:
        plan = found.plan
        rows: Ints = np.array((*plan.opened, *plan.closed), dtype=np.int64)
        order = Switching(rows, np.arange(len(rows)) >= len(plan.opened), found.load_mva, now_ms)
        self._sent[name] = order
        message = self._message(name, file, order)
        self._believe(name, file, rows, order.closed)
        goal = {
            "duty": DUTY, "feeder": name, "loading_before_percent": plan.loading_percent[0],
            "loading_after_percent": plan.loading_percent[1], "losses_saved_mw": plan.losses_mw[0] - plan.losses_mw[1],
        }
        out = [message, Message(self._site.name, LOGBOOK, "goal", goal)]
        if self._crew in self._site.neighbours:
            report = {"feeder": name, "line": message.values["line"], "closed": message.values["closed"]}
            out.append(Message(self._site.name, self._crew, "switched", report))
        return out

    def _message(self, name: str, file: FeederFile, order: Switching) -> Message:
        line = file.belief.grid.branch_element[order.rows].astype(np.int64)
        closed = order.closed.copy()
        line.flags.writeable = closed.flags.writeable = False
        return command(self._site, name, DUTY, 600.0, line=line, closed=closed)

    def _believe(self, name: str, file: FeederFile, rows: Ints, closed: Bools) -> None:
        self._desk.state.switch(name, file.belief.grid.branch_element[rows], closed)
        self._left[name] = file.closed

    def _followed(self, name: str, file: FeederFile, now_ms: int) -> list[Message]:
        """Look by the meters whether an order was carried out; give it again, three times in all, where it was not."""
        order = self._sent[name]
        if self._touched(name, file):  # a fault since: no longer this desk's
            del self._sent[name]
            return []
        table = self._desk.state.transformers
        if not table.metered[file.number] or now_ms < order.sent_ms + PATIENCE_MS or file.primary_ms <= order.sent_ms:
            return []
        carried = table.infeed(self._most).at(table.own[file.number])
        # All loads rise and fall together; what each busbar draws of the whole tells the switches' state.
        share = np.stack((np.hypot(carried.p_mw, carried.q_mvar), *order.load_mva))
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
        k = int(np.abs(share[2] - share[1]).argmax())
        if order.tries >= TRIES or abs(share[0, k] - share[2, k]) <= abs(share[0, k] - share[1, k]):
            del self._sent[name]
            return []
        order.sent_ms, order.tries = now_ms, order.tries + 1
        return [self._message(name, file, order)]


def heaviest(picture: Picture, drawn_pu: Floats) -> Complexes:
    """Return the injections with the loads below each busbar scaled up to what it has drawn [node] [pu]."""
    topology, grid = picture.topology, picture.topology.net.grid
    heavier = np.maximum(drawn_pu / np.maximum(drawn(picture), 1e-9), 1.0)
    factor = np.maximum(heavier @ below_anchors(topology, np.arange(grid.n_nodes)), 1.0)
    return np.where(picture.s.real < 0, picture.s * factor, picture.s)


def drawn(picture: Picture) -> Floats:
    """Return the current that each busbar's transformers carry by an estimate [anchor] [pu]."""
    topology, v = picture.topology, picture.v
    at = topology.rep[topology.net.anchor]
    current = topology.drawn(v) - np.conj(topology.gathered(picture.s)[at] / v[at])
    return np.abs(current)
