"""Congestion without a centre: the agents of a feeder agree on one ratio of curtailment."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.contract import Site
from controllers.distributed.area import Area, column
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.paths import transformer_mva
from controllers.distributed.picture import picture_of
from controllers.distributed.ratio import SharedRatio
from sims.core.message import Message

DUTY = "manage_congestion"


class ConsensusCurtailment:
    """Holds voltages and loadings by a common ratio u = P / P_avail of all generation on the feeder.

    The agent that measures a deviation pushes the ratio, consensus spreads it: every area gives up the same
    share. Over-voltage enters at the agent in whose area it stands, overload of a boundary line at its agents,
    overload of transformers and head lines at the leading agent, in each case only where the power flows
    towards the primary substation: curtailing helps no import.

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
    CALM_S, CALM_PU, CALM_SHARE = 300.0, 0.015, 0.2

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.round_s = float(s.get("round_s", 60.0))
        self.ttl_s = float(s.get("ttl_s", 1800.0))
        self.margin_v_pu = float(s.get("margin_v_pu", 0.004))
        self.margin_percent = float(s.get("margin_percent", 5.0))
        devices = self.area.feeder.devices
        self.rated_mw = rated_mw = float(devices.p_rated_mw[devices.of("pv", "wind", "chp")].sum())
        gain = float(s.get("loop_gain", 0.3)) * self.area.count
        rise_pu = self.area.source_impedance.real * rated_mw
        self.per_pu = gain / rise_pu if rise_pu > 0 else 0.0
        self.per_mva = gain / rated_mw if rated_mw > 0 else 0.0
        self.trafo_mva = transformer_mva(self.area.feeder.grid).tolist()
        self.ratio = SharedRatio(
            "consensus/p", self.area.degrees, rest=1.0, low=0.0, high=1.0,
            reach=2 * self.area.count, release=float(s.get("release_per_round", 0.04)),
        )
        shared(site, "ratio_p", lambda: self.ratio)
        self.board = picture_of(site, self.area)
        self.volts = self.board.volts
        self.own: Message | None = None
        self.primary: Message | None = None
        self.over_mva = -math.inf
        self.line_over_mva = -math.inf
        self.last_s = -math.inf
        self.next_s = self.due_s = 0.0
        self.book: OrderBook = shared(site, "p_max", lambda: cap_book(site, self.area))
        self.capped_ratio = 1.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and neighbours' ratios; once a round, advance and act."""
        self.board.look(inbox)
        for message in inbox:
            if message.topic == "consensus/p":
                self.ratio.hear(message)
        if now_s < self.next_s:
            # A neighbour's call ends a calm look: the next round follows as soon as it is due.
            if self.ratio.awake:
                self.next_s = self.due_s = min(self.next_s, self.last_s + self.round_s)
            if now_s < self.next_s:
                return []
        self.last_s = now_s
        self.next_s = self.due_s = now_s + self.round_s
        self.volts.expire(now_s)
        own, primary = self.board.own, self.board.primary
        if own is not None and own is not self.own and self.per_mva and "boundary_line" in own.values:
            limit = self.site.grid.loading_max_percent
            self.line_over_mva = self.area.export_excess_mva(own.values, limit)
        if primary is not None and primary is not self.primary and self.area.leads:
            self._primary(primary)
        self.own, self.primary = own, primary
        push, needed = self._push()
        if not (self.ratio.awake or push < 0):
            if not needed and self._calm():
                self.next_s = self.due_s = now_s + self.CALM_S
            return []
        self.ratio.step(push, needed)
        return self.ratio.mail(self.site.name) + self._caps(now_s)

    def _primary(self, message: Message) -> None:
        values = message.values
        p_mw, loading = column(values["p_mw"]), column(values["loading_percent"])
        limit = self.site.grid.loading_max_percent
        # Signed by direction: a transformer that imports is not helped by curtailing, however full it is.
        excess = [
            ((percent if p < 0 else 0.0) - limit) / 100 * mva
            for p, percent, mva in zip(p_mw, loading, self.trafo_mva, strict=False)
        ]
        self.over_mva = max(excess, default=-math.inf)

    def _push(self) -> tuple[float, bool]:
        """Return this round's push (<= 0) and whether the ratio must be held."""
        over_v = self.volts.highest_pu - self.site.grid.v_max_pu
        over_mva = max(self.over_mva, self.line_over_mva)
        push = 0.0
        needed = False
        if over_v > -self.margin_v_pu and self.per_pu:
            needed = True
            push = -self.per_pu * max(over_v, 0.0)
        margin_mva = self.margin_percent / 100 * (1.0 / self.per_mva if self.per_mva else 0.0)
        if over_mva > -margin_mva and self.per_mva:
            needed = True
            push = min(push, -self.per_mva * max(over_mva, 0.0))
        # One round may take a tenth of the feeder's generation at most.
        return max(push, -0.1 * self.area.count), needed

    def _calm(self) -> bool:
        """Tell whether nothing is near its limit: then the next look may wait."""
        room_pu, room_mva = self.site.grid.v_max_pu - self.volts.highest_pu, -max(self.over_mva, self.line_over_mva)
        return room_pu > self.CALM_PU and room_mva > self.CALM_SHARE * self.rated_mw

    def _caps(self, now_s: float) -> list[Message]:
        ratio = self.ratio.value
        if ratio == 1.0 == self.capped_ratio:
            return []
        news = abs(ratio - self.capped_ratio) > 0.02 or (ratio == 1.0) != (self.capped_ratio == 1.0)
        if news:
            self.capped_ratio = ratio
            self.book.wish(DUTY, None if ratio == 1.0 else ratio * self._available_mw())
        if not news and now_s < self.book.due_s:
            return []
        return self.book.letters(DUTY, now_s, self.ttl_s)

    def _available_mw(self) -> np.ndarray:
        """Return what each device could give, by its substation's last frame, else by nameplate."""
        fleet = self.book.fleet
        p_mw = fleet.p_rated_mw.copy()
        told: dict[str, float] = {}
        for frame in self.board.frames.values():
            told[frame.sender] = told.get(frame.sender, 0.0) + frame.avail_mw
        for gateway, run in fleet.gateways:
            rated = p_mw[run].sum()
            if gateway in told and rated > 0:
                p_mw[run] *= min(max(told[gateway] / rated, 0.0), 1.0)
        return p_mw


def cap_book(site: Site, area: Area) -> OrderBook:
    """Return the book of the caps on all generation of an area, for all duties that set them."""
    return OrderBook(site, area.fleet("pv", "wind", "chp"), "p_max_mw", dead_share=0.02)
