"""Manage congestion: curtail, charge and hold charging back as little as possible, as long as needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.charging import Charging
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
    violations,
)
from controllers.dms.feeder_file import Picture
from controllers.dms.infeed import Infeed, infeed
from controllers.dms.network import Topology
from controllers.dms.peak_shaving import FILL_SHARE, filling, tight
from controllers.dms.set_points import CHANGE, Bools, Floats, Ints
from controllers.host import LOGBOOK
from sims.core.message import Message

DUTY = "manage_congestion"
INVERTERS = ("pv", "wind", "storage", "statcom")
"""What gives reactive power for transformers: it stands at their busbar, so that no line carries it."""
STEP_PU = 0.01
"""By how much it may move a busbar's voltage in a cycle: tap changers have to follow."""


class ManageCongestion:
    """Caps PV, wind and charging, and uses storage, where the estimate shows a limit violated.

    Transformers at the busbars are metered every minute and relieved by whatever stands below them: first by
    the reactive power of inverters at the busbars, which costs nothing, then by active power. Where this site
    also supports the TSO's voltage, reactive power is left to that duty, lest both pull at one busbar. Storage
    below those that may get short is kept for that (see `peak_shaving`); vehicles keep what a driver may count
    on (see `Charging`).

    Settings: `cycle_ms` (300 000), `margin_pu` (0.004) and `margin_percent` (4) for the error of the
    estimate and what moves within a cycle, `cost_pv`, `cost_wind`, `cost_storage`, `cost_ev` per MW, `quantise`
    (feed-in caps only of 100/60/30/0 %), `patience` (cycles that a voltage violation may last before power is
    touched; 1 where volt/VAr control is this site's too, else 0).
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
        self._price = np.array([price.get(one, 0.0) for one in register.kind.tolist()], dtype=np.float64)
        self._rows = [register.of("pv", "wind", "storage", "ev", feeder=n) for n in range(len(register.feeders))]
        self._charging = Charging(register)
        self._kept = [self._kept_storages(number) for number in range(len(register.feeders))]
        self._idle = [np.isin(rows, kept) for rows, kept in zip(self._rows, self._kept, strict=True)]
        self._reactive = [self._busbar_inverters(number) for number in range(len(register.feeders))]
        self._quantise = bool(settings.get("quantise", False))
        self._patience = int(settings.get("patience", 1 if "control_voltage" in site.duties else 0))
        self._waited: dict[str, int] = {}
        self._inside: set[str] = set()
        self._seen: dict[str, int] = {}
        self._below: dict[int, tuple[Topology, Floats]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("primary")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return caps and storage set-points that changed, are about to expire or may be lifted."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        desk.book_storages(now_ms)
        out: list[Message] = []
        acted = False
        for number, feeder in enumerate(desk.register.feeders):
            picture = desk.state.picture(feeder.name, now_ms)
            if picture is None or now_ms - self._seen.get(feeder.name, -(10**9)) < desk.cycle_ms // 2:
                continue
            if picture.at_ms == self._seen.get(feeder.name):
                continue
            self._seen[feeder.name] = picture.at_ms
            rows = self._rows[number]
            acted = True
            if len(rows):
                out += self._look(number, picture, rows)
        if acted:
            again = desk.cycle_ms + desk.site.period_ms // 5
            for quantity in ("p_max_mw", "p_set_mw", "q_set_mvar"):
                out += desk.points.orders(DUTY, quantity, now_ms, again)
        return out

    def _look(self, number: int, picture: Picture, rows: Ints) -> list[Message]:
        """Relieve a feeder where something is violated or steered already."""
        points, name = self._desk.points, self._desk.register.feeders[number].name
        nodes, branches = violations(picture.topology, picture.v, self._limits, picture.loading)
        self._waited[name] = self._waited.get(name, 0) + 1 if nodes.any() else 0
        inside = bool(branches.any()) or self._waited[name] > self._patience or name in self._inside
        carried = infeed(self._desk.state.files[name], self._limits.loading_max_percent)
        if carried is not None:
            carried = self._compensated(number, picture, carried)
        over = carried is not None and bool((np.abs(carried.p_mw) > carried.p_most(carried.q_mvar)).any())
        steered = any(np.isfinite(points.wished(DUTY, q)[rows]).any() for q in ("p_max_mw", "p_set_mw"))
        if not (inside or over or steered or len(self._kept[number])):
            return []
        return [self._relieve(number, picture, rows, inside, _supply(carried, len(picture.topology.net.anchor)))]

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
        lowest, highest = _extremes(picture)
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

    def _relieve(self, number: int, picture: Picture, rows: Ints, inside: bool, supply: Supply) -> Message:
        """Solve one feeder, note the wishes, and return what it came to, for the logbook.

        Without a violation `inside` the feeder only the transformers at its busbars are looked at.
        """
        desk, topology = self._desk, picture.topology
        register, name = desk.register, desk.register.feeders[number].name
        levers, others = self._levers(number, rows)
        kind, kept = register.kind[rows], self._idle[number]
        seen = self._below.get(number)
        if seen is None or seen[0] is not topology:
            seen = self._below[number] = topology, below_anchors(topology, levers.node)
        below = seen[1]
        if kept.any():
            levers.preferred_mw[kept] = _schedule(supply, levers, kept, below[:, kept])
        p = by_merit(levers, supply, below)
        found = Relief(p, picture.v, not supply.violated(below @ (p - levers.p_mw)).any())
        if inside:
            v_anchor = picture.v[topology.net.anchor]
            found = relieve(topology, picture.v, picture.s, v_anchor, levers, self._limits, supply)
            (self._inside.add if np.abs(found.p_mw - p).max() > 1e-3 else self._inside.discard)(name)
        self._note(rows, levers, found, others, kept)
        node, feeds_in = register.node[rows], register.feeds_in[rows]
        change = found.p_mw - levers.p_mw
        zero = np.zeros(len(rows))
        if change.any():
            desk.state.expect(name, node[feeds_in], change[feeds_in], zero[feeds_in], der=True)
            desk.state.expect(name, node[~feeds_in], change[~feeds_in], zero[~feeds_in])
        away = levers.preferred_mw - found.p_mw
        values = {
            "duty": DUTY, "feeder": name, "curtailed_mw": float(away[feeds_in].sum()),
            "held_back_mw": float(-away[kind == "ev"].sum()), "secure": float(found.secure),
        }
        return Message(self._site.name, LOGBOOK, "goal", values)

    def _levers(self, number: int, rows: Ints) -> tuple[Lever, Floats]:
        """Return the levers, and what other duties want of the storages."""
        desk, register = self._desk, self._desk.register
        kind = register.kind[rows]
        is_storage, is_ev = kind == "storage", kind == "ev"
        now, available = desk.feed_in(rows)
        mine, total = desk.points.asked(DUTY, "p_set_mw", rows)
        others = total - mine
        charge, discharge = desk.storages.range_mw(rows, for_h=0.25)
        cap = desk.points.wished(DUTY, "p_max_mw")
        file = desk.state.files[register.feeders[number].name]
        drawn, natural, least = self._charging.believed(file, rows[is_ev], cap)
        levers = Lever(
            node=register.node[rows], p_mw=np.where(is_storage, total, now),
            lower_mw=np.where(is_storage, charge, 0.0), upper_mw=np.where(is_storage, discharge, available),
            preferred_mw=np.where(is_storage, others, available),
            cost=self._price[rows],
        )
        for column, value in ((levers.p_mw, -drawn), (levers.lower_mw, -natural), (levers.upper_mw, -least),
                              (levers.preferred_mw, -natural)):
            column[is_ev] = value
        return levers, others

    def _kept_storages(self, number: int) -> Ints:
        """Return the storages of a feeder that are kept for the peaks of the transformers above them."""
        register = self._desk.register
        belief, rows = register.feeders[number], self._rows[number]
        net = self._desk.state.files[belief.name].net
        topology = net.topology(net.normal)
        short = tight(belief, net, below_anchors(topology, np.arange(belief.grid.n_nodes)))
        rows = rows[register.kind[rows] == "storage"]
        # Those at the busbars are the large ones, and one message to the primary substation reaches them all.
        out: Ints = rows[np.isin(register.node[rows], net.anchor[short])]
        return out

    def _busbar_inverters(self, number: int) -> tuple[Ints, Ints]:
        """Return a feeder's inverters at busbars with transformers, the largest first, and which busbar each."""
        register, net = self._desk.register, self._desk.state.files[self._desk.register.feeders[number].name].net
        mine = () if "support_tso_voltage" in self._site.duties else INVERTERS
        rows = register.of(*mine, feeder=number)
        fed = net.anchor[np.unique(net.feed_anchor)]
        rows = rows[np.isin(register.node[rows], fed)]
        rows = rows[np.argsort(-register.s_rated_mva[rows], kind="stable")]
        return rows, np.searchsorted(net.anchor, register.node[rows])

    def _note(self, rows: Ints, levers: Lever, found: Relief, others: Floats, kept: Bools) -> None:
        """Turn the optimum into wishes: caps for feed-in and charging, changes for storage."""
        points, register = self._desk.points, self._desk.register
        rated, feeds_in = register.p_rated_mw[rows], register.feeds_in[rows]
        is_storage = register.kind[rows] == "storage"
        away = np.abs(found.p_mw - levers.preferred_mw) > CHANGE * rated
        cap = np.abs(found.p_mw)
        if self._quantise:
            cap = np.where(feeds_in, quantised(cap, rated, STEPS), cap)
        cap = np.where(away, cap, np.nan)
        points.wish(DUTY, "p_max_mw", rows[~is_storage], cap[~is_storage])
        change = np.where(away | kept, found.p_mw - others, np.nan)
        points.wish(DUTY, "p_set_mw", rows[is_storage], change[is_storage])


def _extremes(picture: Picture) -> tuple[Floats, Floats]:
    """Return the lowest and the highest voltage below each busbar, its own included [anchor] [pu]."""
    topology = picture.topology
    size, own = np.abs(picture.v[topology.free]), np.abs(picture.v[topology.net.anchor])
    mine = topology.share.T > 0.5
    lowest = np.where(mine, size, np.inf).min(axis=1, initial=np.inf)
    highest = np.where(mine, size, 0.0).max(axis=1, initial=0.0)
    return np.minimum(lowest, own), np.maximum(highest, own)


def _schedule(supply: Supply, levers: Lever, kept: Bools, below: Floats) -> Floats:
    """Return what kept storages do while nothing is overloaded: fill while there is room, else rest."""
    room = np.where(np.isfinite(supply.highest_mw), FILL_SHARE * supply.highest_mw, 0.0)
    return filling(room - (supply.drawn_mw + below @ levers.p_mw[kept]), levers.lower_mw[kept], below)


def _supply(carried: Infeed | None, anchors: int) -> Supply:
    """Return what the busbars' transformers draw by their meters, and may draw at that reactive power."""
    if carried is None:
        return unlimited(anchors)
    room = carried.p_most(carried.q_mvar)
    return Supply(carried.p_mw, -room, room)
