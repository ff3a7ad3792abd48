"""What controllers have done wrong, and was left out: the alarms of the sort ``rejected``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from results.runfile import Run

REJECTED = "rejected"


def _rejected(run: Run) -> NDArray[np.int_]:
    return np.flatnonzero(run.is_one_of("alarms", "kind", REJECTED))


def rejected(run: Run) -> float:
    """Return how often a decision, or a part of one, was left out [1]."""
    return float(_rejected(run).size) if "alarms" in run.tables else np.nan


def words(run: Run) -> str:
    """Return how many faults were left out, and where, when and what the first of them was; empty for none."""
    if not rejected(run) > 0:
        return ""
    mine = _rejected(run)
    first = mine[0]
    where, what = (str(run.texts("alarms", column)[first]) for column in ("source", "text"))
    at_s = float(run.column("alarms", "t_ms")[first]) / 1000
    return f"{mine.size} left out, the first of {where} at {at_s:.3f} s: {what}"
