"""The ways of plain packets by number, each as a run of links, found when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sims.comms.link import Link
from sims.comms.routing import Routes

Ints = NDArray[np.int64]

_FIRST = 1024

SRC, DST, BEGIN, END, THERE, LINE = COLUMNS = range(6)
"""Columns of `Ways.table`: from and to, where in `steps` its links begin (-1: not known) and end, whether they lead to
the receiver, and the link where the way is a line of its own (-1: none)."""


class Ways:
    """From node to node as things stand, over `routes`, or over a line that joins the two alone.

    A way keeps its number for good; its links are forgotten at every change of what is up.

    Attributes
    ----------
    table : ndarray of int, [way, column]
    steps : ndarray of int
        Links of all ways, one after the other.
    """

    def __init__(self, routes: Routes, links: Sequence[Link], node_down: Sequence[int]) -> None:
        self._routes, self._links, self._node_down = routes, links, node_down
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._stepped = 0
        self.table = np.zeros((_FIRST, len(COLUMNS)), dtype=np.int64)
        self.steps = np.zeros(_FIRST, dtype=np.int64)

    def number(self, src: int, dst: int, line: int = -1) -> int:
        """Return the number of the way between two nodes, or of the line between them."""
        number = self._numbers.get((src, dst, line))
        if number is None:
            number = self._numbers[src, dst, line] = len(self._numbers)
            if number == len(self.table):
                self.table = np.concatenate([self.table, np.zeros_like(self.table)])
            self.table[number] = src, dst, -1, -1, 0, line
        return number

    def ends(self, number: int) -> tuple[int, int]:
        """Return source and destination."""
        return int(self.table[number, SRC]), int(self.table[number, DST])

    def trace(self, ways: Ints) -> Ints:
        """Return the rows of `ways`, with the links as things stand, and whether they get there."""
        for number in dict.fromkeys(ways[self.table[ways, BEGIN] < 0].tolist()):
            self._find(number)
        rows: Ints = self.table[ways]
        return rows

    def forget(self) -> None:
        """Let all links be found again: something went down or came up."""
        self.table[:, BEGIN] = -1
        self._stepped = 0

    def _find(self, number: int) -> None:
        src, dst, *_, line = self.table[number].tolist()
        node, begin, there = src, self._stepped, not self._node_down[src]
        if line >= 0:
            there = there and not self._links[line].down
            if there:
                self._step(line)
                there = not self._node_down[dst]
            node = dst
        while there and node != dst:
            link = self._routes.next_link(node, dst)
            there = link is not None
            if link is not None:
                self._step(link.index)
                node = link.dst
        self.table[number, BEGIN : THERE + 1] = begin, self._stepped, there

    def _step(self, link: int) -> None:
        if self._stepped == len(self.steps):
            self.steps = np.concatenate([self.steps, np.zeros_like(self.steps)])
        self.steps[self._stepped] = link
        self._stepped += 1
