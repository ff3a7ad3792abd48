"""What sites aim at, and how they stand, as rows of the event table ``goals``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sims.core.message import Message

TOPICS = ("goal", "state")
_ABOUT = ("feeder", "interface", "cell", "agent")
"""Entries of a report that say what it is about."""


def rows(reports: Sequence[Message], now_ms: int) -> dict[str, list[Any]]:
    """Return the columns of the table for the goals and states among `reports`, a row for each of their numbers."""
    table: dict[str, list[Any]] = {
        "t_ms": [], "source": [], "duty": [], "about": [], "quantity": [], "value": [],
    }
    for report in reports:
        if report.topic not in TOPICS:
            continue
        values = report.values
        about = next((str(values[name]) for name in _ABOUT if name in values), "")
        numbers = {
            name: number for name, value in values.items()
            if type(value) is not str and (number := value if type(value) is float else _number(value)) is not None
        }
        count = len(numbers)
        table["t_ms"] += [now_ms] * count
        table["source"] += [report.sender] * count
        table["duty"] += [str(values.get("duty", ""))] * count
        table["about"] += [about] * count
        table["quantity"] += numbers
        table["value"] += numbers.values()
    return table


def _number(value: Any) -> float | None:
    """Return a number, or an array of one, as a float; None for anything else."""
    if isinstance(value, float | int | np.integer | np.floating):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiub":
        return float(value.item())
    return None
