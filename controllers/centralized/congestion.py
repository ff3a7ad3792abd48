"""Manage congestion: curtail, charge and hold charging back as little as possible, as long as needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.centralized.desk import Desk
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
    unlimited,
    violated,
)
from controllers.dms.feeder_file import Picture
from controllers.dms.infeed import Infeed, Pace, extremes, infeed
from controllers.dms.network import Topology
from controllers.dms.peak_shaving import FILL_SHARE, filling, level, tight
from controllers.dms.set_points import CHANGE, Bools, Floats, Ints
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "manage_congestion"
INVERTERS = ("pv", "wind", "storage", "statcom")
"""What gives reactive power for transformers: it stands at their busbar, so that no line carries it."""
STEP_PU = 0.01
"""By how much it may move a busbar's voltage in a cycle: tap changers have to follow."""
AGAIN_MS = 120_000
"""After that long the transformers' meters show what was ordered."""
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
        self._busbar = [self._busbar_storages(number) for number in range(len(register.feeders))]
        self._reactive = [self._busbar_inverters(number) for number in range(len(register.feeders))]
        self._quantise = bool(settings.get("quantise", False))
        self._patience = int(settings.get("patience", 1 if "control_voltage" in site.duties else 0))
        self._waited: dict[str, int] = {}
        self._inside: set[str] = set()
        self._seen: dict[str, int] = {}
        self._acted_ms = [-(10**9)] * len(register.feeders)
        self._below: dict[int, tuple[Topology, Floats]] = {}
        self._pace = [Pace() for _ in register.feeders]

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("primary")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return caps and storage set-points that changed, are about to expire or may be lifted."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        desk.book_storages(now_ms)
        seen: list[tuple[int, Picture, bool]] = []
        for number, feeder in enumerate(desk.register.feeders):
            picture = desk.state.picture(feeder.name, now_ms)
            last_ms = self._seen.get(feeder.name, -(10**9))
            anew = picture is not None and picture.at_ms != last_ms and now_ms - last_ms >= desk.cycle_ms // 2
            if picture is not None and (anew or self._overtaken(number, now_ms)):
                self._seen[feeder.name], self._acted_ms[number] = picture.at_ms, now_ms
                seen.append((number, picture, anew))
        if not seen:
            return []
        steered = desk.points.steers(DUTY, "p_max_mw") | desk.points.steers(DUTY, "p_set_mw")
        cases = [self._look(number, picture, anew, bool(steered[number])) for number, picture, anew in seen]
        out = self._relieve([case for case in cases if case is not None])
        again = desk.cycle_ms + desk.site.period_ms // 5
        for quantity in ("p_max_mw", "p_set_mw", "q_set_mvar"):
            out += desk.points.orders(DUTY, quantity, now_ms, again)
        return out

    def _overtaken(self, number: int, now_ms: int) -> bool:
        """Tell whether transformers are overloaded in spite of the last look, and what it ordered must have come."""
        if now_ms - self._acted_ms[number] < AGAIN_MS:
            return False
        file = self._desk.state.files[self._desk.register.feeders[number].name]
        loading = None if file.belief.name in self._inside else file.told("loading_percent")
        return loading is not None and bool((loading > self._site.grid.loading_max_percent).any())

    def _look(self, number: int, picture: Picture, anew: bool, steered: bool) -> Case | None:
        """Tell what there is to do in a feeder; without an estimate made `anew` only its transformers are looked at."""
        if not len(self._rows[number]):
            return None
        limits, name, inside = self._limits, self._desk.register.feeders[number].name, False
        if anew:
            nodes, branches = violated(picture.topology, picture.v, limits, picture.loading)
            self._waited[name] = self._waited.get(name, 0) + 1 if nodes else 0
            inside = branches or self._waited[name] > self._patience or name in self._inside
        file = self._desk.state.files[name]
        carried = infeed(file, self._carried_percent)
        supply = unlimited(len(picture.topology.net.anchor))
        if carried is not None:
            carried = self._compensated(number, picture, carried)
            room = carried.p_most(carried.q_mvar)
            moves = self._pace[number].ahead(carried.p_mw, file.primary_ms, self._desk.cycle_ms)
            moves = np.clip(moves, -FASTEST * room, FASTEST * room)
            supply = Supply(carried.p_mw, np.maximum(-moves, 0.0) - room, room - np.maximum(moves, 0.0))
        over = bool((np.abs(supply.drawn_mw) > supply.highest_mw).any())
        kept = self._kept_now(number)
        if not (inside or over or steered or len(kept[0])):
            self._pace[number].rest()
            return None
        return Case(number, picture, inside, supply, *kept)

    def _compensated(self, number: int, picture: Picture, carried: Infeed) -> Infeed:
        """Let inverters at the busbars carry what overloads the transformers; return what these draw then."""
        desk, net = self._desk, picture.topology.net
        points, name = desk.points, desk.register.feeders[number].name
        rows, anchor = self._reactive[number]
        if not len(rows):
            return carried
        wished = points.wished(DUTY, "q_set_mvar")[rows]
        mine = np.nan_to_num(wished)
        given: Floats = np.bincount(anchor, mine, len(net.anchor)).astype(np.float64)
        wanted = carried.excess_mvar(given)
        if not (wanted.any() or np.isfinite(wished).any()):
            return carried
        # A tap changer answers within minutes; until then all voltages below the busbar move, there and back.
        stiff = net.grid.base_mva / np.maximum(np.abs(net.z_feed.imag), 1e-9)
        lowest, highest = extremes(picture)
        # Half of the room is left to the neighbours, who raise the voltage above the transformers with theirs.
        up, down = (np.clip(room / 2, 0.0, STEP_PU) * stiff for room in (
            self._limits.v_max_pu - highest, lowest - self._limits.v_min_pu))
        wanted = np.clip(wanted, given - down, given + up)
        wish = np.zeros(len(rows))
        reach = desk.reach(rows)
        for a in np.flatnonzero(wanted):
            # Few give all: whoever is spoken to leaves its Q(U), and many at once would be felt.
            here = np.flatnonzero(anchor == a)
            before = np.cumsum(reach[here]) - reach[here]
            wish[here] = np.sign(wanted[a]) * np.clip(abs(wanted[a]) - before, 0.0, reach[here])
        wanted = np.bincount(anchor, wish, len(net.anchor)).astype(np.float64)
        points.wish(DUTY, "q_set_mvar", rows, np.where(wish != 0.0, wish, np.nan))
        change = wish - mine
        if change.any():
            desk.state.expect(name, desk.register.node[rows], np.zeros(len(rows)), change)
        return Infeed(carried.p_mw, carried.q_mvar - (wanted - given), carried.most_mva)

    def _relieve(self, cases: list[Case]) -> list[Message]:
        """Solve feeders, note the wishes, and return what it came to, for the logbook."""
        if not cases:
            return []
        desk, register = self._desk, self._desk.register
        rows = np.concatenate([self._rows[case.number] for case in cases])
        every, others = self._levers(rows)
        asked, kept, end = np.empty(len(rows)), np.zeros(len(rows), dtype=bool), 0
        out: list[Message] = []
        for case in cases:
            here = slice(end, end := end + len(self._rows[case.number]))
            found = self._solved(case, every.part(here))
            asked[here], kept[here][case.kept] = found.p_mw, True
            name, mine = register.feeders[case.number].name, rows[here]
            node, feeds_in = register.node[mine], register.feeds_in[mine]
            change = found.p_mw - every.p_mw[here]
            zero = np.zeros(len(mine))
            if change.any():
                desk.state.expect(name, node[feeds_in], change[feeds_in], zero[feeds_in], der=True)
                desk.state.expect(name, node[~feeds_in], change[~feeds_in], zero[~feeds_in])
            away = every.preferred_mw[here] - found.p_mw
            values = {
                "duty": DUTY, "feeder": name, "curtailed_mw": float(away[feeds_in].sum()),
                "held_back_mw": float(-away[self._is_ev[mine]].sum()), "secure": float(found.secure),
            }
            out.append(Message(self._site.name, LOGBOOK, "goal", values))
        self._note(rows, every, asked, others, kept)
        return out

    def _solved(self, case: Case, levers: Lever) -> Relief:
        """Return how a feeder is relieved; without a violation inside it only its transformers are looked at."""
        number, picture, topology, supply = case.number, case.picture, case.picture.topology, case.supply
        name, kept = self._desk.register.feeders[number].name, case.kept
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
            (self._inside.add if np.abs(found.p_mw - p).max() > 1e-3 else self._inside.discard)(name)
        else:
            found = Relief(p, picture.v, not supply.violated(below @ (p - levers.p_mw)).any())
        self._pace[number].act(below, found.p_mw, natural)
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

    def _busbar_storages(self, number: int) -> tuple[Ints, Ints, Floats]:
        """Return a feeder's storages at busbars among its levers, which busbar each, and what these lack by nameplate.

        Those at the busbars are the large ones, and one message to the primary substation reaches them all.
        """
        register, rows = self._desk.register, self._rows[number]
        belief = register.feeders[number]
        net = self._desk.state.files[belief.name].net
        topology = net.topology(net.normal)
        short = tight(belief, net, below_anchors(topology, np.arange(belief.grid.n_nodes)))
        fed = net.anchor[np.unique(net.feed_anchor)]
        at = np.flatnonzero(self._is_storage[rows] & np.isin(register.node[rows], fed))
        return at, np.searchsorted(net.anchor, register.node[rows[at]]), np.where(short, np.inf, 0.0)

    def _kept_now(self, number: int) -> tuple[Ints, Floats]:
        """Return the storages of a feeder that are kept for a peak to come, and what they are to give for it [MW]."""
        at, busbar, by_nameplate = self._busbar[number]
        foreseen, storages = self._desk.need_mwh[number], self._desk.storages
        need = np.where(np.isnan(foreseen) | (foreseen == 0), by_nameplate, foreseen)
        here = (need != 0)[busbar]
        at, busbar = at[here], busbar[here]
        if not len(at):
            return at, np.zeros(0)
        rows = self._rows[number][at]
        usable = np.bincount(busbar, storages.usable_mwh(rows), len(need)).astype(np.float64)
        full = level(need, usable, storages.efficiency)[busbar]
        toward = storages.toward_mw(rows, full, for_h=0.25)
        # What is there beyond the need stays, and so does room beyond it.
        way = np.sign(need[busbar])
        return at, np.where(way * toward < 0, toward, 0.0)

    def _busbar_inverters(self, number: int) -> tuple[Ints, Ints]:
        """Return a feeder's inverters at busbars with transformers, the largest first, and which busbar each."""
        register, net = self._desk.register, self._desk.state.files[self._desk.register.feeders[number].name].net
        mine = () if "support_tso_voltage" in self._site.duties else INVERTERS
        rows = register.of(*mine, feeder=number)
        fed = net.anchor[np.unique(net.feed_anchor)]
        rows = rows[np.isin(register.node[rows], fed)]
        rows = rows[np.argsort(-register.s_rated_mva[rows], kind="stable")]
        return rows, np.searchsorted(net.anchor, register.node[rows])

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


def scheduled(supply: Supply, now_mw: Floats, wanted_mw: Floats, below: Floats) -> Floats:
    """Return what kept storages do while nothing is overloaded: fill or empty while there is room, else rest.

    Parameters
    ----------
    now_mw, wanted_mw : array [storage]
        What they give, and would have to give to be ready in time.
    below : array [anchor, storage]
    """
    most = np.where(np.isfinite(supply.highest_mw), FILL_SHARE * supply.highest_mw, 0.0)
    drawn = supply.drawn_mw + below @ now_mw
    charging, giving = np.minimum(wanted_mw, 0.0), np.maximum(wanted_mw, 0.0)
    out: Floats = filling(most - drawn, charging, below) - filling(most + drawn, -giving, below)
    return out
