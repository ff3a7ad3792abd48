"""Static cap on feed-in: 70 % of installed power (EEG 2012, section 6)."""

from __future__ import annotations

import numpy as np

from controllers.local.memoryless import Memoryless
from controllers.local.terminal import Array, Terminal


class FeedInCap(Memoryless):
    """Active feed-in never above a share of rated power, the alternative to remote control up to 30 kWp."""

    duty, acts_on, quantity, name = "manage_congestion", "power", "p_mw", "cap"

    def __init__(self, share: float = 0.7) -> None:
        self.share = share

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return active power, capped, and reactive power as it was [MW, Mvar]."""
        return np.minimum(terminal.p_mw, self.share * terminal.p_rated_mw), terminal.q_mvar
