"""Synthetic inertia: power against the slope of frequency, and the delay it can bear."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from controllers.local.memoryless import Memoryless
from controllers.local.terminal import Array, Terminal
from sims.core.errors import ScenarioError


class SyntheticInertia(Memoryless):
    """dP = -K_in df/dt through a first-order filter, in the time domain only.

    Parameters
    ----------
    k_in : ndarray, [device]
        Gain [MW s/Hz]; it stands for a kinetic energy K_in f0/2 [MWs].
    filter_s : float
        Time constant of the filter [s].
    deadband_hz_s : float
        Slope below which nothing happens [Hz/s]; beyond it the excess counts.

    Notes
    -----
    The response stays within the headroom of the terminal, which counts stored energy. A gain ordered from outside
    takes the place of the own one.
    """

    duty, acts_on, quantity, name = "provide_inertia", "frequency", "p_mw", "inertia"

    def __init__(self, k_in: Array, filter_s: float = 0.1, deadband_hz_s: float = 0.05) -> None:
        self.k_in, self.filter_s, self.deadband_hz_s = k_in, filter_s, deadband_hz_s
        self._slope = np.zeros(len(k_in))

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return power with the inertial response after `dt_s` [MW]."""
        p, weight = terminal.p_mw, float(-np.expm1(-dt_s / self.filter_s))
        out, ordered = np.empty(len(p)), terminal.inertia_mw_s_per_hz
        k_in = np.where(np.isnan(ordered), self.k_in, ordered)
        against(
            terminal.rocof_hz_s, self.deadband_hz_s, weight, k_in, terminal.p_up_mw, terminal.p_dn_mw, self._slope,
            p, out,
        )
        return out, terminal.q_mvar

    def equivalent_mws(self, f0_hz: float = 50.0) -> Array:
        """Return the kinetic energy each device stands for, K_in f0/2 [MWs]."""
        return self.k_in * f0_hz / 2

    def get_state(self) -> dict[str, Any]:
        """Return the filtered slopes."""
        return {"slope": self._slope.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._slope = np.array(state["slope"])


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def against(
    rocof: Any, deadband: float, weight: float, k_in: Any, up: Any, down: Any, slope: Any, p: Any, out: Any
) -> None:
    """Filter the slope beyond the dead band, in place, and set power with what stands against it."""
    for k in range(len(p)):
        beyond = np.sign(rocof[k]) * max(abs(rocof[k]) - deadband, 0.0)
        slope[k] += (beyond - slope[k]) * weight
        out[k] = p[k] + min(max(-k_in[k] * slope[k], -down[k]), up[k])


def delay_margin_s(
    synthetic_mws: float, physical_mws: float, *, filter_s: float = 0.1, window_s: float = 0.1,
    coupling_s: float = 0.02,
) -> float:
    """Return the delay that synthetic inertia in a cell can bear on top of window and coupling [s].

    With r = synthetic/physical > 1 the loop is stable up to tau_c = (pi - atan(w_c T_f))/w_c with
    w_c = sqrt(r^2 - 1)/T_f; half the measurement window and half the coupling interval are used up already.
    Infinite for r <= 1.
    """
    if physical_mws <= 0:
        return -math.inf if synthetic_mws > 0 else math.inf
    r = synthetic_mws / physical_mws
    if r <= 1:
        return math.inf
    w_c = math.sqrt(r * r - 1) / filter_s
    return (math.pi - math.atan(w_c * filter_s)) / w_c - window_s / 2 - coupling_s / 2


def refuse_unstable(cell: str, synthetic_mws: float, physical_mws: float, delay_s: float, **times: float) -> None:
    """Refuse synthetic inertia that its own delay would turn into an oscillation.

    Raises
    ------
    ScenarioError
        The delay exceeds `delay_margin_s`; cell and both numbers are named.
    """
    margin = delay_margin_s(synthetic_mws, physical_mws, **times)
    if delay_s > margin:
        raise ScenarioError(
            f"cell '{cell}': synthetic inertia of {synthetic_mws:g} MWs on {physical_mws:g} MWs of machines bears a "
            f"delay of {margin * 1000:.0f} ms, its devices have {delay_s * 1000:.0f} ms: lower K_in or the delay"
        )
