"""Demand that can wait: what is not drawn now is drawn later, within a buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_H
from sims.der.energy_kernels import bear, fill, steer

Array = NDArray[np.float64]


class Buffered:
    """Many consumers with a buffer as arrays; the buffer is counted as the electric energy that would fill it.

    Parameters
    ----------
    p_rated_mw, e_buffer_mwh, soc_start : ndarray, [device]
        Electric rating, size of the buffer, its fill at the start.
    target : float
        Share of the buffer to which the consumer steers back by itself.
    recover_h : float
        Time in which it does so [h].

    Notes
    -----
    E' = E + (r P - D) dt, with D the demand and r what a unit of electric energy is worth against the one in
    which D and E are counted (1, or a heat pump's COP over that at its rating). The consumer wishes
    P = (D + (target E_max - E)/T)/r within its rating; under a cap the buffer gives what is missing until it is
    empty, then the demand is met all the same.
    """

    def __init__(
        self, p_rated_mw: Array, e_buffer_mwh: Array, soc_start: Array, target: float = 0.5, recover_h: float = 1.0
    ) -> None:
        self.p_rated_mw, self.e_buffer_mwh = p_rated_mw.copy(), e_buffer_mwh.copy()
        self.target, self.recover_h = target, recover_h
        self.e_mwh = e_buffer_mwh * soc_start
        self.demand_mw, self.worth = np.zeros_like(p_rated_mw), np.ones_like(p_rated_mw)

    def wish(self, demand_mw: Array, worth: Array | float = 1.0) -> Array:
        """Return the consumption wanted [MW, positive], for a demand in electric terms and what a MWh is worth."""
        self.demand_mw, self.worth[...], wish = demand_mw, worth, np.empty(len(demand_mw))
        steer(
            demand_mw, self.worth, self.target, self.recover_h, self.e_mwh, self.e_buffer_mwh, self.p_rated_mw, wish
        )
        return wish

    def bounded(self, p_mw: Array, dt_s: float) -> Array:
        """Return a consumption that neither empties nor overfills the buffer within `dt_s` [MW, positive]."""
        hours, out = max(dt_s, 1e-9) / 3600.0, np.empty(len(p_mw))
        bear(p_mw, self.demand_mw, self.worth, hours, self.e_mwh, self.e_buffer_mwh, self.p_rated_mw, out)
        return out

    def advance(self, p_mw: Array, dt_ms: int) -> None:
        """Book the realised consumption `p_mw` (positive) over `dt_ms`."""
        fill(p_mw, self.demand_mw, self.worth, dt_ms / MS_PER_H, self.e_buffer_mwh, self.e_mwh)

    def get_state(self) -> dict[str, Any]:
        """Return buffer energies and the demand in force."""
        return {
            "e_mwh": self.e_mwh.copy(), "demand_mw": self.demand_mw.copy(), "worth": self.worth.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.e_mwh, self.demand_mw = np.array(state["e_mwh"]), np.array(state["demand_mw"])
        self.worth[...] = state["worth"]
