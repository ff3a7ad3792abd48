"""Where to draw the buses of a grid as a single-line diagram: depth to the right, branches below each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int_]
Floats = NDArray[np.float64]


def layout(nodes: int, a: Ints, b: Ints, root: int = 0) -> tuple[Floats, Floats]:
    """Return (x, y) of each node, both within 0 to 1, shape (nodes,).

    Breadth first from `root` along a spanning tree: x is the number of branches to it, y spreads the ends of
    the tree evenly and puts every other node midway between those behind it. Of branches that close a loop
    those that come last in `a`, `b` do not count. Parts without a path to the root follow below.
    """
    near: list[list[int]] = [[] for _ in range(nodes)]
    for i, j in _spanning(nodes, a.tolist(), b.tolist()):
        near[i].append(j)
        near[j].append(i)
    depth = np.full(nodes, -1)
    parent = np.full(nodes, -1)
    order: list[int] = []
    for start in [root, *range(nodes)]:
        if depth[start] >= 0:
            continue
        depth[start] = 0
        queue = [start]
        for node in queue:
            for other in near[node]:
                if depth[other] < 0:
                    depth[other], parent[other] = depth[node] + 1, node
                    queue.append(other)
        order += queue
    children: list[list[int]] = [[] for _ in range(nodes)]
    for node in order:
        if parent[node] >= 0:
            children[parent[node]].append(node)
    y = np.zeros(nodes)
    row = 0
    for start in [n for n in order if parent[n] < 0]:
        stack = [start]
        walked: list[int] = []
        while stack:
            node = stack.pop()
            walked.append(node)
            stack += reversed(children[node])
        for node in walked:
            if not children[node]:
                y[node] = row
                row += 1
        for node in reversed(walked):
            if children[node]:
                y[node] = 0.5 * (y[children[node][0]] + y[children[node][-1]])
    return depth / max(int(depth.max(initial=0)), 1), y / max(row - 1, 1)


def _spanning(nodes: int, a: list[int], b: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the branches that join what was apart before (Kruskal, in the order given)."""
    part = list(range(nodes))

    def head(i: int) -> int:
        while part[i] != i:
            part[i] = part[part[i]]
            i = part[i]
        return i

    for i, j in zip(a, b, strict=True):
        left, right = head(i), head(j)
        if left != right:
            part[left] = right
            yield i, j
