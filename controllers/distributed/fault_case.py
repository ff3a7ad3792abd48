"""One fault as the leading agent of a feeder handles it."""

from __future__ import annotations

from dataclasses import dataclass, field

from controllers.distributed.outage import below, deepest, ties_of
from sims.grid.compiled import CompiledNet

ENDED = ("restored", "given up")
SEEKING = ("locating", "isolated")
"""Steps in which an indicator that reports late still moves the place of the fault: the breaker is open."""


@dataclass
class Case:
    """One fault: located -> isolated -> reclosed -> restored or given up.

    `passed` are the lines that saw the fault current as far as is known, `line` the last of them, `opened` the line
    that was opened for it.
    """

    tripped: int
    since_s: float
    passed: set[int] = field(default_factory=set)
    line: int | None = None
    opened: int | None = None
    agreed: set[int] = field(default_factory=set)
    dark: set[int] = field(default_factory=set)
    step: str = "locating"
    step_s: float = 0.0
    needs: dict[int, float] = field(default_factory=dict)
    offers: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    tie: int | None = None

    def locate(self, grid: CompiledNet) -> bool:
        """Take the last line that saw the fault current; tell whether that is another one than before."""
        line = deepest(grid, self.passed)
        if line == self.line or line is None:
            return False
        self.line, self.agreed, self.step = line, set(), "locating"
        self.needs, self.offers = {}, {}
        return True

    def best_tie(self, grid: CompiledNet, v_min_pu: float) -> int | None:
        """Return the tie with the largest offer that meets the need and leaves the voltage acceptable."""
        assert self.line is not None
        need = sum(self.needs.values())
        ends_dark = {tie for tie, _, _ in ties_of(grid, below(grid, self.line))}
        good = [
            (mva, -tie) for tie, (mva, v_pu, drop) in self.offers.items()
            if tie in ends_dark and mva >= need and v_pu - drop * need >= v_min_pu
        ]
        return -max(good)[1] if good else None
