"""What laws share that remember nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve


class Memoryless:
    """A law evaluated in the step from present values alone, without a characteristic for the power flow."""

    def curve(self, dt_s: float) -> Curve | None:
        """Return None: nothing to solve with the power flow."""
        return None

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return the active power as it is, and no amplitude."""
        return terminal.p_mw, np.zeros_like(terminal.p_mw)

    def get_state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no memory."""
