"""The trace that laws inside devices leave: when they begin or end to move a feeder's power."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.orders import Action
from sims.der.fleet import DeviceTable
from sims.der.law import Laws
from sims.der.step_kernels import by_place, crossing


class Trace:
    """Sums what each law moves by feeder and tells an act when the sum rises above or falls below a level.

    Parameters
    ----------
    table : DeviceTable
    laws : sequence of Bound
    threshold_mw : float
        A law begins to act on a feeder above this, and ends below half of it, so that it does not chatter.
    """

    def __init__(self, table: DeviceTable, laws: Laws, threshold_mw: float) -> None:
        self._laws, self._names, self._threshold = laws, table.feeder_names, threshold_mw
        self._feeder = [table.feeder[bound.devices] for bound in laws]
        self.active = np.zeros((len(laws), len(table.feeder_names)), dtype=bool)

    def note(self, law: int, moved: NDArray[np.float64], now_ms: int) -> list[Action]:
        """Return the acts of law number `law`, which moves its devices by `moved` (reductions negative)."""
        feeder, names = self._feeder[law], self._names
        was = self.active[law]
        total, signed, count = np.zeros((3, len(names)))
        by_place(feeder, moved, total, signed, count)
        now = np.empty_like(was)
        if not crossing(total, was, self._threshold, now):
            return []
        changed = np.flatnonzero(now != was)
        self.active[law] = now
        rule = self._laws[law].law
        return [
            Action(
                now_ms, "device", rule.duty, names[k], rule.quantity,
                float(signed[k]) if now[k] else 0.0, int(count[k]),
            )
            for k in changed
        ]

    def get_state(self) -> dict[str, Any]:
        """Return which laws act on which feeder."""
        return {"active": self.active.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.active = np.array(state["active"])
