"""Who writes to whom on what, by number: the table in which the sampled mode looks up ways and names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sims.comms.ledger import Ledger
from sims.comms.network import Network
from sims.core.bundle import Addresses, Bundle
from sims.core.message import Message

Ints = NDArray[np.int64]
_FIRST_ROWS = 64

SRC, DST, TOPIC, BEGIN, HOPS = range(5)
"""Columns of `Courses.table`: nodes, topic in the log, where in `steps` its links begin, and how many they are."""


class Courses:
    """A number for every source, destination and topic, with the links between them while everything is up.

    Attributes
    ----------
    table : ndarray of int, [course, column]
    steps : ndarray of int
        Links of all ways, one after the other.
    receivers : list of str, [course]
    """

    def __init__(self, network: Network, ledger: Ledger) -> None:
        self._network, self._ledger = network, ledger
        self._numbers: dict[tuple[int, int, str], int] = {}
        self._known: dict[tuple[str, str, str], int] = {}
        self._bundled: dict[tuple[Addresses, str], Ints] = {}
        self.table = np.zeros((_FIRST_ROWS, 5), dtype=np.int64)
        self.steps = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._stepped = 0
        self.receivers: list[str] = []
        self._asker: Callable[[str, str], bool] | None = None
        self._concerning = np.zeros(0, dtype=np.bool_)

    def number(self, src: int, dst: int, topic: str) -> int:
        """Return the number of a course between two nodes that links join."""
        number = self._numbers.get((src, dst, topic))
        if number is None:
            links = [link.index for link in self._network.way(src, dst, topic) or ()]
            number = self._numbers[src, dst, topic] = len(self.receivers)
            self.receivers.append(self._network.names[dst])
            self.table = _with_room(self.table, number + 1)
            self.steps = _with_room(self.steps, self._stepped + len(links))
            self.table[number] = src, dst, self._ledger.topic_code(topic), self._stepped, len(links)
            self.steps[self._stepped : self._stepped + len(links)] = links
            self._stepped += len(links)
        return number

    def of_messages(self, messages: Sequence[Message]) -> list[int] | None:
        """Return the course of each message, None where one is new, wrong or for a group: `Network.ends` knows."""
        find = self._known.get
        found = [find((message.sender, message.receiver, message.topic), -1) for message in messages]
        return None if -1 in found else found

    def note(self, message: Message, number: int) -> None:
        """Remember the course of messages like this one."""
        self._known[message.sender, message.receiver, message.topic] = number

    def of_bundle(self, bundle: Bundle) -> Ints | None:
        """Return the course of each address, None where one is a group's.

        Raises
        ------
        ValueError
            As `Network.ends`.
        """
        key = (bundle.addresses, bundle.topic)
        if key not in self._bundled:
            ends = self._network.ends_of(bundle)
            if ends is None:
                return None
            self._bundled[key] = np.array([self.number(src, dst, bundle.topic) for src, dst in ends], dtype=np.int64)
        return self._bundled[key]

    def concerning(self, concerns: Callable[[str, str], bool]) -> NDArray[np.bool_]:
        """Return whether somebody acts at once on what comes by each course."""
        if concerns is not self._asker:
            self._asker, self._concerning = concerns, np.zeros(0, dtype=np.bool_)
        new = list(self._numbers)[len(self._concerning) :]
        if new:
            names = self._network.names
            answers = [concerns(names[dst], topic) for _, dst, topic in new]
            self._concerning = np.append(self._concerning, answers)
        return self._concerning

    def get_state(self) -> list[tuple[int, int, str]]:
        """Return what the numbers stand for."""
        return list(self._numbers)

    def set_state(self, state: list[tuple[int, int, str]]) -> None:
        """Give the numbers that `get_state` told."""
        Courses.__init__(self, self._network, self._ledger)
        for src, dst, topic in state:
            self.number(src, dst, topic)


def _with_room(array: Ints, rows: int) -> Ints:
    """Return `array`, doubled until it has `rows`."""
    while len(array) < rows:
        array = np.concatenate([array, np.zeros_like(array)])
    return array
