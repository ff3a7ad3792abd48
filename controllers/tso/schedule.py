"""Wishes of the TSO over the day, from a scenario's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Schedule:
    """A value per name over the day, constant within equal steps; after the last step it starts again.

    Parameters
    ----------
    given : float, sequence of float, or mapping of name to either
        One value for all and always, values by step for all, or either per name.
    step_s : float
        Length of a step [s].
    default : float
        For names that are not given.
    """

    def __init__(self, given: Any, step_s: float, default: float) -> None:
        self.step_s, self.default = step_s, default
        self.by_name: dict[str, tuple[float, ...]] = {}
        self.for_all: tuple[float, ...] = (default,)
        if isinstance(given, Mapping):
            self.by_name = {str(name): _row(value) for name, value in given.items()}
        elif given is not None:
            self.for_all = _row(given)

    def at(self, name: str, now_s: float) -> float:
        """Return what is wished of `name` at `now_s`."""
        row = self.by_name.get(name, self.for_all)
        return row[int(now_s // self.step_s) % len(row)]


def _row(value: Any) -> tuple[float, ...]:
    many = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return tuple(float(v) for v in value) if many else (float(value),)
