"""Watt-var: reactive power against active power (IEEE 1547-2018, 5.3.4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from controllers.local.memoryless import Memoryless
from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve

WATT_VAR_B = ((-1.0, 1.0), (-0.5, 0.0), (-0.2, 0.0), (0.2, 0.0), (0.5, 0.0), (1.0, -1.0))
"""Category B of IEEE 1547-2018, table 9, in shares of 0.44 of rated apparent power."""


class WattVar(Memoryless):
    """Draws reactive power at high feed-in, gives it while charging, with a first-order lag.

    Parameters
    ----------
    count : int
    points : pairs of float
        Active power in shares of rated power, rising, and share of the largest reactive power.
    ratio : float
        Largest reactive power over rated apparent power.
    tau_s : float
        Time constant of the lag [s]; IEEE states an open-loop response time, which is ln(10) times as long.
    """

    duty, acts_on, quantity = "control_voltage", "power", "q_mvar"

    def __init__(
        self, count: int, points: tuple[tuple[float, float], ...] = WATT_VAR_B, *, ratio: float = 0.44,
        tau_s: float = 4.343, name: str = "watt_var",
    ) -> None:
        self.name, self._ratio, self._tau_s = name, ratio, tau_s
        self._share = Curve(name, tuple(p for p, _ in points), tuple(q for _, q in points))
        self._last = np.zeros(count)

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return active power as it was and the lagged reactive power [MW, Mvar]."""
        p, rated = terminal.p_mw, terminal.p_rated_mw
        share = np.divide(p, rated, out=np.zeros_like(p), where=rated > 0)
        aim = self._ratio * terminal.s_rated_mva * self._share(share)
        weight = float(-np.expm1(-dt_s / self._tau_s)) if self._tau_s > 0 else 1.0
        self._last = self._last + (aim - self._last) * weight
        return p, self._last

    def get_state(self) -> dict[str, Any]:
        """Return the lagged reactive powers."""
        return {"last": self._last.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._last = np.array(state["last"])
