"""Takes down what simulators in processes of their own write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from results.writer import RunWriter
from sims.core.clock import next_tick
from sims.core.errors import ModelError
from sims.core.ports import Inputs, Ports, Step


def port_of(label: str, quantity: str) -> str:
    """Return the port at which a quantity of one entity arrives."""
    return f"{label}/{quantity}"


class Witness:
    """Writes the newest value of every entity and quantity at each tick; NaN where none has come.

    Raises
    ------
    ModelError
        A value is no number, or not finite.
    """

    def __init__(
        self, writer: RunWriter, kind: str, labels: Sequence[str], quantities: Sequence[str], step_ms: int
    ) -> None:
        self.ports = Ports(reads=tuple(port_of(label, q) for q in quantities for label in labels))
        self._writer, self._kind, self._labels, self._quantities = writer, kind, tuple(labels), tuple(quantities)
        self._step_ms, self._written_ms = step_ms, -1

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Write a row at a tick."""
        if now_ms % self._step_ms == 0 and now_ms > self._written_ms:
            self._written_ms = now_ms
            self._writer.append(self._kind, now_ms, {
                q: np.array([self._number(now_ms, inputs, label, q) for label in self._labels])
                for q in self._quantities
            })  # fmt: skip
        return Step(next_tick(now_ms, self._step_ms))

    def _number(self, now_ms: int, inputs: Inputs, label: str, quantity: str) -> float:
        found = inputs.get(port_of(label, quantity), {})
        value: Any = next(iter(found.values()), None)
        if value is None:
            return np.nan
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ModelError(self._kind, now_ms, f"{quantity} of {label} is no number: {value!r}") from None
        if not np.isfinite(number):
            raise ModelError(self._kind, now_ms, f"{quantity} of {label} is {number}; null says that there is no value")
        return number

    def get_state(self) -> dict[str, Any]:
        """Return when the last row was written."""
        return {"written_ms": self._written_ms}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._written_ms = state["written_ms"]
