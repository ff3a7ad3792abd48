"""The network without its queues: delivery times drawn at once for whole batches, for long horizons."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms import ledger as fate
from sims.comms.ledger import Ledger
from sims.comms.link import LARGEST_BYTES
from sims.comms.network import Network
from sims.comms.outages import RandomOutage
from sims.comms.streams import stream
from sims.comms.wires import CONSTANT
from sims.core.errors import Problem, ScenarioError
from sims.core.message import Message

Ints = NDArray[np.int64]
_Flight = tuple[int, int, Message, int, int, int, int]
"""(arrival [ns], number, message, source, destination, entered [ns], hops), in order of arrival."""
_MANY = 32
"""Arrivals beyond which they are booked as arrays."""


class SampledNetwork:
    """Stands in for `network` where its links are never congested; the statistics are the same.

    Each link on a message's way adds its transmission time and an independent lognormal latency, and loses
    it with its loss probability; random outages act as a loss of 1 - availability. Queues, order, retries,
    duplicates, attacks and scheduled outages do not exist here: a network that has such things is refused.

    Raises
    ------
    ScenarioError
        The network has something that only the exact mode can do.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        _check(network)
        self.index, self.names = network.index, network.names
        self.ledger = Ledger(network.names, network.ledger.topics)
        self._rng = stream(network.seed, "sampled", "deliveries")
        links = network.links
        # one row more than links: the empty place behind a short way, which takes no time and loses nothing
        self._mu = np.array([*(link.mu for link in links), 0.0])
        self._sigma = np.array([*(link.sigma for link in links), 0.0])
        self._has_latency = np.array([*(link.row[CONSTANT] != 0 for link in links), False])
        self._rate = np.array([*(link.rate for link in links), 0], dtype=np.int64)
        self._loss = np.array([*(link.loss for link in links), 0.0])
        outages = network.disruptions.outages
        up = {row.name: row.availability for row in outages if isinstance(row, RandomOutage)}
        self._down = np.array([*(1.0 - up.get(link.label, up.get(link.name, 1.0)) for link in links), 0.0])
        self._ways: dict[tuple[int, int, str], list[int]] = {}
        self._known: dict[tuple[str, str, str], tuple[int, int, list[int]]] = {}
        self._tables: dict[tuple[bytes, str], tuple[Ints, Ints]] = {}
        self._width = 1
        self._now_ns = 0
        self._number = 0
        self._waiting: list[tuple[Message, int, int, int, list[int]]] = []
        self._flying: list[_Flight] = []

    @property
    def now_ns(self) -> int:
        """How far the network has been run [ns]."""
        return self._now_ns

    @property
    def next_event_ns(self) -> int | None:
        """When the next message arrives [ns], or None."""
        self._sample()
        return self._flying[0][0] if self._flying else None

    def earliest_ns(self, concerns: Callable[[str, str], bool]) -> int | None:
        """Return when the first message arrives for whose receiver and topic `concerns` holds [ns], or None."""
        self._sample()
        coming = ((at, self.names[dst], message.topic) for at, _, message, _, dst, *_ in self._flying)
        return next((at for at, receiver, topic in coming if concerns(receiver, topic)), None)

    def send(self, message: Message, now_ns: int, receivers: Sequence[str] | None = None) -> None:
        """Put `message` on its way at `now_ns` (see `Network.send`)."""
        if now_ns < self._now_ns:
            text = f"{now_ns} ns has passed, it is {self._now_ns} ns"
            raise ValueError(f"{message.topic} from {message.sender}: {text}")
        ends = self._network.ends(message, receivers)
        for src, dst in ends:
            way = self._way(src, dst, message.topic)
            self.ledger.sent += 1
            self._waiting.append((message, src, dst, now_ns, way))
        if receivers is None and message.receiver in self.index:
            self._known[message.sender, message.receiver, message.topic] = (*ends[0], way)

    def send_all(self, messages: Sequence[Message], at_ns: Sequence[int]) -> None:
        """Put each of `messages` on its way at its time."""
        find, waiting = self._known.get, self._waiting
        for message, at in zip(messages, at_ns, strict=True):
            known = find((message.sender, message.receiver, message.topic))
            if known is None or at < self._now_ns or not 0 <= message.size_bytes <= LARGEST_BYTES:
                self.send(message, at)
            else:
                src, dst, way = known
                waiting.append((message, src, dst, at, way))
                self.ledger.sent += 1

    def advance(self, until_ns: int) -> list[Message]:
        """Run to `until_ns` and return what arrived, in order of arrival."""
        self._sample()
        self._now_ns = max(self._now_ns, until_ns)
        end = bisect_right(self._flying, until_ns, key=itemgetter(0))
        landed = self._flying[:end]
        out = [
            Message(
                message.sender, self.names[dst], message.topic, message.values, message.sent_ms,
                message.size_bytes, message.ttl_ms, message.priority, at_ns / 1e6,
            )
            for at_ns, _, message, _, dst, *_ in landed
        ]  # fmt: skip
        if end > _MANY:
            at, _, _, src, dst, entered, hops = zip(*landed, strict=True)
            self.ledger.settle_many(
                np.full(end, fate.DELIVERED), np.array(src), np.array(dst), [m.topic for m in out],
                np.array(entered), np.array(at) / 1e6, np.array([m.size_bytes for m in out]), np.array(hops),
            )  # fmt: skip
        else:
            for at_ns, _, message, source, target, entered_ns, links in landed:
                self._settle(fate.DELIVERED, message, source, target, entered_ns, at_ns / 1e6, links)
        del self._flying[:end]
        return out

    def counts(self) -> dict[str, Any]:
        """Return the books (see `Ledger.counts`)."""
        return self.ledger.counts()

    def drain_log(self) -> dict[str, NDArray[Any]]:
        """Return and forget the fates since the last call, as columns (see `Ledger.drain`)."""
        return self.ledger.drain()

    def _way(self, src: int, dst: int, topic: str) -> list[int]:
        key = (src, dst, topic)
        way = self._ways.get(key)
        if way is None:
            found = self._network.way(src, dst, topic) or ()  # `ends` has refused what has no way
            way = self._ways[key] = [link.index for link in found]
            self._width = max(self._width, len(way))
        return way

    def _sample(self) -> None:
        """Draw the fates of all messages that were sent since the last draw."""
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        width, none = self._width, len(self._mu) - 1
        ways = np.array([[*way, *[none] * (width - len(way))] for *_, way in batch], dtype=np.int64)
        sizes = np.array([row[0].size_bytes for row in batch], dtype=np.int64)
        entered = np.array([row[3] for row in batch], dtype=np.int64)
        ttl_ns = np.array([row[0].ttl_ms for row in batch], dtype=np.int64) * 1_000_000
        codes, arrival = self._drawn(ways, sizes, entered, ttl_ns)
        for (message, src, dst, at, way), code, arrives in zip(
            batch, codes.tolist(), arrival.tolist(), strict=True
        ):
            self._number += 1
            if code == fate.DELIVERED:
                self._flying.append((arrives, self._number, message, src, dst, at, len(way)))
            else:
                self._settle(code, message, src, dst, at, math.nan, len(way))
        self._flying.sort(key=itemgetter(0))  # stable: at one instant in the order of sending

    def carry(
        self, src: Ints, dst: Ints, sent_ns: Ints, size_bytes: Ints, topic: str, ttl_ms: int = 0
    ) -> tuple[NDArray[np.float64], Ints]:
        """Draw the fates of a whole batch at once, without a message each: for fleets over long horizons.

        Parameters
        ----------
        src, dst : ndarray of int, [message]
            Node numbers (`index`).
        sent_ns, size_bytes : ndarray of int, [message]

        Returns
        -------
        ndarray, ndarray
            Arrival [ms], NaN for what never arrives, and fate code; all is booked at once.

        Raises
        ------
        ValueError
            No links lead from a source to its destination.
        """
        pairs, which = np.unique(src * len(self.names) + dst, return_inverse=True)
        key = (pairs.tobytes(), topic)
        if key not in self._tables:
            found = [self._checked(int(p) // len(self.names), int(p) % len(self.names), topic) for p in pairs]
            width, none = max(map(len, found)), len(self._mu) - 1
            self._tables[key] = (
                np.array([[*way, *[none] * (width - len(way))] for way in found], dtype=np.int64),
                np.array([len(way) for way in found], dtype=np.int64),
            )
        ways, hops = self._tables[key]
        codes, arrival = self._drawn(
            ways[which], np.asarray(size_bytes), np.asarray(sent_ns), np.full(len(src), ttl_ms * 1_000_000)
        )
        arrived_ms = np.where(codes == fate.DELIVERED, arrival / 1e6, np.nan)
        self.ledger.sent += len(src)
        self.ledger.settle_many(codes, src, dst, topic, sent_ns, arrived_ms, size_bytes, hops[which])
        return arrived_ms, codes

    def _checked(self, src: int, dst: int, topic: str) -> list[int]:
        way = self._way(src, dst, topic)
        if not way and src != dst:
            raise ValueError(f"no links lead from '{self.names[src]}' to '{self.names[dst]}'")
        return way

    def _drawn(self, ways: Ints, size_bytes: Ints, entered: Ints, ttl_ns: Ints) -> tuple[Ints, Ints]:
        """Return fate codes and arrival times [ns] of messages over `ways` [message, link]."""
        sizes = size_bytes[:, None]
        rate = self._rate[ways]
        service = np.where(rate > 0, -(-sizes * 8_000_000_000 // np.maximum(rate, 1)), 0)
        normal = self._rng.standard_normal(ways.shape)
        latency = np.where(
            self._has_latency[ways], np.rint(np.exp(self._mu[ways] + self._sigma[ways] * normal)), 0.0
        ).astype(np.int64)
        arrival = entered + (service + latency).sum(axis=1)
        lost = (self._rng.random(ways.shape) < self._loss[ways]).any(axis=1)
        cut = (self._rng.random(ways.shape) < self._down[ways]).any(axis=1)
        late = (ttl_ns > 0) & (arrival > entered + ttl_ns)
        codes = np.select([cut, lost, late], [fate.LINK_DOWN, fate.LOST, fate.EXPIRED], fate.DELIVERED)
        return codes, arrival

    def _settle(
        self, code: int, message: Message, src: int, dst: int, entered_ns: int, arrived_ms: float, hops: int
    ) -> None:
        self.ledger.settle(
            code, src, dst, message.topic, entered_ns, arrived_ms, message.size_bytes, hops
        )  # fmt: skip

    def get_state(self) -> dict[str, Any]:
        """Return what is in flight, the random state and the books."""
        self._sample()
        return {
            "now_ns": self._now_ns, "number": self._number, "width": self._width,
            "flying": list(self._flying), "rng": self._rng.bit_generator.state,
            "ledger": self.ledger.get_state(),
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self._now_ns, self._number, self._width = state["now_ns"], state["number"], state["width"]
        self._flying, self._waiting = list(state["flying"]), []
        self._rng.bit_generator.state = state["rng"]
        self.ledger.set_state(state["ledger"])


def _check(network: Network) -> None:
    found = []
    outages = network.disruptions.outages
    for what, there in (
        ("attacks", bool(network.disruptions.attacks)),
        ("scheduled outages", any(not isinstance(row, RandomOutage) for row in outages)),
        ("failing nodes", any(row.kind == "node" for row in outages)),
        ("acknowledgements (arq)", network.insists),
        ("duplicating links", any(link.p_duplicate for link in network.links)),
    ):
        if there:
            text = f"the sampled mode knows no {what}; use the exact network, or leave them out"
            found.append(Problem("comms", "", text))
    if found:
        raise ScenarioError(found)
