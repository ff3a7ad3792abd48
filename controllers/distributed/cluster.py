"""Congestion by clusters: the DSO caps what a feeder may feed in, micro-DMS share the cap out and keep to it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Area, column
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.congestion import DUTY, available_mw, cap_book, sides
from controllers.distributed.paths import fed_by, root_impedance, transformer_mva
from controllers.distributed.picture import picture_of
from controllers.distributed.relief import RelieveImport, brought
from controllers.distributed.sharing import split_pro_rata
from sims.core.message import Message

CAP, HAS = "cap", "capacity/cap"


class MicroDms:
    """Keeps what its area and the clusters fed through it generate at or below the cap that it was given.

    The DSO's part sits with the leading agent, at the primary substation: once reverse flow overloads a
    transformer, or a cluster behind it tells of a voltage above the band, it caps what stands behind. A cluster (an
    area with all that is fed through it) gets of the cap in proportion to what it has available; its micro-DMS
    orders the own plants theirs by the same rule and writes the clusters beyond it the rest. Where the line that
    feeds its area is overloaded by what flows back, a micro-DMS caps its cluster itself; the lowest cap holds.
    Upwards it tells what its cluster has available, and its highest voltage while that is near the limit.

    Caps live for `ttl_s` after the measurement they rest on, and are told again when a quarter of that is left.
    Without one nothing is held back: the laws of the devices act. Import is answered by `RelieveImport`, which
    serves here too. Plants keep to a cap to within the dead-band of their orders, 2 % of their rating.

    Settings
    --------
    target_percent : float
        Loading that is aimed at while a cap is in force, as a share of the limit (97).
    margin_v_pu : float
        Distance from the highest voltage that is aimed at then (0.002).
    gain, release : float
        Of `FeedInLimit` (0.35, 0.2).
    ttl_s : float
        Life of caps and orders (1800).
    dead : float
        Change that is worth a letter, as a share of what a cluster has available (0.02).

    Notes
    -----
    In its first `LISTEN_S` a micro-DMS limits nothing, until letters have told what stands behind.
    """

    LISTEN_S, NEAR_PU = 120.0, 0.01
    reads: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        self.board = picture_of(site, self.area)
        self.relief = RelieveImport(site)
        self.urgent = frozenset({CAP, HAS}) | self.relief.urgent
        self.book: OrderBook = shared(site, "p_max", lambda: cap_book(site, self.area))
        self.ttl_s = float(site.settings.get("ttl_s", 1800.0))
        self.margin_v_pu = float(site.settings.get("margin_v_pu", 0.002))
        self.fed = np.maximum(fed_by(self.area.feeder.grid), 0)
        self.trafo_mva = transformer_mva(self.area.feeder.grid).tolist()
        self.clusters = [self._cluster(k) for k in sides(self.area)]
        self.since_s, self.seen_ms = math.inf, -1
        self.holds = False

    def _cluster(self, k: int) -> Cluster:
        """Return the agent's part in what hangs from transformer `k`: all of it but at the leading agent."""
        s, area, feeder = self.site.settings, self.area, self.area.feeder
        here = self.fed[self.book.fleet.node] == k if area.leads else np.ones(len(self.book.fleet), dtype=bool)
        of_child = dict(zip(feeder.agents, self.fed[feeder.agent_node].tolist(), strict=True))
        children = [name for name in area.children if not area.leads or of_child[name] == k]
        ohmic = root_impedance(feeder.grid).real[self.fed == k].max(initial=0.0)
        limit = FeedInLimit(
            self.site.grid.loading_max_percent, float(s.get("target_percent", 97.0)) / 100, float(s.get("gain", 0.35)),
            float(s.get("release", 0.2)),
        )  # fmt: skip
        return Cluster(k, here, children, float(ohmic), limit, float(s.get("dead", 0.02)))

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and letters; adjust the limits, tell what there is, share out and order."""
        self.since_s = min(self.since_s, now_s)
        out = self.relief.decide(now_s, inbox)
        self.board.look(inbox)
        self.board.volts.expire(now_s)
        for message in inbox:
            for cluster in self.clusters:
                if message.topic == HAS and message.sender in cluster.children:
                    cluster.hear(message)
                elif message.topic == CAP and message.sender == self.area.parent:
                    cluster.take(message)
        available = self._look(now_s)
        caps = np.full(len(available), np.nan)
        for cluster in self.clusters:
            if self.area.parent is not None and self.board.frames:
                out += cluster.tell(self.site.name, self.area.parent, now_s)
            own_mw, letters = cluster.split(self.site.name, now_s, self.ttl_s)
            out += letters
            if own_mw < math.inf:
                caps[cluster.mine] = split_pro_rata(own_mw, available[cluster.mine].tolist())
        held, self.holds = self.holds, bool(np.isfinite(caps).any())
        if not (held or self.holds):
            return out
        self.book.wish(DUTY, caps if self.holds else None)
        return out + self.book.letters(DUTY, now_s, self.ttl_s)

    def _look(self, now_s: float) -> NDArray[np.float64]:
        """Note what the area has and adjust the limits; return what each plant could give [MW]."""
        leads, volts = self.area.leads, self.board.volts
        available = available_mw(self.book.fleet, self.board.frames.values())
        message = self.board.primary if leads else self.board.own
        for cluster in self.clusters:
            v_pu = volts.highest_at(cluster.number) if leads else volts.highest_pu
            near = v_pu > self.site.grid.v_max_pu - self.NEAR_PU
            cluster.own = Has(float(available[cluster.mine].sum()), v_pu if near else 0.0)
        # One that comes twice, or late, is none any more.
        if message is not None and message.sent_ms > self.seen_ms and now_s - self.since_s >= self.LISTEN_S:
            self.seen_ms = message.sent_ms
            for cluster in self.clusters:
                self._meter(cluster, message, now_s)
        return available

    def _meter(self, cluster: Cluster, message: Message, now_s: float) -> None:
        """Adjust a cluster's limit after a new measurement: of its transformer, or of the line that feeds the area."""
        values, k, over_v_mw = message.values, cluster.number, -math.inf
        percent = mva = 0.0
        if self.area.leads:
            p_mw, loading = column(values["p_mw"]), column(values["loading_percent"])
            if k < min(len(p_mw), len(loading), len(self.trafo_mva)):
                # What a transformer imports is no reason to feed in less, however full it is.
                percent, mva = (loading[k] if p_mw[k] < 0 else 0.0), self.trafo_mva[k]
            over_v_mw = cluster.over_voltage_mw(now_s, self.site.grid.v_max_pu, self.margin_v_pu)
        elif "boundary_line" in values:
            percent, mva = brought(self.area, values, back=True)
        if mva > 0:
            cluster.adjust(now_s, percent, mva, over_v_mw, message.sent_ms / 1000 + self.ttl_s)


class Has(NamedTuple):
    """What a cluster could feed in [MW], and its highest voltage, 0 where that is not near the limit."""

    available_mw: float
    v_pu: float


class FeedInLimit:
    """How much may be fed in through a transformer or a line: an integrator on what is measured there.

    It begins with all of an overload at once, as nothing is under way yet. Then a cap moves by `gain` of what is too
    much per measurement (which shows two rounds later: stable below 0.62, `consensus.integrator_bound`) or by
    `release` of the room, at most by `STEP` of what stands behind, and ends once it holds nothing back. Of a
    voltage, which taps and reactive power move as well, never more than `gain` is taken.

    Attributes
    ----------
    cap_mw, until_s : float
        Infinite where there is none, and until when it holds.
    """

    STEP = 0.05

    def __init__(self, limit_percent: float, target: float, gain: float, release: float) -> None:
        self.limit, self.target = limit_percent, target * limit_percent
        self.gain, self.release = gain, release
        self.cap_mw, self.until_s = math.inf, -math.inf

    def holds(self, now_s: float) -> bool:
        """Tell whether a cap is in force."""
        return now_s < self.until_s and self.cap_mw < math.inf

    def adjust(
        self, now_s: float, percent: float, mva: float, over_v_mw: float, has_mw: float, most_mw: float, until_s: float
    ) -> None:
        """Move the cap after a measurement.

        Parameters
        ----------
        percent, mva : float
            Loading by reverse flow, and rating, of what is metered.
        over_v_mw : float
            What the voltages ask to be fed in less [MW], negative where they leave room.
        has_mw, most_mw : float
            What stands behind has available, and may give at most as it is.
        until_s : float
            How long this measurement may count.
        """
        over_mw = (percent - self.target) / 100 * mva
        beyond = max(over_mw, over_v_mw)
        if self.holds(now_s):
            moved = self.gain * beyond if beyond > 0 else max(self.release * beyond, -self.STEP * has_mw)
            self.cap_mw = max(self.cap_mw - moved, 0.0)
            if beyond <= 0 and self.cap_mw >= has_mw:
                self.cap_mw = math.inf
        elif percent > self.limit or over_v_mw > 0:
            self.cap_mw = max(most_mw - max(over_mw, self.gain * over_v_mw), 0.0)
        else:
            self.cap_mw = math.inf
        self.until_s = until_s


class Cluster:
    """One agent's place in a tree of clusters: its own plants and the clusters fed through its area, under one cap.

    Parameters
    ----------
    number : int
        Of the transformer it hangs from.
    mine : array of bool [device]
        The own plants among those of the area.
    children : collection of str
        Who leads the clusters beyond.
    rise_pu : float
        What 1 MW raises the voltage at the far end [pu / MW]: no cap moves it more.
    """

    HEARD_S, BEAT_S, REFRESH_S = 900.0, 300.0, 3600.0

    def __init__(
        self, number: int, mine: NDArray[np.bool_], children: Collection[str], rise_pu: float, limit: FeedInLimit,
        dead: float,
    ) -> None:  # fmt: skip
        self.number, self.mine, self.children = number, mine, frozenset(children)
        self.rise_pu, self.limit, self.dead = rise_pu, limit, dead
        self.own = Has(0.0, 0.0)
        self.below: dict[str, tuple[Has, float]] = {}
        self.given_mw, self.as_of_s, self.until_s = math.inf, -math.inf, -math.inf
        self.told: dict[str, tuple[float, float]] = {}
        self.said, self.said_s = Has(0.0, 0.0), -math.inf

    def hear(self, message: Message) -> None:
        """Take what a cluster beyond has, unless a newer letter has overtaken this one."""
        sent_s, values = message.sent_ms / 1000, message.values
        if message.sender not in self.below or sent_s >= self.below[message.sender][1]:
            has = Has(*(float(values[name]) for name in Has._fields))
            self.below[message.sender] = has, sent_s

    def take(self, message: Message) -> None:
        """Take the cap from above, unless a newer letter has overtaken this one."""
        values = message.values
        if float(values["as_of_s"]) >= self.as_of_s:
            self.given_mw, self.as_of_s = float(values["cap_mw"]), float(values["as_of_s"])
            self.until_s = float(values["until_s"])

    def total(self, now_s: float) -> Has:
        """Return what the cluster has with all beyond it; a voltage counts while it is news."""
        has = [self.own, *(has for has, _ in self.below.values())]
        high_pu = [has.v_pu for has, sent_s in self.below.values() if now_s - sent_s < self.HEARD_S]
        return Has(sum(h.available_mw for h in has), max(self.own.v_pu, *high_pu, 0.0))

    def over_voltage_mw(self, now_s: float, v_max_pu: float, margin_pu: float) -> float:
        """Return by how much less has to be fed in for the highest voltage, at least; -inf where none is told."""
        v_pu = self.total(now_s).v_pu
        over_pu = v_pu - v_max_pu + (margin_pu if self.limit.holds(now_s) else 0.0)
        return over_pu / self.rise_pu if v_pu and self.rise_pu > 0 else -math.inf

    def cap(self, now_s: float) -> tuple[float, float]:
        """Return the lowest cap in force [MW] and its end [s]; infinite without one."""
        both = (self.given_mw, self.until_s), (self.limit.cap_mw, self.limit.until_s)
        return min(((mw, s) for mw, s in both if now_s < s), default=(math.inf, math.inf))

    def adjust(self, now_s: float, percent: float, mva: float, over_v_mw: float, until_s: float) -> None:
        """Move the own limit after a measurement, see `FeedInLimit.adjust`."""
        has_mw = self.total(now_s).available_mw
        self.limit.adjust(now_s, percent, mva, over_v_mw, has_mw, min(has_mw, self.cap(now_s)[0]), until_s)

    def tell(self, sender: str, parent: str, now_s: float) -> list[Message]:
        """Return the letter upwards where there is something new."""
        has, said = self.total(now_s), self.said
        moved = abs(has.available_mw - said.available_mw) > self.dead * max(has.available_mw, said.available_mw)
        due = any(has) and now_s - self.said_s >= (self.BEAT_S if has.v_pu else self.REFRESH_S)
        if not (moved or due or abs(has.v_pu - said.v_pu) > 1e-3):
            return []
        self.said, self.said_s = has, now_s
        return [Message(sender, parent, HAS, has._asdict(), size_bytes=68)]

    def split(self, sender: str, now_s: float, ttl_s: float) -> tuple[float, list[Message]]:
        """Return the own part of the cap [MW], infinite without one, and the letters with those of the clusters beyond.

        Who has not told yet what it has is left alone.
        """
        cap_mw, until_s = self.cap(now_s)
        sizes = {name: has.available_mw for name, (has, _) in self.below.items()}
        if cap_mw == math.inf:
            ended = [name for name, (_, end_s) in self.told.items() if now_s < end_s]
            self.told.clear()
            return math.inf, [_letter(sender, name, sizes[name], now_s, now_s) for name in ended]
        *parts, own_mw = split_pro_rata(cap_mw, [*sizes.values(), self.own.available_mw])
        out = []
        for (name, size), part in zip(sizes.items(), parts, strict=True):
            told_mw, end_s = self.told.get(name, (math.inf, -math.inf))
            aging = end_s - now_s <= ttl_s / 4 and until_s > end_s
            if size > 0 and (aging or abs(part - told_mw) > self.dead * size):
                self.told[name] = part, until_s
                out.append(_letter(sender, name, part, now_s, until_s))
        return own_mw, out


def _letter(sender: str, receiver: str, cap_mw: float, now_s: float, until_s: float) -> Message:
    values = {"cap_mw": cap_mw, "as_of_s": now_s, "until_s": until_s}
    return Message(sender, receiver, CAP, values, size_bytes=68, ttl_ms=max(int((until_s - now_s) * 1000), 0))
