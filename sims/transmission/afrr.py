"""Secondary control of the transmission operator: every cell brings its own exchange and frequency back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ModelError

Array = NDArray[np.float64]

CYCLE_MS = 4000


class SecondaryControl:
    """Automatic frequency restoration: a PI controller on each cell's area control error, in a fixed cycle.

    ACE = (export - scheduled export) + B (f - f0), with B the cell's network characteristic, so that a
    cell answers its own imbalance only (the non-interactive bias of N. Cohn; ENTSO-E Continental Europe
    Operation Handbook, Policy 1). A saturated cell stops integrating.

    Parameters
    ----------
    bias_mw_per_hz : array [cell]
        B; see `network_characteristic`.
    machine_cell : array of int [machine]
    share : array [machine]
        Weight of each machine in its cell's activation; scaled to sum to one per cell.
    k_p : float
        Proportional gain [MW/MW].
    t_i_s : float
        Integral time [s]: an ACE of 1 MW moves 1 MW in this time.
    reserve_mw : array [cell]
        Largest activation, up and down.
    """

    def __init__(
        self, bias_mw_per_hz: Array, machine_cell: NDArray[np.int64], share: Array, *, k_p: float = 0.1,
        t_i_s: float = 120.0, reserve_mw: Array | None = None, f0_hz: float = 50.0, cycle_ms: int = CYCLE_MS,
    ) -> None:
        n = len(bias_mw_per_hz)
        total = np.bincount(machine_cell, share, n)
        if np.any(share < 0) or t_i_s <= 0 or cycle_ms <= 0:
            raise ModelError("aFRR", 0, "needs shares of at least 0, t_i_s > 0 and cycle_ms > 0")
        self.bias_mw_per_hz = np.asarray(bias_mw_per_hz, np.float64)
        self.k_p, self.t_i_s, self.f0_hz, self.cycle_ms = k_p, t_i_s, f0_hz, cycle_ms
        limit = np.full(n, np.inf) if reserve_mw is None else np.asarray(reserve_mw, np.float64)
        self.reserve_mw = np.where(total > 0, limit, 0.0)
        self._cell = machine_cell
        self._share = share / np.where(total > 0, total, 1.0)[machine_cell]
        self.enabled = np.ones(n, np.bool_)
        self.integral_mw, self.activated_mw, self.ace_mw = np.zeros((3, n))
        self.next_ms = 0

    def act(self, now_ms: int, f_hz: Array, export_mw: Array, scheduled_mw: Array) -> Array:
        """Return the shift of each machine's power reference [MW]; it changes once in a cycle.

        Parameters
        ----------
        f_hz, export_mw, scheduled_mw : arrays [cell]
            Frequency, and power leaving the cell over its ties as measured and as scheduled. A cell
            without a frequency (dead) keeps its activation.
        """
        if now_ms >= self.next_ms:
            self.next_ms = (now_ms // self.cycle_ms + 1) * self.cycle_ms
            self._decide(f_hz, export_mw - scheduled_mw)
        return self.activated_mw[self._cell] * self._share

    def _decide(self, f_hz: Array, tie_error_mw: Array) -> None:
        ace = tie_error_mw + self.bias_mw_per_hz * (f_hz - self.f0_hz)
        on = self.enabled & np.isfinite(ace)
        self.ace_mw = np.where(np.isfinite(ace), ace, self.ace_mw)
        step = np.where(on, self.ace_mw * self.cycle_ms / 1000.0 / self.t_i_s, 0.0)
        wanted = -(self.k_p * self.ace_mw + self.integral_mw + step)
        beyond = np.clip(np.abs(wanted) - self.reserve_mw, 0.0, np.abs(step))
        pushing = wanted * step < 0  # the integral grows into the limit: only as far as the limit
        self.integral_mw = self.integral_mw + step - np.where(pushing, np.sign(step) * beyond, 0.0)
        out = np.clip(-(self.k_p * self.ace_mw + self.integral_mw), -self.reserve_mw, self.reserve_mw)
        self.activated_mw = np.where(on, out, self.activated_mw)
        self.activated_mw = np.where(self.enabled, self.activated_mw, 0.0)
        self.integral_mw = np.where(self.enabled, self.integral_mw, 0.0)

    def get_state(self) -> dict[str, Any]:
        """Return everything that a restart needs."""
        return {
            "next_ms": self.next_ms, "enabled": self.enabled.copy(), "integral_mw": self.integral_mw.copy(),
            "activated_mw": self.activated_mw.copy(), "ace_mw": self.ace_mw.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.next_ms = state["next_ms"]
        for name in ("enabled", "integral_mw", "activated_mw", "ace_mw"):
            setattr(self, name, np.array(state[name]))


def network_characteristic(
    machine_cell: NDArray[np.int64], governed_mva: Array, droop: Array, f0_hz: float, n_cells: int,
) -> Array:
    """Return B [MW/Hz, cell] = sum of S_n / (R f0) over the governed machines.

    Parameters
    ----------
    governed_mva : array [machine]
        Rating of each machine, 0 where it has no governor.
    droop : array [machine]
        Permanent droop R [pu].
    """
    return np.asarray(np.bincount(machine_cell, governed_mva / (droop * f0_hz), n_cells), np.float64)
