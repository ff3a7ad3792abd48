"""Containment shared without a centre: who gives how much droop, agreed by average consensus."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Area
from controllers.distributed.sharing import ShareTree, split_pro_rata
from sims.core.message import Message

Floats = NDArray[np.float64]

DUTY = "contain_frequency"


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
    """One interface's part in the droop that its cell owes.

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

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        cell = next(c for c in site.grid.cells if site.name in c.interfaces)
        self.mates = tuple(n for n in cell.interfaces if n != site.name)
        target = float(s.get("droop_mw_per_hz", 0.1 * cell.bias_mw_per_hz))
        self.tolerance = float(s.get("tolerance", 1e-3))
        self.sums = FlowAverage(np.array([target / len(cell.interfaces), 0.0]), self.mates)
        self.average = self.sums.value
        self.capacity: dict[str, float] = {}
        self.calm = 0
        self.sent_ratio = math.nan
        self.sent_s = -math.inf
        self.next_s = 0.0

    @property
    def ratio(self) -> float:
        """Share of its capacity that each device gives; at most all of it."""
        target, capacity = self.average.tolist()
        return min(target / capacity, 1.0) if capacity > 0 else 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take capacities and the mates' sums; once a period agree and share out."""
        for message in inbox:
            if message.topic == "capacity/droop":
                self.capacity[message.sender] = float(np.ravel(message.values["capacity"])[0])
            elif message.topic == "consensus/droop":
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
            out = [
                Message(self.site.name, m, "consensus/droop", {"flow": self.sums.flow[m], "average": self.average},
                        size_bytes=72)
                for m in self.mates
            ]
        return out + self._share(now_s)

    def _share(self, now_s: float) -> list[Message]:
        ratio = self.ratio
        moved = not abs(ratio - self.sent_ratio) <= 0.02 * max(ratio, 1e-9)
        if not self.capacity or self.calm < 1 or not (moved or now_s - self.sent_s >= 10_000.0):
            return []
        self.sent_ratio, self.sent_s = ratio, now_s
        names = sorted(self.capacity)
        parts = split_pro_rata(ratio * sum(self.capacity.values()), [self.capacity[n] for n in names])
        return [
            Message(self.site.name, name, "share/droop", {"amount": part}, size_bytes=48)
            for name, part in zip(names, parts, strict=True)
        ]


class ShareDroop:
    """An area's part in containment: tells what droop its storage and vehicles can give, sets its share.

    A device gives at most its rating within `full_hz`, vehicles only the share that is plugged in.

    Settings
    --------
    full_hz : float
        Deviation at which a device has given all (0.2).
    plugged_share : float
        (0.2)
    ttl_s : float
        Life of a droop setting (21600).
    """

    urgent = frozenset({"share/droop"})

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area = Area(site)
        s = site.settings
        self.ttl_s = float(s.get("ttl_s", 21_600.0))
        self.fleet = self.area.fleet("storage", "ev")
        plugged = np.where(self.fleet.kind == "ev", float(s.get("plugged_share", 0.2)), 1.0)
        self.device_mw_per_hz = plugged * self.fleet.p_rated_mw / float(s.get("full_hz", 0.2))
        self.tree = ShareTree(self.area, "droop")
        self.tree.own = np.array([float(self.device_mw_per_hz.sum())])
        self.amount = self.sent = math.nan
        self.sent_s = -math.inf
        self.next_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Keep the sums, split a share that has come, set the own part; renew it at half its life."""
        share = None
        for message in inbox:
            if message.topic == "capacity/droop":
                self.tree.hear(message)
                self.next_s = now_s
            elif message.topic == "share/droop" and message.sender == self.tree.parent:
                share = float(message.values["amount"])
        if share is None and now_s < self.next_s:
            return []
        self.next_s = now_s + 300.0
        out = self.tree.announce(self.site.name, now_s)
        if share is not None:
            self.amount, letters = self.tree.split(self.site.name, share)
            out += letters
        due = now_s - self.sent_s >= self.ttl_s / 2
        if math.isnan(self.amount) or not len(self.fleet) or (self.amount == self.sent and not due):
            return out
        self.sent, self.sent_s = self.amount, now_s
        part = self.amount / float(self.tree.own[0])
        droop = part * self.device_mw_per_hz
        return out + self.fleet.orders(self.site, DUTY, self.ttl_s, "droop_mw_per_hz", droop)
