"""Lines of one feeder opened, closed, faulted and tripped."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.grid.compiled import CompiledNet

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ONE_AT_A_TIME = Lock()
"""Equal states are one variant, whichever thread asks first."""


class SwitchState:
    """Which lines of a feeder are closed, and which are faulted.

    A line is switched at both ends at once. Its normal state is that of the net: closed where it is in
    service and none of its switches is open. Lines are addressed by their pandapower index.
    """

    def __init__(self, grid: CompiledNet) -> None:
        self.grid = grid
        self.row = {int(e): r for r, e in enumerate(grid.branch_element) if grid.branch_kind[r] == "line"}
        self._normal = normal_lines(grid)
        self.closed = self._normal.copy()
        self.faulted: set[int] = set()

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for feeders of one net in the same state; empty in the normal state."""
        changed = np.flatnonzero(self.closed != self._normal)
        return tuple(int(r) for r in changed)

    def variant(self) -> CompiledNet:
        """Return the grid under the present states, with the same numbers for nodes and branches."""
        if not self.key:
            return self.grid
        with _ONE_AT_A_TIME:
            return _variant(self.grid, self.key)

    def move(self, lines: Ints, closed: Bools) -> int:
        """Open or close lines; return how many operations that took.

        Closing onto a fault makes the breaker upstream trip at once (see `trip`).
        """
        operations = 0
        for line, state in zip(lines, closed, strict=True):
            row = self.row.get(int(line))
            if row is not None and bool(self.closed[row]) != bool(state):
                self.closed[row] = state
                operations += 1
        return operations

    def trip(self) -> list[tuple[int, Ints]]:
        """Open the breaker ahead of every live fault.

        Returns
        -------
        list of (tripped line, lines whose indicators saw the fault current), pandapower indices.
        """
        tripped: list[tuple[int, Ints]] = []
        for line in sorted(self.faulted):
            grid = self.variant()
            row = self.row[line]
            if not self.closed[row]:
                continue
            near = [n for n in (grid.branch_from[row], grid.branch_to[row]) if grid.live[n]]
            if not near:
                continue
            path = self._lines_to_root(grid, row)
            head = path[-1]
            self.closed[head] = False
            seen = grid.branch_element[path].astype(np.int64)
            tripped.append((int(grid.branch_element[head]), seen))
        return tripped

    def _lines_to_root(self, grid: CompiledNet, row: int) -> list[int]:
        """Return the rows of the lines from the faulted one to the busbar, the faulted one first."""
        a, b = int(grid.branch_from[row]), int(grid.branch_to[row])
        path = [row]
        node = a if int(grid.parent_branch[grid.rep[b]]) == row else b
        while True:
            up = int(grid.parent_branch[grid.rep[node]])
            if up < 0:
                return path
            if grid.branch_kind[up] == "line":
                path.append(up)
            node = int(grid.parent[grid.rep[node]])

    def get_state(self) -> dict[str, Any]:
        """Return line states and faults."""
        return {"closed": self.closed.copy(), "faulted": sorted(self.faulted)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.closed, self.faulted = np.array(state["closed"], bool), set(state["faulted"])


def normal_lines(grid: CompiledNet) -> Bools:
    """Tell for each branch row whether it is closed in the net as compiled (True for what is no line)."""
    closed = np.array(grid.branch_in_service | (grid.branch_kind != "line"), bool)
    open_ends = (grid.switches.end >= 0) & ~grid.switches.closed
    rows = grid.switches.branch[open_ends]
    closed[rows[grid.branch_kind[rows] == "line"]] = False
    return closed


@lru_cache(maxsize=256)
def _variant(grid: CompiledNet, changed: tuple[int, ...]) -> CompiledNet:
    """Return `grid` with the lines in `changed` (branch rows) in the other than their normal state."""
    normal = normal_lines(grid)
    closed, in_service = grid.switches.closed.copy(), grid.branch_in_service.copy()
    for row in changed:
        state = not normal[row]
        closed[(grid.switches.branch == row) & (grid.switches.end >= 0)] = state
        in_service[row] = state or bool(grid.branch_in_service[row])
        if not (grid.switches.branch == row).any():
            in_service[row] = state
    return grid.switched(closed, in_service)
