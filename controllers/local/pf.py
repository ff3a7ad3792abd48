"""P(f): active power against frequency after VDE-AR-N 4105 (low voltage) and 4110 (medium voltage)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controllers.local import pf_kernel as kernel
from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve

_EDGE_HZ = 1e-6


class PfSettings(NamedTuple):
    """Numbers of a connection rule; frequencies [Hz], voltages [pu], times [s].

    `gradient_per_hz` is the change in shares of the frozen power, both ways; `release_s` how long frequency
    has to be back in the band before power rises again; `wait_s` how long voltage and frequency have to be
    good before a tripped unit returns; `return_share_per_s` the slope of either return in shares of rated
    power; `tau_s` the lag of the unit.
    """

    start_over_hz: float = 50.2
    start_under_hz: float = 49.8
    gradient_per_hz: float = 0.4
    trip_high_hz: float = 51.5
    trip_low_hz: float = 47.5
    back_low_hz: float = 47.5
    back_high_hz: float = 50.1
    back_v_pu: tuple[float, float] = (0.85, 1.10)
    trip_v_pu: tuple[float, float] = (0.45, 1.25)
    wait_s: float = 60.0
    release_s: float = 0.0
    return_share_per_s: float = 0.1 / 60.0
    tau_s: float = 0.5


VDE_4105 = PfSettings()
VDE_4110 = PfSettings(release_s=600.0)
"""Droop 5 % from 50.2/49.8 Hz, that is 1/(0.05 x 50 Hz) = 40 %/Hz; power is released after 600 s."""


class PowerFrequency:
    """P(f) of generation: the power at 50.2 Hz is frozen and reduced by 40 %/Hz, the unit trips at 51.5 Hz.

    Parameters
    ----------
    count : int
        Devices that carry the law.
    settings : PfSettings

    Notes
    -----
    P = P_M (1 - 0.4 (f - 50.2)), never above what is available; below 49.8 Hz P = P_M (1 + 0.4 (49.8 - f)) as
    far as available power allows (VDE-AR-N 4105, 5.7.4). Back in the band, power rises by at most 10 % of
    rated power a minute. In steps of minutes the reduction is solved with the power flow; the rise below
    49.8 Hz, which only a curtailed unit can give, is left to the time domain.
    """

    duty, acts_on, quantity = "contain_frequency", "frequency", "p_mw"

    def __init__(self, count: int, settings: PfSettings = VDE_4105, name: str = "pf") -> None:
        self.settings, self.name = settings, name
        self._over, self._under, self._off = (np.zeros(count, dtype=bool) for _ in range(3))
        self._frozen, self._shift, self._good_s, self._calm_s = (np.zeros(count) for _ in range(4))
        self._limit = np.full(count, np.inf)
        self._out = np.zeros(count)
        self._moved = False

    @property
    def off(self) -> NDArray[np.bool_]:
        """Return which units have tripped, [device]."""
        return self._off

    def curve(self, dt_s: float) -> Curve | None:
        """Return the reduction in shares of the frozen power, -1 beyond either trip."""
        s = self.settings
        left = -s.gradient_per_hz * (s.trip_high_hz - s.start_over_hz)
        return Curve(
            self.name,
            (s.trip_low_hz, s.trip_low_hz + _EDGE_HZ, s.start_over_hz, s.trip_high_hz - _EDGE_HZ, s.trip_high_hz),
            (-1.0, 0.0, 0.0, left, -1.0),
        )

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return power after `dt_s` at the present frequency [MW]; reactive power as it was."""
        p, f, s = terminal.p_mw, terminal.f_hz, self.settings
        if self._quiet(f, terminal.v_pu):
            return p, terminal.q_mvar
        self._advance(p, f, terminal, dt_s)
        self._out = np.empty(len(p))
        self._moved = kernel.follow(
            s, float(-np.expm1(-dt_s / s.tau_s)), f, p, terminal.p_avail_mw, self._over, self._under, self._off,
            self._frozen, self._limit, self._shift, self._out,
        )
        return self._out, terminal.q_mvar

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return base and amplitude so that the last known frequency is met exactly [MW]."""
        p, f = terminal.p_mw, terminal.f_hz
        if self._quiet(f, terminal.v_pu):
            return p, np.maximum(p, 0.0)
        self._advance(p, f, terminal, dt_s)
        self._out, base, swing = np.empty((3, len(p)))
        self._moved = kernel.hold(
            self.settings, f, p, self._over, self._off, self._frozen, self._limit, self._shift, self._out, base, swing
        )
        return base, swing

    def _quiet(self, f_hz: Array, v_pu: Array) -> bool:
        """Tell whether nothing moves and nothing is remembered."""
        calm = kernel.quiet(self.settings, f_hz, v_pu, self._over, self._under, self._off, self._limit)
        return bool(calm and not self._moved)

    def _advance(self, p_mw: Array, f_hz: Array, terminal: Terminal, dt_s: float) -> None:
        kernel.advance(
            self.settings, dt_s, f_hz, terminal.v_pu, p_mw, terminal.p_rated_mw, self._out, self._over, self._under,
            self._off, self._frozen, self._good_s, self._calm_s, self._limit,
        )

    def get_state(self) -> dict[str, Any]:
        """Return frozen powers, trips, timers and ceilings."""
        return {k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in vars(self).items() if k[0] == "_"}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for key, value in state.items():
            setattr(self, key, np.copy(value) if isinstance(value, np.ndarray) else value)


class StorageFrequency:
    """P(f) of storage: 2 % droop both ways outside 49.8 to 50.2 Hz, charging is reduced first.

    Notes
    -----
    dP = -P_r (f - f_edge)/(0.02 x 50 Hz), within what the battery can still take or give: from charging, the
    rise below 49.8 Hz runs through "less charging" into discharging (VDE-AR-N 4105, 5.7.4.3).
    """

    duty, acts_on, quantity = "contain_frequency", "frequency", "p_mw"

    def __init__(
        self, count: int, *, droop: float = 0.02, f0_hz: float = 50.0, edge_hz: float = 0.2, tau_s: float = 0.5,
        name: str = "pf_storage",
    ) -> None:
        self.name, self._tau_s = name, tau_s
        full = droop * f0_hz
        self._curve = Curve(
            name, (f0_hz - edge_hz - full, f0_hz - edge_hz, f0_hz + edge_hz, f0_hz + edge_hz + full),
            (1.0, 0.0, 0.0, -1.0),
        )
        self._shift = np.zeros(count)

    def curve(self, dt_s: float) -> Curve | None:
        """Return the droop in shares of rated power."""
        return self._curve

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return power after `dt_s` at the present frequency [MW]."""
        aim = terminal.p_rated_mw * self._curve(terminal.f_hz)
        aim = np.clip(aim, -terminal.p_dn_mw, terminal.p_up_mw)
        self._shift += (aim - self._shift) * -np.expm1(-dt_s / self._tau_s)
        return terminal.p_mw + self._shift, terminal.q_mvar

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return base and amplitude; inside the band the smaller of both ways, so that neither is promised."""
        share = self._curve(terminal.f_hz)
        swing = limited_swing(share, terminal.p_rated_mw, terminal)
        self._shift = swing * share
        return terminal.p_mw, swing

    def get_state(self) -> dict[str, Any]:
        """Return the lagged response."""
        return {"shift": self._shift.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._shift = np.array(state["shift"])


def limited_swing(share: Array, full_mw: Array, terminal: Terminal) -> Array:
    """Return the amplitude that gives `full_mw` x share as far as headroom allows at that share [MW]."""
    swing = np.empty(len(share))
    kernel.amplitude(share, full_mw, terminal.p_up_mw, terminal.p_dn_mw, swing)
    return swing
