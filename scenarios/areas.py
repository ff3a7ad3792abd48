"""Divide a feeder into areas of neighbouring nodes, one agent each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.grid.compiled import CompiledNet

Ints = NDArray[np.int64]

LOW_VOLTAGE_KV = 1.0


@dataclass(frozen=True)
class Areas:
    """Areas of one feeder.

    Parameters
    ----------
    of_node : int array [node]
        Area of each node; area 0 holds the root and the busbars.
    head : int array [area]
        The node nearest to the root, where the area's agent stands.
    neighbours : tuple of tuple of int
        Areas joined to each by a line, normally-open ties included.
    boundary : tuple of int arrays
        For each area the branch rows of lines in service that leave it.
    """

    of_node: Ints
    head: Ints
    neighbours: tuple[tuple[int, ...], ...]
    boundary: tuple[Ints, ...]


def divide(grid: CompiledNet, most_nodes: int) -> Areas:
    """Cut the tree of `grid` into areas of at most about `most_nodes` nodes.

    From the leaves upwards a subtree becomes an area of its own as soon as it has grown to `most_nodes`;
    what is left at the root is area 0. Nodes joined by bus switches stay together, and so do the nodes
    below a transformer to low voltage, which do not count.
    """
    n = grid.n_nodes
    size = np.bincount(grid.rep, grid.vn_kv > LOW_VOLTAGE_KV, minlength=n)
    area = np.full(n, -1, np.int64)
    heads: list[int] = [int(grid.order[0])]
    members: dict[int, list[int]] = {int(node): [int(node)] for node in grid.order}
    for node in reversed(grid.order[1:].tolist()):
        parent = int(grid.rep[grid.parent[node]])
        line = grid.branch_kind[grid.parent_branch[node]] == "line"
        if size[node] >= most_nodes and line and grid.vn_kv[node] > LOW_VOLTAGE_KV:
            area[members.pop(node)] = len(heads)
            heads.append(node)
        else:
            size[parent] += size[node]
            members[parent] += members.pop(node)
    area[area < 0] = 0
    area = area[grid.rep]
    lines = np.flatnonzero(grid.branch_kind == "line")
    a, b = area[grid.branch_from[lines]], area[grid.branch_to[lines]]
    near = [sorted({int(y) for x, y in (*zip(a, b, strict=True), *zip(b, a, strict=True)) if x == k} - {k})
            for k in range(len(heads))]
    alive = lines[grid.joined[lines]]
    fa, fb = area[grid.branch_from[alive]], area[grid.branch_to[alive]]
    boundary = tuple(alive[(fa != fb) & ((fa == k) | (fb == k))] for k in range(len(heads)))
    return Areas(area, np.array(heads, np.int64), tuple(tuple(x) for x in near), boundary)
