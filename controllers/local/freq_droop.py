"""Frequency-droop of IEEE 1547-2018 (6.5.2.7): active power against frequency, for 60 Hz systems."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from controllers.local.pf import limited_swing
from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve


class FrequencyDroop:
    """Power moves by rated power x (f - f0 -/+ dead band)/(f0 k) away from what it was before the disturbance.

    Parameters
    ----------
    count : int
    f0_hz, deadband_hz, droop : float
        Nominal frequency, dead band each way, per-unit droop k (dbOF, kOF and their twins of the standard).
    response_s : float
        Open-loop response time: 90 % of a step is reached within it, so the lag is response_s/ln(10).
    trip_hz : pair of float
        Beyond these the unit is off at once.
    trips : bool
        False where another law does that, with its timers.

    Notes
    -----
    The power before the disturbance is frozen when frequency leaves the dead band. Power neither falls below 0
    nor rises above what is available.
    """

    duty, acts_on, quantity = "contain_frequency", "frequency", "p_mw"

    def __init__(
        self, count: int, *, f0_hz: float = 60.0, deadband_hz: float = 0.036, droop: float = 0.05,
        response_s: float = 5.0, trip_hz: tuple[float, float] = (56.5, 62.0), trips: bool = True,
        name: str = "freq_droop",
    ) -> None:
        self._trips = trips
        self.name, self._f0, self._band, self._trip = name, f0_hz, deadband_hz, trip_hz
        self._slope = 1.0 / (f0_hz * droop)
        self._tau_s = response_s / math.log(10.0)
        low, high = trip_hz
        self._curve = Curve(
            name, (low, f0_hz - deadband_hz, f0_hz + deadband_hz, high),
            ((f0_hz - deadband_hz - low) * self._slope, 0.0, 0.0, -(high - f0_hz - deadband_hz) * self._slope),
        )
        self._beyond = np.zeros(count, dtype=bool)
        self._before = np.zeros(count)
        self._shift = np.zeros(count)

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return power after `dt_s` at the present frequency [MW]."""
        p, f = terminal.p_mw, terminal.f_hz
        beyond = np.abs(f - self._f0) > self._band
        self._before = np.where(beyond & ~self._beyond, p, self._before)
        self._beyond = beyond
        aim = self._before + terminal.p_rated_mw * self._curve(f)
        most = np.maximum(terminal.p_avail_mw, p)
        aim = np.where(beyond, np.minimum(np.maximum(aim, np.minimum(p, 0.0)), most), p)
        self._shift += (aim - p - self._shift) * -np.expm1(-dt_s / self._tau_s)
        if self._trips:
            self._shift = np.where((f <= self._trip[0]) | (f >= self._trip[1]), -p, self._shift)
        return p + self._shift, terminal.q_mvar

    def curve(self, dt_s: float) -> Curve | None:
        """Return the droop in shares of rated power."""
        return self._curve

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return base and amplitude within headroom [MW]."""
        share = self._curve(terminal.f_hz)
        swing = limited_swing(share, terminal.p_rated_mw, terminal)
        self._shift = swing * share
        return terminal.p_mw, swing

    def get_state(self) -> dict[str, Any]:
        """Return what is frozen and lagged."""
        return {"beyond": self._beyond.copy(), "before": self._before.copy(), "shift": self._shift.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._beyond, self._before, self._shift = (np.array(state[k]) for k in ("beyond", "before", "shift"))
