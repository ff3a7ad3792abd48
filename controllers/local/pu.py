"""P(U): active power against voltage, after FNN guidance in Germany and volt-watt of IEEE 1547-2018."""

from __future__ import annotations

from typing import Any

import numpy as np

from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve

P_U = ((1.10, 1.0), (1.12, 0.0))
VOLT_WATT_B = ((1.06, 1.0), (1.10, 0.0))
"""Category B of IEEE 1547-2018, table 31, with the lowest power taken as 0."""


class PowerVoltage:
    """Reduces feed-in linearly with voltage.

    Parameters
    ----------
    count : int
    points : pairs of float
        Voltage [pu] and share, first to last.
    of : {"momentary", "rated"}
        Of which power the share is: the momentary power is scaled, or power is kept below a share of rated
        power. With the power flow the momentary form is solved; the rated form differs only below rated power.
    tau_s : float
        Lag in the time domain [s]; IEEE states an open-loop response time, which is ln(10) times as long.
    """

    duty, acts_on, quantity = "manage_congestion", "voltage", "p_mw"

    def __init__(
        self, count: int, points: tuple[tuple[float, float], ...] = P_U, *, of: str = "momentary",
        tau_s: float = 0.0, name: str = "pu",
    ) -> None:
        self.name, self._of, self._tau_s = name, of, tau_s
        self._share = Curve(name, tuple(u for u, _ in points), tuple(y for _, y in points))
        self._cut = Curve(name, self._share.x, tuple(y - 1.0 for y in self._share.y))
        self._last = np.ones(count)

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return active power at the present voltage, reactive power as it was [MW, Mvar]."""
        share = self._share(terminal.v_pu)
        if self._tau_s > 0:
            share = self._last + (share - self._last) * -np.expm1(-dt_s / self._tau_s)
        self._last = share
        p = terminal.p_mw
        if self._of == "rated":
            return np.minimum(p, share * terminal.p_rated_mw), terminal.q_mvar
        return np.where(p > 0, p * share, p), terminal.q_mvar

    def curve(self, dt_s: float) -> Curve | None:
        """Return the reduction in shares of momentary power, from 0 to -1."""
        return self._cut

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return the full power and, as amplitude, the part of it that feeds in."""
        return terminal.p_mw, np.maximum(terminal.p_mw, 0.0)

    def get_state(self) -> dict[str, Any]:
        """Return the lagged share."""
        return {"last": self._last.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._last = np.array(state["last"])
