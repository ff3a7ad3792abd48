"""Time as integer milliseconds since the start of the run."""

from __future__ import annotations

MS_PER_S = 1000
MS_PER_MIN = 60 * MS_PER_S
MS_PER_H = 60 * MS_PER_MIN


def next_tick(now_ms: int, step_ms: int) -> int:
    """Return the next multiple of `step_ms` strictly after `now_ms` [ms]."""
    return (now_ms // step_ms + 1) * step_ms


def is_tick(now_ms: int, step_ms: int) -> bool:
    """Tell whether `now_ms` lies on the grid of `step_ms` [ms]."""
    return now_ms % step_ms == 0
