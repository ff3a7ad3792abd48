"""What lies behind a line, and what a way to the source can still carry: the arithmetic of restoration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from sims.grid.compiled import CompiledNet


def below(grid: CompiledNet, line: int) -> set[int]:
    """Return the nodes that go dark when the line (pandapower index) opens, as normally switched."""
    row = grid.branch("line", line)
    dark: set[int] = set()
    for node in grid.order:
        at = int(node)
        if int(grid.parent_branch[at]) == row or int(grid.parent[at]) in dark:
            dark.add(at)
    joined = np.flatnonzero(np.isin(grid.rep, list(dark)))
    return dark | {int(n) for n in joined}


def deepest(grid: CompiledNet, lines: Iterable[int]) -> int | None:
    """Return the line farthest from the source among those whose indicators saw the fault current."""
    rank = {int(n): k for k, n in enumerate(grid.order)}
    best, found = -1, None
    for line in lines:
        row = grid.branch("line", int(line))
        ends = int(grid.branch_from[row]), int(grid.branch_to[row])
        fed = [n for n in ends if int(grid.parent_branch[n]) == row]
        depth = _depth(grid, fed[0]) if fed else -1
        if fed and (depth, rank[fed[0]]) > (best, -1) and depth > best:
            best, found = depth, int(line)
    return found


def _depth(grid: CompiledNet, node: int) -> int:
    steps = 0
    while grid.parent[node] >= 0:
        node, steps = int(grid.rep[grid.parent[node]]), steps + 1
    return steps


def ties_of(grid: CompiledNet, dark: set[int]) -> list[tuple[int, int, int]]:
    """Return the normally open lines between dark and live nodes: (pandapower index, dark end, live end)."""
    rows = np.flatnonzero((grid.branch_kind == "line") & ~grid.joined)
    found = []
    for row in rows:
        a, b = int(grid.branch_from[row]), int(grid.branch_to[row])
        if (a in dark) != (b in dark):
            near, far = (a, b) if a in dark else (b, a)
            if grid.live[far]:
                found.append((int(grid.branch_element[row]), near, far))
    return found


def way_out(grid: CompiledNet, start: int, inside: set[int]) -> tuple[list[int], int]:
    """Return the branch rows from `start` towards the source while inside, and the first node outside.

    -1 stands for the source itself.
    """
    rows: list[int] = []
    node = int(grid.rep[start])
    while node >= 0 and (node in inside):
        if grid.parent[node] < 0:
            return rows, -1
        rows.append(int(grid.parent_branch[node]))
        node = int(grid.rep[grid.parent[node]])
    return rows, node


def room_mva(
    grid: CompiledNet, rows: list[int], load_mva: Mapping[int, float], max_percent: float
) -> float:
    """Return what the weakest branch on a way can carry beyond today's load [MVA].

    Parameters
    ----------
    rows : list of int
        Branches from the start towards the source.
    load_mva : mapping of node to MVA
        Consumption at the nodes of the area, flows into areas fed through it included.
    """
    worst = float("inf")
    for row in rows:
        rating = float(grid.rating[row])
        if not rating > 0:
            continue
        carried = sum(load for node, load in load_mva.items() if _passes(grid, node, row))
        worst = min(worst, rating * max_percent / 100 - abs(carried))
    return worst


def _passes(grid: CompiledNet, node: int, row: int) -> bool:
    """Tell whether the way from `node` to the source leads over branch `row`."""
    at = int(grid.rep[node])
    while grid.parent[at] >= 0:
        if int(grid.parent_branch[at]) == row:
            return True
        at = int(grid.rep[grid.parent[at]])
    return False
