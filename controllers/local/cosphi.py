"""cos phi(P): under-excited the more the higher the feed-in (VDE-AR-N 4105, 5.7.2.4)."""

from __future__ import annotations

from typing import Any

import numba as nb
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
        p, rated = terminal.p_mw, terminal.p_rated_mw
        end = np.where(terminal.s_rated_mva <= self.small_mva, 0.95, 0.90) if self.end is None else self.end
        q = np.empty(len(p))
        drawn(p, rated, np.broadcast_to(end, p.shape), self.start_share, q)
        return p, q


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def drawn(p: Any, rated: Any, end: Any, start: float, q: Any) -> None:
    """Set the reactive power drawn at feed-in `p`; the power factor falls from 1 at share `start` to `end` at 1."""
    for k in range(len(p)):
        share = max(p[k], 0.0) / rated[k] if rated[k] > 0.0 else 0.0
        along = min(max((share - start) / (1.0 - start), 0.0), 1.0)
        cos_phi = 1.0 - (1.0 - end[k]) * along
        q[k] = -max(p[k], 0.0) * np.sqrt(1.0 / (cos_phi * cos_phi) - 1.0)
