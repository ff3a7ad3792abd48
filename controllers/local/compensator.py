"""Voltage control of static compensators, SVC and STATCOM, by a slope around a set-point."""

from __future__ import annotations

import numpy as np

from controllers.local.qu import ReactiveVoltage
from controllers.local.terminal import Array, Terminal

_FIRST, _LAST = 0.5, 1.5


class StaticCompensator(ReactiveVoltage):
    """Q(U) of a compensator: linear within its slope, beyond it what its limit gives at that voltage.

    Parameters
    ----------
    count : int
    v_set_pu : float
        Voltage at which it feeds nothing.
    slope_pu : float
        Deviation at which it reaches its limit; 1 to 5 % in practice.
    susceptance : bool
        An SVC at its limit is a susceptance, Q = S V^2; a STATCOM keeps its current, Q = S V.
    tau_s : float
        Lag [s].
    """

    def __init__(
        self, count: int, v_set_pu: float = 1.0, slope_pu: float = 0.03, *, susceptance: bool, tau_s: float = 0.1,
        name: str = "compensator",
    ) -> None:
        power = 2 if susceptance else 1
        ends = v_set_pu - slope_pu, v_set_pu + slope_pu
        low, high = np.linspace(_FIRST, ends[0], 12), np.linspace(ends[1], _LAST, 12)
        points = [(float(v), float(v**power)) for v in low]
        points += [(v_set_pu, 0.0), *((float(v), -float(v**power)) for v in high)]
        super().__init__(count, tuple(points), tau_s=tau_s, name=name)

    def largest(self, terminal: Terminal) -> Array:
        """Return the rating of each device [Mvar]."""
        return terminal.s_rated_mva
