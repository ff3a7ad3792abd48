"""Which way a packet goes: shortest expected latency on the core; a leaf has only its uplink."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sims.comms.link import Link

Path = tuple[Link, ...]
Ints = NDArray[np.int64]


class Routes:
    """Next links towards every node, and around what is down.

    A leaf (a node with one neighbour) is never searched: thousands of substations cost nothing, only
    the core is a graph. Paths found while all is up are kept for good, since one that has lost none of its
    links is still the shortest when others fail; detours are forgotten at every change.

    `known` holds the answers of `next_link` as things stand, by (node << 32) + destination, for nodes that
    are up themselves; whoever moves many packets looks there first.
    """

    def __init__(self, count: int, links: Sequence[Link], node_down: list[int]) -> None:
        self._count = count
        self._node_down = node_down
        self._out: list[list[Link]] = [[] for _ in range(count)]
        neighbours: list[set[int]] = [set() for _ in range(count)]
        for link in sorted(links, key=lambda item: (item.weight_ns, item.index)):
            self._out[link.src].append(link)
            neighbours[link.src].add(link.dst)
            neighbours[link.dst].add(link.src)
        self._hub = [-1] * count
        for node, around in enumerate(neighbours):
            if len(around) == 1:
                hub = next(iter(around))
                if len(neighbours[hub]) > 1:
                    self._hub[node] = hub
        self._to_leaf: list[list[Link]] = [[] for _ in range(count)]
        for node, out in enumerate(self._out):
            for link in out:
                if self._hub[link.dst] == node:
                    self._to_leaf[link.dst].append(link)
        self._base: dict[int, Path | None] = {}
        self._detours: dict[int, Path | None] = {}
        self.known: dict[int, Link] = {}
        self._links = {link.index: link for link in links}
        rows = [
            (link.index, link.dst, link.weight_ns) for out in self._out for link in out if self._hub[link.dst] < 0
        ]
        self._search = np.array(rows, dtype=np.int64).reshape(-1, 3)
        counts = [sum(self._hub[link.dst] < 0 for link in out) for out in self._out]
        self._first = np.cumsum([0, *counts])
        self._open = np.ones(len(rows), dtype=np.bool_)
        self._core = [link for link in links if self._hub[link.src] < 0 and self._hub[link.dst] < 0]
        self._core_nodes = [node for node in range(count) if self._hub[node] < 0]
        self._broken = False
        self._around = self._open

    def changed(self, links: Sequence[Link], node: int) -> None:
        """Note that `links` or `node` went down or came up; a leaf's own changes nothing on the core."""
        self.known.clear()
        on_core = node >= 0 and self._hub[node] < 0
        if on_core or any(self._hub[link.src] < 0 and self._hub[link.dst] < 0 for link in links):
            self.recount()

    def recount(self) -> None:
        """See anew whether all of the core is up."""
        self.known.clear()
        self._detours.clear()
        self._broken = any(link.down for link in self._core) or any(
            self._node_down[node] for node in self._core_nodes
        )
        self._around = self._open
        if self._broken:
            rows = self._search[:, :2].tolist()
            up = [not self._links[link].down and not self._node_down[dst] for link, dst in rows]
            self._around = np.array(up, dtype=np.bool_)

    def next_link(self, node: int, dst: int) -> Link | None:
        """Return the link to take at `node` towards `dst`, or None while no way is up."""
        if self._hub[node] >= 0:
            links: Sequence[Link] = self._out[node]
        elif self._hub[dst] == node:
            links = self._to_leaf[dst]
        else:
            path = self._path(node, self._hub[dst] if self._hub[dst] >= 0 else dst)
            links = path[:1] if path else ()
        for link in links:
            if not link.down and not self._node_down[link.dst]:
                if not self._node_down[node]:
                    self.known[(node << 32) + dst] = link
                return link
        return None

    def whole(self, node: int, dst: int) -> Path | None:
        """Return all links from `node` to `dst` while everything is up, or None where there are none."""
        head: Path = ()
        tail: Path = ()
        if node != dst and self._hub[node] >= 0:
            if not self._out[node]:
                return None
            head = (self._out[node][0],)
            node = head[0].dst
        if node != dst and self._hub[dst] >= 0:
            if not self._to_leaf[dst]:
                return None
            tail = (self._to_leaf[dst][0],)
            dst = self._hub[dst]
        core: Path | None = () if node == dst else self._whole(node, dst)
        return None if core is None else (*head, *core, *tail)

    def exists(self, node: int, dst: int) -> bool:
        """Tell whether any way leads from `node` to `dst` when everything is up."""
        return self.whole(node, dst) is not None

    def path(self, node: int, dst: int) -> Path | None:
        """Return all links from `node` to `dst` as things stand, or None."""
        found: list[Link] = []
        while node != dst:
            link = self.next_link(node, dst)
            if link is None:
                return None
            found.append(link)
            node = link.dst
        return tuple(found)

    def _path(self, node: int, target: int) -> Path | None:
        path = self._base.get(node * self._count + target) or self._whole(node, target)
        if not self._broken or path is None:
            return path
        if not any(link.down or self._node_down[link.dst] for link in path):
            return path
        key = node * self._count + target
        if key not in self._detours:
            self._detours[key] = self._shortest(node, target, self._around)
        return self._detours[key]

    def _whole(self, node: int, target: int) -> Path | None:
        """Return the way while everything is up."""
        key = node * self._count + target
        if key not in self._base:
            self._base[key] = self._shortest(node, target, self._open)
        return self._base[key]

    def _shortest(self, start: int, target: int, usable: NDArray[np.bool_]) -> Path | None:
        """Return the shortest way between two nodes of the core over `usable` links, or None."""
        found = _shortest(self._first, self._search, usable, self._count, start, target)
        return tuple(self._links[link] for link in found.tolist()) or None


@njit(cache=True)
def _shortest(first, search, usable, count, start, target):  # type: ignore[no-untyped-def]
    """Dijkstra's search on expected latency, stopped at `target`; ties go to the lower node number.

    `search` has a row per link (index, end, weight), those out of node n from row `first`[n] on. Returns the
    indices of the links, none where there is no way.
    """
    best = np.full(count, 1 << 62)
    came = np.full(count, -1)
    origin = np.full(count, -1)
    done = np.zeros(count, dtype=np.bool_)
    best[start] = 0
    heap = [(0, start)]
    while len(heap):
        cost, node = heappop(heap)
        if node == target:
            break
        if done[node]:
            continue
        done[node] = True
        for row in range(first[node], first[node + 1]):
            end = search[row, 1]
            if usable[row] and cost + search[row, 2] < best[end]:
                best[end] = cost + search[row, 2]
                came[end], origin[end] = search[row, 0], node
                heappush(heap, (best[end], end))
    length, node = 0, target
    while came[node] >= 0 and node != start:
        length, node = length + 1, origin[node]
    way = np.empty(length, dtype=np.int64)
    node = target
    for place in range(length - 1, -1, -1):
        way[place] = came[node]
        node = origin[node]
    return way
