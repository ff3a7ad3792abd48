"""Manage congestion: curtail, charge and hold charging back as little as possible, as long as needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.centralized.compensation import Compensation
from controllers.centralized.desk import Desk
from controllers.centralized.kept_storage import KeptStorage, scheduled
from controllers.contract import Site
from controllers.dms.congestion import (
    STEPS,
    Lever,
    Limits,
    Relief,
    Supply,
    below_anchors,
    by_merit,
    quantised,
    relieve,
    violated,
)
from controllers.dms.feeder_file import Picture
from controllers.dms.infeed import Pace
from controllers.dms.network import Topology
from controllers.dms.set_points import CHANGE, Bools, Floats, Ints
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "manage_congestion"
AGAIN_MS = 120_000
"""After that long the transformers' meters show what was ordered."""
FAR_MS = 10**9
FASTEST = 0.1
"""Share of what transformers may carry that their load is believed to move in a cycle at most."""


@dataclass(frozen=True, eq=False)
class Case:
    """A feeder that there is something to do in.

    Parameters
    ----------
    number : int
    picture : Picture
    inside : bool
        A limit is violated inside of it.
    supply : Supply
    kept : int array
        Storages that are kept for a peak to come, among what may be moved in the feeder.
    kept_mw : array
        What they give now to have the energy, or the room, in time; while their transformer has room for it.
    """

    number: int
    picture: Picture
    inside: bool
    supply: Supply
    kept: Ints
    kept_mw: Floats


class ManageCongestion:
    """Caps PV, wind and charging, and uses storage, where the estimate shows a limit violated.

    Transformers at the busbars are metered every minute and relieved by whatever stands below them: first by
    the reactive power of inverters at the busbars, which costs nothing, then by active power. Where this site
    also supports the TSO's voltage, reactive power is left to that duty, lest both pull at one busbar. Storage
    at busbars whose transformers are foreseen to be short is filled for that, or emptied by what will flow back, and
    kept until then; below those that may get short by nameplate it is filled unless flow back is foreseen: a
    forecast may miss a peak (see `peak_shaving`). Vehicles keep what a driver may count on (see `Charging`).

    Settings: `cycle_ms` (300 000), `margin_pu` (0.004) and `margin_percent` (4) for the error of the
    estimate and what moves within a cycle, `margin_infeed_percent` (1) for the meters' class at transformers
    of busbars, of which it is known by how much they will move until the next cycle (`Pace`), `cost_pv`,
    `cost_wind`, `cost_storage`, `cost_ev` per MW, `quantise` (feed-in caps only of 100/60/30/0 %), `patience`
    (cycles that a voltage violation may last before power is touched; 1 where volt/VAr control is this site's
    too, else 0).
    """

    urgent = frozenset({"primary"})  # so that it looks at an estimate when it is made

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site)
        margin = float(settings.get("margin_pu", 0.004))
        self._limits = Limits(
            site.grid.v_min_pu + margin, site.grid.v_max_pu - margin,
            site.grid.loading_max_percent - float(settings.get("margin_percent", 4.0)),
        )
        price = {
            "pv": float(settings.get("cost_pv", 1.0)), "wind": float(settings.get("cost_wind", 1.1)),
            "storage": float(settings.get("cost_storage", 0.1)), "ev": float(settings.get("cost_ev", 0.3)),
        }
        register = self._desk.register
        self._carried_percent = site.grid.loading_max_percent - float(settings.get("margin_infeed_percent", 1.0))
        self._price = np.array([price.get(one, 0.0) for one in register.kind.tolist()], dtype=np.float64)
        self._rows = [register.of("pv", "wind", "storage", "ev", feeder=n) for n in range(len(register.feeders))]
        self._is_storage, self._is_ev = register.kind == "storage", register.kind == "ev"
        self._movable = np.array([len(rows) > 0 for rows in self._rows], dtype=bool)
        self._kept = KeptStorage(self._desk, self._rows)
        self._compensation = Compensation(self._desk, DUTY, self._limits)
        self._quantise = bool(settings.get("quantise", False))
        self._patience = int(settings.get("patience", 1 if "control_voltage" in site.duties else 0))
        feeders = len(register.feeders)
        self._waited, self._inside = np.zeros(feeders, dtype=np.int64), np.zeros(feeders, dtype=bool)
        self._seen_ms, self._acted_ms = np.full((2, feeders), -FAR_MS)
        self._below: dict[int, tuple[Topology, Floats]] = {}
        self._pace = Pace(len(self._desk.state.transformers.of))

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("primary")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return caps and storage set-points that changed, are about to expire or may be lifted."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        desk.book_storages(now_ms)
        pictures = desk.state.pictures(now_ms)
        made_ms = np.array([-FAR_MS if picture is None else picture.at_ms for picture in pictures], dtype=np.int64)
        anew = (made_ms != self._seen_ms) & (now_ms - self._seen_ms >= desk.cycle_ms // 2)
        look = (anew | self._overtaken(now_ms)) & (made_ms >= 0)
        if not look.any():
            return []
        self._seen_ms[look], self._acted_ms[look] = made_ms[look], now_ms
        out = self._relieve(self._cases(pictures, look, anew, now_ms))
        again = desk.cycle_ms + desk.site.period_ms // 5
        for quantity in ("p_max_mw", "p_set_mw", "q_set_mvar"):
            out += desk.points.orders(DUTY, quantity, now_ms, again)
        return out

    def _overtaken(self, now_ms: int) -> Bools:
        """Return where transformers are overloaded in spite of the last look, whose orders must have come [feeder]."""
        over = self._desk.state.transformers.overloaded(self._site.grid.loading_max_percent)
        return over & ~self._inside & (now_ms - self._acted_ms >= AGAIN_MS)

    def _cases(self, pictures: Sequence[Picture | None], look: Bools, anew: Bools, now_ms: int) -> list[Case]:
        """Return where there is something to do; without an estimate made `anew` only transformers are looked at."""
        table, points = self._desk.state.transformers, self._desk.points
        steered = points.steers(DUTY, "p_max_mw") | points.steers(DUTY, "p_set_mw")
        look = look & self._movable
        inside = np.zeros(len(look), dtype=bool)
        for number in np.flatnonzero(look & anew).tolist():
            nodes, branches = violated(_known(pictures[number]), self._limits)
            self._waited[number] = self._waited[number] + 1 if nodes else 0
            inside[number] = branches or self._waited[number] > self._patience or self._inside[number]
        carried = table.infeed(self._carried_percent)
        carried = self._compensation.relieved(pictures, look & table.metered, carried, now_ms)
        room, moves = carried.p_most(carried.q_mvar), np.zeros(len(table.of))
        read = np.flatnonzero((look & table.metered)[table.of])
        moves[read] = self._pace.ahead(
            read, carried.p_mw[read], table.told_ms[table.of[read]], self._desk.cycle_ms)
        moves = np.clip(moves, -FASTEST * room, FASTEST * room)
        supply = Supply(carried.p_mw, np.maximum(-moves, 0.0) - room, room - np.maximum(moves, 0.0))
        which, kept_mw = self._kept.now()
        kept_in, position = self._kept.feeder[which], self._kept.position[which]
        todo = inside | steered
        todo[table.of[np.abs(supply.drawn_mw) > supply.highest_mw]] = True
        todo[kept_in] = True
        self._pace.rest(np.flatnonzero((look & ~todo)[table.of]))
        return [
            Case(n, _known(pictures[n]), bool(inside[n]), supply.at(table.own[n]), position[mine], kept_mw[mine])
            for n in np.flatnonzero(look & todo).tolist() for mine in (kept_in == n,)
        ]

    def _relieve(self, cases: list[Case]) -> list[Message]:
        """Solve feeders, note the wishes, and return what it came to, for the logbook."""
        if not cases:
            return []
        desk, register = self._desk, self._desk.register
        rows = np.concatenate([self._rows[case.number] for case in cases])
        every, others = self._levers(rows)
        asked, kept, end = np.empty(len(rows)), np.zeros(len(rows), dtype=bool), 0
        feeds_in, is_ev = register.feeds_in[rows], self._is_ev[rows]
        out: list[Message] = []
        for case in cases:
            here = slice(end, end := end + len(self._rows[case.number]))
            found = self._solved(case, every.part(here))
            asked[here], kept[here][case.kept] = found.p_mw, True
            away = every.preferred_mw[here] - found.p_mw
            values = {
                "duty": DUTY, "feeder": register.feeders[case.number].name,
                "curtailed_mw": float(away[feeds_in[here]].sum()), "held_back_mw": float(-away[is_ev[here]].sum()),
                "secure": float(found.secure),
            }
            out.append(Message(self._site.name, LOGBOOK, "goal", values))
        change = asked - every.p_mw
        for group, der in ((feeds_in, True), (~feeds_in, False)):
            moved = np.flatnonzero(group & (change != 0.0))
            desk.state.expect(register.place[rows[moved]], change[moved], der=der)
        self._note(rows, every, asked, others, kept)
        return out

    def _solved(self, case: Case, levers: Lever) -> Relief:
        """Return how a feeder is relieved; without a violation inside it only its transformers are looked at."""
        number, picture, topology, supply = case.number, case.picture, case.picture.topology, case.supply
        kept = case.kept
        seen = self._below.get(number)
        if seen is None or seen[0] is not topology:
            seen = self._below[number] = topology, below_anchors(topology, levers.node)
        below, natural = seen[1], levers.preferred_mw.copy()
        if len(kept):
            levers.preferred_mw[kept] = scheduled(supply, levers.p_mw[kept], case.kept_mw, below[:, kept])
        p = by_merit(levers, supply, below)
        if case.inside:
            v_anchor = picture.v[topology.net.anchor]
            found = relieve(topology, picture.v, picture.s, v_anchor, levers, self._limits, supply)
            self._inside[number] = np.abs(found.p_mw - p).max() > 1e-3
        else:
            found = Relief(p, picture.v, not supply.violated(below @ (p - levers.p_mw)).any())
        self._pace.act(self._desk.state.transformers.own[number], below, found.p_mw, natural)
        return found

    def _levers(self, rows: Ints) -> tuple[Lever, Floats]:
        """Return the levers, and what other duties want of the storages."""
        desk, register = self._desk, self._desk.register
        is_storage, ev = self._is_storage[rows], np.flatnonzero(self._is_ev[rows])
        now, available = desk.feed_in(rows)
        mine, total = desk.points.asked(DUTY, "p_set_mw", rows)
        others = total - mine
        charge, discharge = desk.storages.range_mw(rows, for_h=0.25)
        drawn, natural, least = desk.charges(rows[ev])
        levers = Lever(
            node=register.node[rows], p_mw=np.where(is_storage, total, now),
            lower_mw=np.where(is_storage, charge, 0.0), upper_mw=np.where(is_storage, discharge, available),
            preferred_mw=np.where(is_storage, others, available),
            cost=self._price[rows],
        )
        for column, value in ((levers.p_mw, -drawn), (levers.lower_mw, -natural), (levers.upper_mw, -least),
                              (levers.preferred_mw, -natural)):
            column[ev] = value
        return levers, others

    def _note(self, rows: Ints, levers: Lever, asked_mw: Floats, others: Floats, kept: Bools) -> None:
        """Turn what is asked of the levers into wishes: caps for feed-in and charging, changes for storage."""
        points, register = self._desk.points, self._desk.register
        rated, feeds_in, is_storage = register.p_rated_mw[rows], register.feeds_in[rows], self._is_storage[rows]
        away = np.abs(asked_mw - levers.preferred_mw) > CHANGE * rated
        cap = np.abs(asked_mw)
        if self._quantise:
            cap = np.where(feeds_in, quantised(cap, rated, STEPS), cap)
        cap = np.where(away, cap, np.nan)
        points.wish(DUTY, "p_max_mw", rows[~is_storage], cap[~is_storage])
        change = np.where(away | kept, asked_mw - others, np.nan)
        points.wish(DUTY, "p_set_mw", rows[is_storage], change[is_storage])


def _known(picture: Picture | None) -> Picture:
    """Return a picture that must be there: only feeders that have one are looked at."""
    assert picture is not None
    return picture
