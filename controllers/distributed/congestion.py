"""Congestion without a centre: the agents of a feeder agree on one ratio of curtailment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from controllers.contract import Site
from controllers.distributed.area import Area, Fleet, column
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.congestion_lookout import CongestionLookout
from controllers.distributed.paths import fed_by, transformer_mva
from controllers.distributed.picture import Frame, picture_of
from controllers.distributed.ratio import SharedRatio
from sims.core.message import Message

DUTY = "manage_congestion"


class ConsensusCurtailment:
    """Holds voltages and loadings by a common ratio u = P / P_avail of all generation behind a transformer.

    The agent that measures a deviation pushes the ratio, consensus spreads it: every area gives up the same
    share. What hangs from one busbar shares one ratio, as normally switched; the leading agent holds one for each
    of its transformers, so that nobody gives up anything for one that it does not load. Over-voltage enters at the
    agent in whose area it stands, overload of a boundary line at its agents, overload of transformers and head
    lines at the leading agent, in each case only where the power flows towards the primary substation: curtailing
    helps no import.

    The push is the deviation divided by what the ratio moves at that place (nameplate: resistance to the
    source times rated generation, or rated generation over the rating), times `loop_gain`; the loop is then
    stable for a delay of d rounds while loop_gain < 2 cos(d pi / (2 d + 1)).

    Settings
    --------
    round_s : float
        Time between rounds while something is wrong (60).
    loop_gain : float
        (0.3)
    release_per_round : float
        (0.04)
    ttl_s : float
        Life of a cap; renewed when a quarter of it is left (1800).
    margin_v_pu, margin_percent : float
        Distance from the limit below which nothing is released (0.004, 5).

    Notes
    -----
    With more room than `CALM_PU`, and than `CALM_SHARE` of the rated generation, an agent at rest looks again
    after `CALM_S`, or when a neighbour calls.
    """

    urgent = frozenset({"consensus/p"})
    reads: frozenset[str] = frozenset()
    bench = CongestionLookout
    CALM_S, CALM_PU, CALM_SHARE = 300.0, 0.015, 0.2

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.round_s = float(s.get("round_s", 60.0))
        self.ttl_s = float(s.get("ttl_s", 1800.0))
        self.margin_v_pu = float(s.get("margin_v_pu", 0.004))
        self.margin_percent = float(s.get("margin_percent", 5.0))
        self.trafo_mva = transformer_mva(self.area.feeder.grid).tolist()
        self.sides = [Side(self.area, k, float(s.get("loop_gain", 0.3)), float(s.get("release_per_round", 0.04)))
                      for k in sides(self.area)]
        self.by_name = {name: side for side in self.sides for name in side.ratio.weights}
        shared(site, "ratio_p", lambda: self)
        self.board = picture_of(site, self.area)
        self.volts = self.board.volts
        self.own: Message | None = None
        self.primary: Message | None = None
        self.line_over_mva = -math.inf
        self.last_s = -math.inf
        self.next_s = self.due_s = 0.0
        self.book: OrderBook = shared(site, "p_max", lambda: cap_book(site, self.area))
        under = np.maximum(fed_by(self.area.feeder.grid)[self.book.fleet.node], 0)
        for side in self.sides:
            side.mine = under == side.number if self.area.leads else np.ones(len(under), dtype=bool)

    @property
    def value(self) -> float:
        """The lowest of the ratios held."""
        return min(side.ratio.value for side in self.sides)

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and neighbours' ratios; once a round, advance and act."""
        self.board.look(inbox)
        for message in inbox:
            if message.topic == "consensus/p" and message.sender in self.by_name:
                self.by_name[message.sender].ratio.hear(message)
        if now_s < self.next_s:
            # A neighbour's call ends a calm look: the next round follows as soon as it is due.
            if any(side.ratio.awake for side in self.sides):
                self.next_s = self.due_s = min(self.next_s, self.last_s + self.round_s)
            if now_s < self.next_s:
                return []
        self.last_s = now_s
        self.next_s = self.due_s = now_s + self.round_s
        self.volts.expire(now_s)
        own, primary = self.board.own, self.board.primary
        if own is not None and own is not self.own and "boundary_line" in own.values:
            limit = self.site.grid.loading_max_percent
            self.line_over_mva = self.area.export_excess_mva(own.values, limit)
        if primary is not None and primary is not self.primary and self.area.leads:
            self._primary(primary)
        self.own, self.primary = own, primary
        out: list[Message] = []
        calm = True
        for side in self.sides:
            push, needed = self._push(side)
            if side.ratio.awake or push < 0:
                side.ratio.step(push, needed)
                out += side.ratio.mail(self.site.name)
                calm = False
            else:
                calm = calm and not needed and self._calm(side)
        if not out and all(side.ratio.value == side.capped == 1.0 for side in self.sides):
            if calm:
                self.next_s = self.due_s = now_s + self.CALM_S
            return out
        return out + self._caps(now_s)

    def _primary(self, message: Message) -> None:
        values = message.values
        p_mw, loading = column(values["p_mw"]), column(values["loading_percent"])
        limit = self.site.grid.loading_max_percent
        for side in self.sides:
            k = side.number
            if k < len(self.trafo_mva) and k < len(loading):
                # Signed by direction: a transformer that imports is not helped by curtailing, however full it is.
                side.over_mva = ((loading[k] if p_mw[k] < 0 else 0.0) - limit) / 100 * self.trafo_mva[k]

    def _excess(self, side: Side) -> tuple[float, float]:
        """Return how far what this agent sees of one side lies beyond the limits [pu, MVA], negative inside."""
        highest = self.volts.highest_at(side.number) if self.area.leads else self.volts.highest_pu
        # Of a line between areas the other one pushes where it is not clear which side it belongs to.
        line = self.line_over_mva if len(self.sides) == 1 else -math.inf
        return highest - self.site.grid.v_max_pu, max(side.over_mva, line)

    def _push(self, side: Side) -> tuple[float, bool]:
        """Return this round's push (<= 0) and whether the ratio must be held."""
        over_v, over_mva = self._excess(side)
        push = 0.0
        needed = False
        if over_v > -self.margin_v_pu and side.per_pu:
            needed = True
            push = -side.per_pu * max(over_v, 0.0)
        margin_mva = self.margin_percent / 100 * (1.0 / side.per_mva if side.per_mva else 0.0)
        if over_mva > -margin_mva and side.per_mva:
            needed = True
            push = min(push, -side.per_mva * max(over_mva, 0.0))
        # One round may take a tenth of the generation at most.
        return max(push, -0.1 * side.count), needed

    def _calm(self, side: Side) -> bool:
        """Tell whether nothing is near its limit: then the next look may wait."""
        over_v, over_mva = self._excess(side)
        return -over_v > self.CALM_PU and -over_mva > self.CALM_SHARE * side.rated_mw

    def _caps(self, now_s: float) -> list[Message]:
        news = False
        for side in self.sides:
            ratio = side.ratio.value
            if abs(ratio - side.capped) > 0.02 or (ratio == 1.0) != (side.capped == 1.0):
                side.capped, news = ratio, True
        if news:
            caps = np.full(len(self.book.fleet), np.nan)
            available = available_mw(self.book.fleet, self.board.frames.values())
            for side in self.sides:
                if side.capped < 1.0:
                    caps[side.mine] = side.capped * available[side.mine]
            self.book.wish(DUTY, caps if np.isfinite(caps).any() else None)
        if not news and now_s < self.book.due_s:
            return []
        return self.book.letters(DUTY, now_s, self.ttl_s)


class Side:
    """What hangs from one transformer of a feeder, as one agent takes part in it.

    Attributes
    ----------
    number : int
    ratio : SharedRatio
        With the neighbours of this side.
    count, rated_mw
        Agents, and generation of all of them.
    per_pu, per_mva : float
        Push per deviation.
    over_mva : float
        Of the transformer, as the leading agent knows it.
    capped : float
        Ratio that the devices were told last.
    mine : array of bool [device]
        The agent's own generation on this side.
    """

    def __init__(self, area: Area, number: int, loop_gain: float, release: float) -> None:
        feeder, devices = area.feeder, area.feeder.devices
        fed = np.maximum(fed_by(feeder.grid), 0)
        own = {0} | {a for a in range(area.count) if fed[feeder.agent_node[a]] == number}
        near = {feeder.agents[a]: len(own & set(feeder.area_neighbours[a])) for a in feeder.area_neighbours[area.number]
                if a in own}
        self.number, self.count = number, len(own)
        rows = devices.of("pv", "wind", "chp")
        self.rated_mw = float(devices.p_rated_mw[rows][fed[devices.node[rows]] == number].sum())
        gain, rise_pu = loop_gain * self.count, area.source_impedance.real * self.rated_mw
        self.per_pu = gain / rise_pu if rise_pu > 0 else 0.0
        self.per_mva = gain / self.rated_mw if self.rated_mw > 0 else 0.0
        self.ratio = SharedRatio(
            "consensus/p", near, rest=1.0, low=0.0, high=1.0, reach=2 * self.count, release=release,
        )  # fmt: skip
        self.over_mva, self.capped = -math.inf, 1.0
        self.mine = np.zeros(0, dtype=bool)


def sides(area: Area) -> list[int]:
    """Return the transformers, by number, whose sides an agent takes part in: the leading agent in all."""
    fed = np.maximum(fed_by(area.feeder.grid), 0)
    return sorted(set(fed.tolist())) if area.leads else [int(fed[area.own_node])]


def cap_book(site: Site, area: Area) -> OrderBook:
    """Return the book of the caps on all generation of an area, for all duties that set them."""
    return OrderBook(site, area.fleet("pv", "wind", "chp"), "p_max_mw", dead_share=0.02)


def available_mw(fleet: Fleet, frames: Iterable[Frame]) -> np.ndarray:
    """Return what each device could give, by its substation's last frame, else by nameplate."""
    p_mw = fleet.p_rated_mw.copy()
    told: dict[str, float] = {}
    for frame in frames:
        told[frame.sender] = told.get(frame.sender, 0.0) + frame.avail_mw
    for gateway, run in fleet.gateways:
        rated = p_mw[run].sum()
        if gateway in told and rated > 0:
            p_mw[run] *= min(max(told[gateway] / rated, 0.0), 1.0)
    return p_mw
