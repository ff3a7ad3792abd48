"""Containment shared without a centre: who gives how much droop, agreed by average consensus."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Area, Fleet
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.sharing import Shares, ShareTree, split_pro_rata
from controllers.dms.charging import EV_WEIGHT
from controllers.dms.v2g import believed_reserve
from sims.core.message import Message

Floats = NDArray[np.float64]


class FlowAverage:
    """One agent's part in an average that survives lost and one-sided letters.

    Each pair of neighbours keeps the flow of value between them; a letter carries the sender's flow and
    average, and its receiver takes the opposite flow, so that a lost letter is mended by the next one (flow
    updating: Jesus, Baquero and Almeida, DAIS 2009).

    Parameters
    ----------
    value : ndarray
        What the agent brings in; may be set anew at any time.
    neighbours : sequence of str
    """

    def __init__(self, value: Floats, neighbours: Sequence[str]) -> None:
        self.value = value
        self.flow = {name: np.zeros_like(value) for name in neighbours}
        self.known: dict[str, Floats] = {}

    def hear(self, name: str, flow: Floats, average: Floats) -> None:
        """Take a neighbour's letter."""
        if name in self.flow:
            self.flow[name], self.known[name] = -flow, average

    def step(self) -> Floats:
        """Return the average of the own value and the neighbours', and move the flows to it."""
        own = self.value - sum(self.flow.values(), np.zeros_like(self.value))
        average: Floats = (own + sum(self.known.values(), np.zeros_like(own))) / (1 + len(self.known))
        for name, theirs in self.known.items():
            self.flow[name] = self.flow[name] + average - theirs
            self.known[name] = average
        return average


class DroopAgents:
    """One interface's part in the droop that its cell owes (`WHAT`, which its mail is called by).

    Each agent brings in an equal part of the target and its own capacity; averaging both over the cell gives
    every agent the ratio of the sums, target over capacity, without anybody knowing either sum. Silent once
    the ratio stands still.

    Settings
    --------
    droop_mw_per_hz : float
        What the DSO's side of the cell owes (a tenth of the cell's bias).
    tolerance : float
        Change of the ratio below which it counts as still (1e-3 of itself).
    """

    WHAT = "droop"
    urgent: frozenset[str] = frozenset()
    reads = frozenset({"capacity/droop", "consensus/droop"})

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.cell = cell = next(c for c in site.grid.cells if site.name in c.interfaces)
        self.mates = tuple(n for n in cell.interfaces if n != site.name)
        target = self.target()
        self.tolerance = float(s.get("tolerance", 1e-3))
        self.sums = FlowAverage(np.array([target / len(cell.interfaces), 0.0]), self.mates)
        self.average = self.sums.value
        self.capacity: dict[str, float] = {}
        self.calm = 0
        self.sent_ratio = math.nan
        self.shares = Shares(f"share/{self.WHAT}")
        self.next_s = 0.0

    def target(self) -> float:
        """Return what the DSO's side of the cell owes in all."""
        return float(self.site.settings.get("droop_mw_per_hz", 0.1 * self.cell.bias_mw_per_hz))

    @property
    def ratio(self) -> float:
        """Share of its capacity that each device gives; at most all of it."""
        target, capacity = self.average.tolist()
        return min(target / capacity, 1.0) if capacity > 0 else 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take capacities and the mates' sums; once a period agree and share out."""
        for message in inbox:
            if message.topic == f"capacity/{self.WHAT}":
                self.capacity[message.sender] = float(np.ravel(message.values["capacity"])[0])
            elif message.topic == f"consensus/{self.WHAT}":
                flow, average = np.asarray(message.values["flow"]), np.asarray(message.values["average"])
                self.sums.hear(message.sender, flow, average)
                if np.abs(average - self.average).max() > self.tolerance * np.abs(self.average).max():
                    self.calm = 0
        if now_s < self.next_s:
            return []
        self.next_s = now_s + self.site.period_ms / 1000
        own = sum(self.capacity.values())
        if own != self.sums.value[1]:
            self.sums.value, self.calm = np.array([self.sums.value[0], own]), 0
        out: list[Message] = []
        if self.calm <= 3:
            before = self.average
            self.average = self.sums.step()
            still = np.abs(self.average - before).max() <= self.tolerance * np.abs(before).max()
            self.calm = self.calm + 1 if still else 0
            topic, average = f"consensus/{self.WHAT}", self.average
            out = [
                Message(self.site.name, m, topic, {"flow": self.sums.flow[m], "average": average}, size_bytes=72)
                for m in self.mates
            ]
        return out + self._share(now_s)

    def _share(self, now_s: float) -> list[Message]:
        ratio = self.ratio
        moved = not abs(ratio - self.sent_ratio) <= 0.05 * max(ratio, 1e-9)
        if not self.capacity or self.calm < 3 or not (moved or now_s >= self.shares.due_s):
            return []
        self.sent_ratio = ratio
        names = sorted(self.capacity)
        parts = split_pro_rata(ratio * sum(self.capacity.values()), [self.capacity[n] for n in names])
        return self.shares.letters(self.site.name, now_s, dict(zip(names, parts, strict=True)), self.capacity)


class ShareDroop:
    """An area's part in containment: tells what droop its storage and vehicles can give, sets its share.

    A battery gives at most its rating within `full_hz`, a cluster of vehicles what it is believed to have in reserve
    both ways (see `dms.v2g`, also for settings).

    Settings
    --------
    full_hz : float
        Deviation at which a device has given all (0.2).
    ttl_s : float
        Life of a droop setting; told again when a quarter of it is left (43200).
    """

    WHAT, DUTY, QUANTITY = "droop", "contain_frequency", "droop_mw_per_hz"
    urgent = frozenset({"share/droop", "capacity/droop"})
    reads: frozenset[str] = frozenset()
    LOOK_S = 3600.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.ttl_s = float(s.get("ttl_s", 43_200.0))
        self.fleet, self.most = self.able()
        self.tree = ShareTree(self.area, self.WHAT)
        self.tree.own = [float(self.most.sum())]
        self.book = OrderBook(site, self.fleet, self.QUANTITY)
        self.book.dead = 0.02 * self.most
        self.part = math.nan
        self.due_s = self.look_s = 0.0

    def able(self) -> tuple[Fleet, Floats]:
        """Return the devices that take part, and the most that each can be asked for."""
        s, fleet = self.site.settings, self.area.fleet("storage", "ev")
        rated = fleet.p_rated_mw
        vehicles = believed_reserve(rated, EV_WEIGHT * rated, s).symmetric_mw
        return fleet, np.where(fleet.kind == "ev", vehicles, rated) / float(s.get("full_hz", 0.2))

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Keep the sums, split a share that has come, set the own part; renew it before it expires."""
        act = now_s >= self.look_s
        for message in inbox:
            if message.topic == f"capacity/{self.WHAT}":
                self.tree.hear(message)
                self.look_s = min(self.look_s, now_s + 1.0)
            elif message.topic == f"share/{self.WHAT}":
                act = self.tree.take(message) or act
        if not act:
            self.due_s = self.look_s
            return []
        self.look_s = self.due_s = now_s + self.LOOK_S
        out = self.tree.announce(self.site.name, now_s)
        amount, letters = self.tree.split(self.site.name, now_s)
        out += letters
        if math.isinf(self.tree.amount_s) or not len(self.fleet):
            return out
        part = amount / self.tree.own[0]
        if part != self.part:
            self.part = part
            self.book.wish(self.DUTY, part * self.most)
        elif now_s < self.book.due_s:
            return out
        return out + self.book.letters(self.DUTY, now_s, self.ttl_s)
