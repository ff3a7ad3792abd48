"""Frequency containment by droop: FCR of storage, and of vehicles that are plugged in (V2G)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from controllers.local.pf import limited_swing
from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve


@dataclass(frozen=True)
class FcrSettings:
    """Linear between dead band and full activation [Hz]; at most as fast as full after `full_s` [s].

    `lag_s` is the time constant of a first-order lag [s]; 0 leaves it, or the limit of speed, out. Full activation
    after 30 s is the slowest that is allowed, and what is faster must not be held back (Regulation (EU) 2017/1485,
    article 154(7)): a battery answers with its own lag.
    `reserve_share` of rated power is offered while no droop is ordered from outside. `limited_droop` is the droop
    [1] by which a device answers beyond `full_hz`, with all it has (VDE-AR-N 4105, 5.7.4.3); 0 for none.
    """

    f0_hz: float = 50.0
    deadband_hz: float = 0.01
    full_hz: float = 0.2
    full_s: float = 0.0
    lag_s: float = 0.5
    reserve_share: float = 0.5
    limited_droop: float = 0.0


FCR = FcrSettings(limited_droop=0.02)
V2G = FcrSettings(deadband_hz=0.02, lag_s=0.2, reserve_share=1.0)
"""dP = -(P_FCR/0.18)(abs(df) - 0.02) sign(df), saturated at 200 mHz."""


class Containment:
    """Droop of devices that can move both ways.

    Reserve is gated by what the terminal can give: an empty or full battery, or a cluster with nothing
    plugged in, offers nothing in that direction. An ordered droop K [MW/Hz] stands for the reserve
    P_FCR = K (0.2 Hz - dead band); it replaces the device's own offer while it is valid. Where frequency leaves
    the range of the reserve, in a system that is in danger, what a device has beside it follows.
    """

    duty, acts_on, quantity = "contain_frequency", "frequency", "p_mw"

    def __init__(self, count: int, settings: FcrSettings = FCR, name: str = "fcr") -> None:
        self.name, self.settings = name, settings
        s = settings
        self._curve = Curve(
            name, (s.f0_hz - s.full_hz, s.f0_hz - s.deadband_hz, s.f0_hz + s.deadband_hz, s.f0_hz + s.full_hz),
            (1.0, 0.0, 0.0, -1.0),
        )
        self._per_hz = 1.0 / (s.limited_droop * s.f0_hz) if s.limited_droop > 0 else 0.0
        self._shift = np.zeros(count)

    def promise(self, p_rated_mw: Array, droop_mw_per_hz: Array) -> Array:
        """Return the reserve on offer, or ordered where a droop is not nan [MW], before headroom; it must be kept."""
        s, out = self.settings, np.empty(len(p_rated_mw))
        offered(p_rated_mw, droop_mw_per_hz, s.reserve_share, s.full_hz - s.deadband_hz, out)
        return out

    def reserve(self, terminal: Terminal) -> Array:
        """Return the reserve on offer or ordered [MW], before headroom."""
        return self.promise(terminal.p_rated_mw, terminal.droop_mw_per_hz)

    def _aim(self, share: Array, reserve_mw: Array, terminal: Terminal) -> Array:
        """Return the change of power that frequency asks for, within headroom [MW]."""
        s, out = self.settings, np.empty(len(share))
        asked(
            share, reserve_mw, terminal.f_hz, terminal.p_rated_mw, terminal.p_up_mw, terminal.p_dn_mw, s.f0_hz,
            s.full_hz, self._per_hz, out,
        )
        return out

    def curve(self, dt_s: float) -> Curve | None:
        """Return the droop in shares of the reserve."""
        return self._curve

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return power `dt_s` later, with lag and limit of speed [MW]."""
        s, reserve = self.settings, self.reserve(terminal)
        aim = self._aim(self._curve(terminal.f_hz), reserve, terminal)
        goes = self._shift + (aim - self._shift) * -np.expm1(-dt_s / s.lag_s) if s.lag_s > 0 else aim
        if s.full_s > 0:
            reach = reserve * (dt_s / s.full_s)
            goes = np.clip(goes, self._shift - reach, self._shift + reach)
        self._shift = goes
        return terminal.p_mw + self._shift, terminal.q_mvar

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return base and amplitude within headroom [MW]; what lies beyond the reserve is in the base."""
        share, reserve = self._curve(terminal.f_hz), self.reserve(terminal)
        swing = limited_swing(share, reserve, terminal)
        self._shift = self._aim(share, reserve, terminal)
        return terminal.p_mw + (self._shift - swing * share), swing

    def get_state(self) -> dict[str, Any]:
        """Return the response on its way."""
        return {"shift": self._shift.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._shift = np.array(state["shift"])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def offered(rated: Any, droop: Any, reserve_share: float, span_hz: float, out: Any) -> None:
    """Set the reserve of each device: a share of its rating, or what an ordered droop comes to over `span_hz`."""
    for k in range(len(rated)):
        ordered = droop[k] * span_hz
        out[k] = reserve_share * rated[k] if np.isnan(ordered) else min(ordered, rated[k])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def asked(
    share: Any, reserve: Any, f: Any, rated: Any, up: Any, down: Any, f0: float, full: float, per_hz: float, out: Any
) -> None:
    """Set the change that frequency asks for within headroom: the reserve, and `per_hz` of the rating beyond `full`."""
    for k in range(len(share)):
        aim, df = reserve[k] * share[k], f[k] - f0
        if per_hz > 0.0 and abs(df) > full:
            aim -= rated[k] * per_hz * np.sign(df) * (abs(df) - full)
        out[k] = min(max(aim, -down[k]), up[k])


def participating_share(p_up_mw: Array, p_dn_mw: Array, p_plugged_mw: Array) -> float:
    """Return sum min(P_up, P_dn) / sum P_plugged [1], 0 where nothing is plugged in."""
    plugged = float(p_plugged_mw.sum())
    return float(np.minimum(p_up_mw, p_dn_mw).sum()) / plugged if plugged > 0 else 0.0
