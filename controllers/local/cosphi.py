"""cos phi(P): under-excited the more the higher the feed-in (VDE-AR-N 4105, 5.7.2.4)."""

from __future__ import annotations

import numpy as np

from controllers.local.memoryless import Memoryless
from controllers.local.terminal import Array, Terminal


class CosPhi(Memoryless):
    """Power factor 1 up to half of rated power, then linear to its end value at rated power.

    Parameters
    ----------
    end : float, optional
        Power factor at rated power; 0.95 up to `small_mva` and 0.90 above if left out.
    start_share : float
        Share of rated power at which it begins.
    small_mva : float
        Limit between small and other units [MVA].
    """

    duty, acts_on, quantity, name = "control_voltage", "power", "q_mvar", "cosphi"

    def __init__(self, end: float | None = None, start_share: float = 0.5, small_mva: float = 0.0046) -> None:
        self.end, self.start_share, self.small_mva = end, start_share, small_mva

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return active power as it was and the reactive power drawn for it (negative) [MW, Mvar]."""
        p = np.maximum(terminal.p_mw, 0.0)
        share = np.divide(p, terminal.p_rated_mw, out=np.zeros_like(p), where=terminal.p_rated_mw > 0)
        end = self.end if self.end is not None else np.where(terminal.s_rated_mva <= self.small_mva, 0.95, 0.90)
        along = np.clip((share - self.start_share) / (1.0 - self.start_share), 0.0, 1.0)
        cos_phi = 1.0 - (1.0 - end) * along
        return terminal.p_mw, -p * np.sqrt(1.0 / cos_phi**2 - 1.0)
