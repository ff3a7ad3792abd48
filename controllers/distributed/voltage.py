"""Voltage without a centre: the agents of a feeder call for taps, then agree on one ratio of reactive power."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import LOW_VOLTAGE_KV, Area
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.busbar import Busbars, Span
from controllers.distributed.order_kernels import filled
from controllers.distributed.picture import picture_of
from controllers.distributed.ratio import SharedRatio
from controllers.distributed.voltage_lookout import VoltageLookout
from sims.core.message import Message

Floats = NDArray[np.float64]

DUTY = "control_voltage"
SOURCES = ("pv", "wind", "storage", "chp", "svc", "statcom")


class ConsensusVoltVar:
    """Holds voltages inside their limits, on top of the inverters' own Q(U): taps first, then reactive power.

    It acts `guard_pu` inside the limits. The agent that sees a voltage beyond them calls its neighbours; with the
    call travels up the tree what is lowest and highest behind each transformer, and the leading agent moves the
    regulator's set-point where that helps and harms nobody (see `busbar.Busbars`). What lasts longer than
    `patience_s` is answered by a common ratio q = Q / Q_max of the inverters at medium voltage, -1 to 1: the agent
    with the worst voltage pushes, consensus spreads it. The push is the voltage's distance over what the ratio
    moves there (nameplate: reactance to the source times Q_max of the feeder), times `loop_gain`; with a delay
    of d rounds the loop is stable while loop_gain < 2 cos(d pi / (2 d + 1)).

    An area gives its part of Q_max with one substation after the other at its full Q, so that a changed ratio
    moves few orders, and takes back bit by bit what would push its own voltages over the other limit. Inverters at
    low voltage stay with Q(U): a frame from there is up to a quarter-hour old.

    Agents at rest keep the leading agent's picture of the voltages true and send nothing else, and all devices
    follow their own law; one whose voltages are more than `CALM_PU` inside the guard looks again after `CALM_S`,
    or when a neighbour calls.

    Settings
    --------
    round_s : float
        Time between rounds while something is wrong (60).
    loop_gain : float
        (0.3)
    guard_pu : float
        (0.008)
    patience_s : float
        How long the taps are waited for (240).
    margin_v_pu : float
        Distance to the guarded limit below which nothing is released (0.004).
    release_per_round : float
        (0.05)
    ttl_s : float
        Life of a set-point; renewed when a quarter of it is left (3600).
    """

    urgent = frozenset({"consensus/q"})
    reads: frozenset[str] = frozenset()
    bench = VoltageLookout
    CALM_S, CALM_PU = 300.0, 0.012

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.round_s = float(s.get("round_s", 60.0))
        self.ttl_s = float(s.get("ttl_s", 3600.0))
        self.margin_v_pu = float(s.get("margin_v_pu", 0.004))
        self.patience_s = float(s.get("patience_s", 240.0))
        guard_pu = float(s.get("guard_pu", 0.008))
        self.low_pu, self.high_pu = site.grid.v_min_pu + guard_pu, site.grid.v_max_pu - guard_pu
        self.book: OrderBook = shared(site, "q", lambda: reactive_book(site, self.area))
        self.q_max_mvar = at_medium_voltage(self.area, self.book)
        self.whole_mvar = float(self.q_max_mvar.sum())
        rise_pu = self.area.medium_impedance.imag * self.area.feeder_q_mvar()
        self.per_pu = float(s.get("loop_gain", 0.3)) * self.area.count / rise_pu if rise_pu > 0 else 0.0
        self.ratio = SharedRatio(
            "consensus/q", self.area.degrees, rest=0.0, low=-1.0, high=1.0,
            reach=2 * self.area.count, release=float(s.get("release_per_round", 0.05)),
        )
        shared(site, "ratio_q", lambda: self.ratio)
        self.board = picture_of(site, self.area)
        self.volts, self.span = self.board.volts, Span(self.area)
        self.busbars = Busbars(site, self.area, DUTY) if self.area.leads else None
        self.board.watchers += [self.span] if self.area.leads else []
        self.primary: Message | None = None
        self.since_s, self.last_s = math.inf, -math.inf
        self.next_s = self.due_s = 0.0
        self.wished, self.share = 0.0, 1.0
        self.release, own_rise_pu = self.ratio.release, self.area.medium_impedance.imag * self.whole_mvar
        self.share_per_pu = float(s.get("loop_gain", 0.3)) / own_rise_pu if own_rise_pu > 0 else 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and neighbours' ratios; once a round, advance and act."""
        self.board.look(inbox)
        for message in inbox:
            if message.topic == "consensus/q":
                self.ratio.hear(message)
                self.span.hear(message, now_s)
        if now_s < self.next_s:
            # A neighbour's call ends a calm look: the next round follows as soon as it is due.
            if self.ratio.awake:
                self.next_s = self.due_s = min(self.next_s, self.last_s + self.round_s)
            if now_s < self.next_s:
                return []
        self.last_s = now_s
        self.next_s = self.due_s = now_s + self.round_s
        self.volts.expire(now_s)
        lowest_pu, highest_pu = self.volts.range_pu()
        over, under = highest_pu - self.high_pu, self.low_pu - lowest_pu
        push, needed = self._push(over, under, now_s)
        if not (self.ratio.awake or push or needed):
            if max(over, under) < -self.CALM_PU:
                self.next_s = self.due_s = now_s + self.CALM_S
            return self._taps(now_s) + self._tell(now_s)
        self.ratio.step(push, needed)
        parent = self.area.parent
        more = (lambda: {parent: self.span.letter(self.volts, now_s)}) if parent else None
        return self.ratio.mail(self.site.name, more) + self._set_points(over, under, now_s) + self._taps(now_s)

    def _tell(self, now_s: float) -> list[Message]:
        """Return the letter that keeps the parent's picture true while all rest."""
        if self.area.parent is None or not self.span.news(self.volts, now_s):
            return []
        values = {"ratio": self.ratio.value, "hold": 0, **self.span.letter(self.volts, now_s)}
        return [Message(self.site.name, self.area.parent, "consensus/q", values, size_bytes=52 + 16 * self.span.count)]

    def _taps(self, now_s: float) -> list[Message]:
        if self.busbars is None:
            return []
        primary = self.board.primary
        if primary is not None and primary is not self.primary:
            self.busbars.primary(primary.values)
            self.primary = primary
        return self.busbars.orders(*self.span.known(self.volts, now_s), self.low_pu, self.high_pu, now_s)

    def _push(self, over: float, under: float, now_s: float) -> tuple[float, bool]:
        """Return this round's push and whether the ratio must be held, by how far voltages lie beyond [pu]."""
        if self.volts.dark:
            return 0.0, False
        if over <= 0 and under <= 0:
            self.since_s = math.inf
            ratio = self.ratio.value
            # Held while letting go would bring the voltage that the ratio cures back to its limit.
            close = (ratio < 0 and over > -self.margin_v_pu) or (ratio > 0 and under > -self.margin_v_pu)
            return 0.0, close
        self.since_s = min(self.since_s, now_s)
        if (over > 0 and under > 0) or now_s - self.since_s < self.patience_s:
            return 0.0, True  # one ratio cannot cure both; and the taps come first
        limit = 0.25 * self.area.count
        return min(max(self.per_pu * (max(under, 0.0) - max(over, 0.0)), -limit), limit), True

    def _set_points(self, over: float, under: float, now_s: float) -> list[Message]:
        total = self._own_share(over, under) * self.ratio.value * self.whole_mvar
        if total == 0 == self.wished:
            return []
        # At rest the set-points are taken back: the devices' own law holds again.
        self.book.wish(DUTY, filled(self.q_max_mvar, total) if total else None)
        self.wished = total
        return self.book.letters(DUTY, now_s, self.ttl_s)


    def _own_share(self, over: float, under: float) -> float:
        """Return how much of the ratio is followed: what helps neighbours must not cost the own area its other limit.

        Taken back and given again bit by bit: all at once, the voltage would swing from one limit to the other.
        """
        ratio = self.ratio.value
        beyond = over if ratio > 0 else under
        if ratio == 0:
            self.share = 1.0
        elif beyond > 0:
            self.share = max(self.share - self.share_per_pu * beyond, 0.0)
        elif beyond < -self.margin_v_pu:
            self.share = min(self.share + self.release, 1.0)
        return self.share


def reactive_book(site: Site, area: Area) -> OrderBook:
    """Return the book of the reactive power of all inverters of an area, for all duties that move it."""
    return OrderBook(site, area.fleet(*SOURCES), "q_set_mvar", dead_share=0.1, dead_mw=0.02)


def at_medium_voltage(area: Area, book: OrderBook) -> Floats:
    """Return what each inverter of `book` gives at most [Mvar], 0 for those in low-voltage grids."""
    medium = area.feeder.grid.vn_kv[book.fleet.node] > LOW_VOLTAGE_KV
    return np.where(medium, book.fleet.q_max_mvar, 0.0)
