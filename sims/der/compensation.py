"""Compensation of reactive power: SVC, STATCOM and switched capacitors that orders or voltage can move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KINDS = ("svc", "statcom", "capacitor")


class Capacitors:
    """Many banks of switched capacitors as arrays.

    Parameters
    ----------
    s_rated_mva : ndarray, [device]
        Reactive power of the whole bank at rated voltage.
    steps : ndarray of int, [device]
    v_in_pu, v_out_pu : float
        Without orders a step is switched in below, out above.
    wait_s : float
        Least time from one switching of a bank to its next by itself; discharge needs it.

    Notes
    -----
    Q = n q V^2 at the voltage of the step before, with n of `steps` switched in. With an order the position
    comes nearest to it; without one the bank watches its voltage.
    """

    def __init__(
        self, s_rated_mva: Array, steps: NDArray[np.int64], v_in_pu: float = 0.96, v_out_pu: float = 1.04,
        wait_s: float = 60.0,
    ) -> None:
        self.steps, self._step_mvar = steps, s_rated_mva / np.maximum(steps, 1)
        self._v_in, self._v_out, self._wait_s = v_in_pu, v_out_pu, wait_s
        self.position = np.zeros(len(steps), dtype=np.int64)
        self.operations = np.zeros(len(steps), dtype=np.int64)
        self._since_s = np.full(len(steps), np.inf)

    def act(self, q_set_mvar: Array, v_pu: Array, elapsed_s: float) -> Array:
        """Switch, and return what the banks feed in [Mvar]; `q_set_mvar` is nan where there is no order."""
        self._since_s += elapsed_s
        ordered = ~np.isnan(q_set_mvar)
        size = np.maximum(self._step_mvar, 1e-12) * np.maximum(v_pu, 0.1) ** 2
        asked = np.rint(np.where(ordered, q_set_mvar, 0.0) / size).astype(np.int64)
        free = ~ordered & (self._since_s >= self._wait_s) & (v_pu > 0.1)
        own = self.position + (free & (v_pu < self._v_in)) - (free & (v_pu > self._v_out))
        goes = np.clip(np.where(ordered, asked, own), 0, self.steps)
        moved = goes != self.position
        self.operations += moved
        self._since_s = np.where(moved, 0.0, self._since_s)
        self.position = goes
        out: Array = goes * self._step_mvar * v_pu**2
        return out

    def get_state(self) -> dict[str, Any]:
        """Return positions, counts and timers."""
        return {"position": self.position.copy(), "operations": self.operations.copy(), "since": self._since_s.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.position, self.operations = np.array(state["position"]), np.array(state["operations"])
        self._since_s = np.array(state["since"])


def within_reach(q_mvar: Array, s_rated_mva: Array, v_pu: Array, constant_current: NDArray[np.bool_]) -> Array:
    """Return ordered reactive power within what is left at a voltage [Mvar], [device].

    A STATCOM keeps its current, |Q| <= S V; an SVC is a susceptance, |Q| <= S V^2.
    """
    reach = s_rated_mva * np.where(constant_current, v_pu, v_pu**2)
    return np.clip(q_mvar, -reach, reach)
