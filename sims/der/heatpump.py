"""Heat pumps with a buffer: demand from a profile, running shifted by caps, comfort before obedience."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_H

Array = NDArray[np.float64]


class HeatPumps:
    """Many heat pumps as arrays; heat is counted as the electric energy that would make it.

    Parameters
    ----------
    p_rated_mw, e_buffer_mwh, soc_start : ndarray, [device]
        Electric rating, size of the buffer, its fill at the start.
    recover_h : float
        Time in which the pump steers the buffer back to three quarters [h].

    Notes
    -----
    E' = E + (P - D) dt. The pump wishes P = D + (0.75 E_max - E)/T within its rating; under a cap the buffer
    gives what is missing until it is empty, then the pump runs all the same, so that nobody is left cold.
    """

    def __init__(self, p_rated_mw: Array, e_buffer_mwh: Array, soc_start: Array, recover_h: float = 1.0) -> None:
        self.p_rated_mw, self.e_buffer_mwh, self.recover_h = p_rated_mw, e_buffer_mwh, recover_h
        self.e_mwh = e_buffer_mwh * soc_start
        self.demand_mw = np.zeros_like(p_rated_mw)

    def wish(self, demand_mw: Array) -> Array:
        """Return the consumption the pumps want [MW, positive], for a heat demand in electric terms."""
        self.demand_mw = demand_mw
        return np.clip(demand_mw + (0.75 * self.e_buffer_mwh - self.e_mwh) / self.recover_h, 0.0, self.p_rated_mw)

    def bounded(self, p_mw: Array, dt_s: float) -> Array:
        """Return a consumption that neither empties nor overfills the buffer within `dt_s` [MW, positive]."""
        hours = max(dt_s, 1e-9) / 3600.0
        least = self.demand_mw - self.e_mwh / hours
        most = self.demand_mw + (self.e_buffer_mwh - self.e_mwh) / hours
        return np.clip(np.clip(p_mw, least, np.maximum(most, least)), 0.0, self.p_rated_mw)

    def advance(self, p_mw: Array, dt_ms: int) -> None:
        """Book the realised consumption `p_mw` (positive) over `dt_ms`."""
        gained = (p_mw - self.demand_mw) * (dt_ms / MS_PER_H)
        self.e_mwh = np.clip(self.e_mwh + gained, 0.0, self.e_buffer_mwh)

    def get_state(self) -> dict[str, Any]:
        """Return buffer energies and the demand in force."""
        return {"e_mwh": self.e_mwh.copy(), "demand_mw": self.demand_mw.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.e_mwh, self.demand_mw = np.array(state["e_mwh"]), np.array(state["demand_mw"])
