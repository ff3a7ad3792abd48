"""The packets aboard the compiled way: a row each, and the mail that each belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from sims.comms import express_kernel as kernel
from sims.comms.post import Post
from sims.core.bundle import Bundle, Mail
from sims.core.message import Message

_FIRST = 1024
_NUMBERS = attrgetter("ttl_ms", "size_bytes", "priority")
_MS = 1_000_000

Ints = NDArray[np.int64]
Concerned = Callable[[str, str], bool]


class Hold:
    """Room for packets, which grows as they come; a place that is left is taken again.

    Attributes
    ----------
    rows : ndarray of int, [place, column]
        As `sims.comms.express_kernel.COLUMNS` says.
    mail : ndarray of object, [place]
        The message, or the bundle of which it is a row.
    topics : list of str
        By the numbers in the rows.
    fresh : bool
        Whether packets have come since somebody has set this to false.
    """

    def __init__(self) -> None:
        self.rows: Ints = np.zeros((0, len(kernel.COLUMNS)), dtype=np.int64)
        self.mail: NDArray[np.object_] = np.empty(0, dtype=object)
        self.topics: list[str] = []
        self.fresh = False
        self._number: dict[str, int] = {}
        self._bundles = 0
        self._free: Ints = np.zeros(0, dtype=np.int64)
        self._left = 0

    @property
    def under_way(self) -> int:
        """How many packets are aboard."""
        return len(self.rows) - self._left

    def places(self, count: int) -> Ints:
        """Take places for `count` new packets."""
        if self._left < count:
            had = len(self.rows)
            more = max(_FIRST, had, count)
            self.rows = np.concatenate([self.rows, np.zeros((more, self.rows.shape[1]), np.int64)])
            self.mail = np.concatenate([self.mail, np.empty(more, dtype=object)])
            left = self._free[: self._left]
            self._free = np.zeros(had + more, dtype=np.int64)
            self._free[:more], self._free[more : more + len(left)] = np.arange(had, had + more), left
            self._left += more
        self._left -= count
        return self._free[self._left : self._left + count].copy()

    def leave(self, places: Ints) -> None:
        """Give places back."""
        self._free[self._left : self._left + len(places)] = places
        self._left += len(places)

    def clear(self) -> None:
        """Give all places back."""
        self._left = len(self.rows)
        self._free[:] = np.arange(self._left)

    def topic(self, name: str) -> int:
        """Return the number of a topic."""
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self.topics)
            self.topics.append(name)
        return number

    def stow(self, post: Post, trace: Ints) -> Ints:
        """Take the packets of `post` aboard, whose ways have the rows `trace`; return their times and places."""
        count, mail = len(post), post.mail
        places = self.places(count)
        rows = np.zeros((count, len(kernel.COLUMNS)), dtype=np.int64)
        if isinstance(mail, Bundle):
            numbers: Ints = np.array([_NUMBERS(mail)])
            rows[:, kernel.TOPIC], rows[:, kernel.BUNDLE] = self.topic(mail.topic), self._bundles
            self._bundles += 1
            rows[:, kernel.ROW] = np.arange(count)
            self.mail[places] = np.full(1, mail, dtype=object)
        else:
            numbers = np.array([_NUMBERS(message) for message in mail])
            rows[:, kernel.TOPIC] = [self.topic(message.topic) for message in mail]
            rows[:, kernel.BUNDLE] = rows[:, kernel.ROW] = -1
            self.mail[places] = np.fromiter(mail, dtype=object, count=count)
        at, ttl = np.array(post.at_ns), numbers[:, 0] * _MS
        rows[:, kernel.OF_WAY] = trace[:, kernel.OF_WAY]
        rows[:, kernel.SENT] = at
        rows[:, kernel.SIZE], rows[:, kernel.PRIORITY] = numbers[:, 1], numbers[:, 2]
        rows[:, kernel.EXPIRES] = np.where(ttl > 0, at + ttl, 0)
        rows[:, kernel.WIRE] = rows[:, kernel.NEXT] = rows[:, kernel.CONCERNS] = -1
        self.rows[places], self.fresh = rows, True
        return np.stack([rows[:, kernel.SENT], places], axis=1)

    def message(self, place: int) -> Message:
        """Return what the packet at `place` carries, as a message."""
        mail = self.mail[place]
        return mail.message(int(self.rows[place, kernel.ROW])) if isinstance(mail, Bundle) else mail

    def arrived(self, places: Ints, arrived_ms: NDArray[np.float64]) -> list[Mail]:
        """Return what has arrived at `places`, in order; what did of a bundle stands together where its first does."""
        bundle, mail, at_ms = self.rows[places, kernel.BUNDLE], self.mail[places], arrived_ms.tolist()
        single = bundle < 0
        if single.all():
            return list(map(_arrived, mail.tolist(), at_ms))
        found: dict[int, Mail] = {}
        for number in dict.fromkeys(bundle[~single].tolist()):
            own = np.flatnonzero(bundle == number)
            first = int(own[0])
            found[first] = mail[first].arrived(self.rows[places[own], kernel.ROW], arrived_ms[own])
        for place in np.flatnonzero(single).tolist():
            found[place] = _arrived(mail[place], at_ms[place])
        return [found[place] for place in sorted(found)]


class Asked(dict[int, bool]):
    """Whether somebody acts at once on a topic at a node, by ``topic * nodes + node``; asked about once each."""

    def __init__(self, concerns: Concerned, nodes: Sequence[str], topics: Sequence[str]) -> None:
        super().__init__()
        self._concerns, self._nodes, self._topics = concerns, nodes, topics

    def __missing__(self, key: int) -> bool:
        topic, node = divmod(key, len(self._nodes))
        self[key] = found = self._concerns(self._nodes[node], self._topics[topic])
        return found


def _arrived(message: Message, at_ms: float) -> Message:
    return Message(
        message.sender, message.receiver, message.topic, message.values, message.sent_ms, message.size_bytes,
        message.ttl_ms, message.priority, at_ms,
    )
