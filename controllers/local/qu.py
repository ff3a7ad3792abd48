"""Q(U): reactive power against voltage, after VDE-AR-N 4105 and volt-var of IEEE 1547-2018."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from controllers.local.terminal import Array, Terminal
from sims.grid.curve import Curve, along

Q_U = ((0.93, 1.0), (0.97, 0.0), (1.03, 0.0), (1.07, -1.0))
VOLT_VAR_B = ((0.92, 1.0), (0.98, 0.0), (1.02, 0.0), (1.08, -1.0))
"""Category B of IEEE 1547-2018, table 8, in shares of 0.44 of rated apparent power."""


SMALL_RATIO, LARGE_RATIO = 0.3287, 0.4843
"""Largest reactive over rated active power, at cos phi 0.95 and 0.90."""


def prescribed_q(p_rated_mw: Array, v_pu: Array) -> Array:
    """Return what inverters above 4.6 kVA feed by Q(U) once the lag is over, as their grid operator reckons [Mvar]."""
    u, share = np.array(Q_U).T
    out: Array = LARGE_RATIO * p_rated_mw * np.interp(v_pu, u, share)
    return out


class ReactiveVoltage:
    """Feeds reactive power at low voltage, draws it at high voltage, with a first-order lag.

    Parameters
    ----------
    count : int
    points : pairs of float
        Voltage [pu] and share of the largest reactive power.
    ratio : float, optional
        Largest reactive power over rated active power (`of` = "p") or apparent power ("s"). If left out:
        0.3287 up to `small_mva` (cos phi 0.95) and 0.4843 above (cos phi 0.90), over active power.
    tau_s : float
        Time constant of the lag [s].

    Notes
    -----
    An undamped loop that answers once a step is stable only while slope x sensitivity < 1, so in steps
    longer than the lag the characteristic is solved with the power flow: Q(t + dt) = e^(-dt/tau) Q(t) +
    (1 - e^(-dt/tau)) Q_max c(U), the first term as base, the second as amplitude and curve.
    """

    duty, acts_on, quantity = "control_voltage", "voltage", "q_mvar"

    def __init__(
        self, count: int, points: tuple[tuple[float, float], ...] = Q_U, *, ratio: float | None = None,
        of: str = "p", tau_s: float = 3.3, small_mva: float = 0.0046, name: str = "qu",
    ) -> None:
        self.name, self._ratio, self._of, self._tau_s, self._small = name, ratio, of, tau_s, small_mva
        self._curve = Curve(name, tuple(u for u, _ in points), tuple(y for _, y in points))
        self._last, self._base, self._swing = np.zeros(count), np.zeros(count), np.zeros(count)
        self._points = tuple(np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
        self._largest: Array | None = None

    def largest(self, terminal: Terminal) -> Array:
        """Return the largest reactive power of each device [Mvar]."""
        if self._ratio is None:
            ratio = np.where(terminal.s_rated_mva <= self._small, SMALL_RATIO, LARGE_RATIO)
            return ratio * terminal.p_rated_mw
        return self._ratio * (terminal.s_rated_mva if self._of == "s" else terminal.p_rated_mw)

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return active power as it was and the lagged reactive power [MW, Mvar]."""
        aim = self.largest(terminal) * self._curve(terminal.v_pu)
        self._last = self._last + (aim - self._last) * self._weight(dt_s)
        return terminal.p_mw, self._last

    def curve(self, dt_s: float) -> Curve | None:
        """Return the characteristic in shares of the largest reactive power."""
        return self._curve

    def settle(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return what lingers from the last step and the amplitude of what follows voltage [Mvar]."""
        if self._largest is None:
            self._largest = self.largest(terminal)
        weight = self._weight(dt_s) if dt_s > 0 else 1.0
        linger(terminal.v_pu, *self._points, weight, self._largest, self._base, self._swing)
        return self._base, self._swing

    def _weight(self, dt_s: float) -> float:
        return float(-np.expm1(-dt_s / self._tau_s)) if self._tau_s > 0 else 1.0

    def get_state(self) -> dict[str, Any]:
        """Return the lagged reactive powers."""
        return {"last": self._last.copy(), "base": self._base.copy(), "swing": self._swing.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._last, self._base, self._swing = (np.array(state[k]) for k in ("last", "base", "swing"))


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def linger(v_pu: Any, x: Any, y: Any, weight: float, largest: Any, base: Any, swing: Any) -> None:
    """Set, in place, what of base + swing c(U) lingers and the amplitude of what follows voltage from now on.

    A terminal without voltage counts as at 1 pu; `x`, `y` are the points of the characteristic.
    """
    share = along(np.where(np.isnan(v_pu), 1.0, v_pu), x, y)
    for k in range(len(v_pu)):
        base[k] = (1.0 - weight) * (base[k] + swing[k] * share[k])
        swing[k] = weight * largest[k]
