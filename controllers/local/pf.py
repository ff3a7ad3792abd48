"""P(f): active power against frequency after VDE-AR-N 4105 (low voltage) and 4110 (medium voltage)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve

_EDGE_HZ = 1e-6


@dataclass(frozen=True)
class PfSettings:
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
        p, f = terminal.p_mw, terminal.f_hz
        if self._quiet(terminal):
            return p, terminal.q_mvar
        self._advance(terminal, dt_s)
        s = self.settings
        aim = np.minimum(p, self._limit)
        down = 1.0 - s.gradient_per_hz * (f - s.start_over_hz)
        aim = np.where(self._over, np.minimum(aim, self._frozen * np.maximum(down, 0.0)), aim)
        rise = self._frozen * s.gradient_per_hz * (s.start_under_hz - f)
        aim = np.where(self._under, np.minimum(aim + rise, np.maximum(terminal.p_avail_mw, aim)), aim)
        self._shift += (aim - p - self._shift) * -np.expm1(-dt_s / s.tau_s)
        self._shift = np.where(self._off, -p, self._shift)
        self._out = p + self._shift
        self._moved = bool((np.abs(self._shift) > 1e-12).any())
        return self._out, terminal.q_mvar

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return base and amplitude so that the last known frequency is met exactly [MW]."""
        p, f = terminal.p_mw, terminal.f_hz
        if self._quiet(terminal):
            return p, np.maximum(p, 0.0)
        self._advance(terminal, dt_s)
        s = self.settings
        base = np.minimum(p, self._limit)
        base = np.where(self._over, np.minimum(base, self._frozen), base)
        cut = s.gradient_per_hz * np.maximum(f - s.start_over_hz, 0.0)
        aim = np.where(self._over, np.minimum(base, self._frozen * (1.0 - cut)), base)
        swing = np.divide(base - aim, cut, out=base.copy(), where=cut > 0)
        base, swing = np.where(self._off, 0.0, base), np.where(self._off, 0.0, np.maximum(swing, 0.0))
        self._out = np.where(self._off, 0.0, aim)
        self._shift = self._out - p
        self._moved = bool((np.abs(self._shift) > 1e-12).any())
        return base, swing

    def _quiet(self, terminal: Terminal) -> bool:
        """Tell whether nothing moves and nothing is remembered: the common case, worth a short cut."""
        s, f, v = self.settings, terminal.f_hz, terminal.v_pu
        if self._moved or self._over.any() or self._under.any() or self._off.any() or len(f) == 0:
            return len(f) == 0
        calm = s.start_under_hz <= f.min() and f.max() <= s.start_over_hz
        well = s.trip_v_pu[0] <= v.min() and v.max() <= s.trip_v_pu[1]  # nan compares false
        return bool(calm and well and np.isinf(self._limit).all())

    def _advance(self, terminal: Terminal, dt_s: float) -> None:
        """Move the memory on: frozen power, trips, timers, and the ceiling that rises after either."""
        s, f, v, rated = self.settings, terminal.f_hz, terminal.v_pu, terminal.p_rated_mw
        over, under = f > s.start_over_hz, f < s.start_under_hz
        begins = (over & ~self._over) | (under & ~self._under)
        self._frozen = np.where(begins, np.minimum(terminal.p_mw, self._limit), self._frozen)
        ended = self._over & ~over
        self._limit = np.where(ended, np.minimum(self._limit, self._out), self._limit)
        self._over, self._under = over, under
        well = (v >= s.trip_v_pu[0]) & (v <= s.trip_v_pu[1])
        trips = (f >= s.trip_high_hz) | (f <= s.trip_low_hz) | ~well
        good = (f > s.back_low_hz) & (f <= s.back_high_hz) & (v >= s.back_v_pu[0]) & (v <= s.back_v_pu[1])
        self._good_s = np.where(good & ~trips, self._good_s + dt_s, 0.0)
        self._calm_s = np.where(over, 0.0, self._calm_s + dt_s)
        back = self._off & (self._good_s >= s.wait_s) & ~trips
        self._off = (self._off | trips) & ~back
        self._limit = np.where(self._off | back, 0.0, self._limit)
        waited = np.where(back, self._good_s - s.wait_s, self._calm_s - s.release_s)
        rises = np.clip(waited, 0.0, dt_s) * s.return_share_per_s * rated
        self._limit = np.where(self._off, 0.0, self._limit + rises)
        self._limit = np.where((self._limit >= rated) & ~self._off, np.inf, self._limit)

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
    room = np.where(share > 0, terminal.p_up_mw, terminal.p_dn_mw)
    both = np.minimum(full_mw, np.minimum(terminal.p_up_mw, terminal.p_dn_mw))
    size = np.abs(share)
    return np.divide(np.minimum(full_mw * size, room), size, out=both, where=size > 1e-9)
