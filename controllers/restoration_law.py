"""The law that brings the exchange of a cell back, whoever balances it: PI on the cell's control error."""

from __future__ import annotations

import math


def cell_error(p_tie_mw: float, p_sched_mw: float, f_hz: float, f0_hz: float, bias_mw_per_hz: float) -> float:
    """Return CE = (P_tie - P_sched) + B (f - f0) [MW], export positive; positive where the cell is long."""
    return p_tie_mw - p_sched_mw + bias_mw_per_hz * (f_hz - f0_hz)


def beyond_mw(d_f_hz: float, deadband_hz: float, droop_mw_per_hz: float) -> float:
    """Return by how much the answer of devices with a dead-band adds to B df [MW], same sign as `d_f_hz`."""
    return droop_mw_per_hz * math.copysign(max(abs(d_f_hz) - deadband_hz, 0.0), d_f_hz)


class RestorationLaw:
    """dP = -(k_p CE + integral of CE / T_i), held within what the resources can give by the next cycle.

    Parameters
    ----------
    k_p : float
    t_i_s : float
    first_s : float
        What the first measurement counts for; later ones count for the time since the one before, at most `MOST_S`.
    """

    MOST_S = 300.0

    def __init__(self, k_p: float, t_i_s: float, first_s: float = 0.0) -> None:
        self.k_p, self.t_i_s, self._first_s = k_p, t_i_s, first_s
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.integral_mw = self._error_mw = self._dt_s = 0.0
        self._measured_s = math.nan

    def measure(self, error_mw: float, measured_s: float) -> None:
        """Take the control error measured at `measured_s`."""
        since_s = measured_s - self._measured_s
        self._dt_s = self._first_s if math.isnan(since_s) else min(since_s, self.MOST_S)
        self._measured_s = measured_s
        self._error_mw = error_mw

    def within(self, dt_s: float) -> float:
        """Return what will be asked in `dt_s` if the error stands and nothing bounds it [MW]; not less than now."""
        return -(self.k_p * self._error_mw + self.integral_mw + self._error_mw * max(dt_s, self._dt_s) / self.t_i_s)

    def ask(self, lowest_mw: float, highest_mw: float) -> float:
        """Return the change of power asked for [MW]; the integral grows to a bound, not beyond."""
        error, before, after = self._error_mw, self.integral_mw, self._integrated()
        asked = -(self.k_p * error + after)
        given = min(max(asked, lowest_mw), highest_mw)
        if asked > highest_mw and error < 0:
            after = min(max(after, -highest_mw - self.k_p * error), before)
        elif asked < lowest_mw and error > 0:
            after = max(min(after, -lowest_mw - self.k_p * error), before)
        self.integral_mw = after
        return given

    def _integrated(self) -> float:
        return self.integral_mw + self._error_mw * self._dt_s / self.t_i_s
