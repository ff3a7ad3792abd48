"""Battery schedules from prices: a linear program a day ahead, solved with HiGHS."""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ScenarioError
from sims.der.storage import Storage

Array = NDArray[np.float64]

_DAY_H = 24


@dataclass(frozen=True)
class Battery:
    """One battery in shares of its rated power: energy in hours of it, what stays out of the schedule."""

    hours: float
    soc_start: float
    soc_min: float
    soc_max: float
    eta_charge: float
    eta_discharge: float
    standby_share: float = 0.0
    reserve_share: float = 0.0
    reserve_h: float = 0.0
    wear: float = 0.0


def schedule(battery: Battery, price: Array, hours: float = 1.0) -> Array:
    """Return the power that earns most, [interval], in shares of rated power, discharging positive.

    Parameters
    ----------
    battery : Battery
    price : ndarray
        Of energy in each interval [any currency per energy].
    hours : float
        Length of an interval [h].

    Raises
    ------
    ScenarioError
        The reserve leaves no energy or power for a schedule.

    Notes
    -----
    Maximise sum price (d - c) - wear d over charging c and discharging d in [0, 1 - reserve], with
    E' = E + (eta_c c - d/eta_d - standby) h between the limits of the state of charge, narrowed by what the
    reserve needs both ways, and as much energy at the end as at the start. Charging and discharging at once pays at
    negative prices only; a battery cannot, so the net is returned, and its limits hold when the schedule is run.
    """
    b, n = battery, len(price)
    room = 1.0 - b.reserve_share
    low = b.soc_min * b.hours + b.reserve_share * b.reserve_h / b.eta_discharge
    high = b.soc_max * b.hours - b.reserve_share * b.reserve_h * b.eta_charge
    if room < 0 or low > high:
        raise ScenarioError(
            f"storage: a reserve of {b.reserve_share:g} of rated power over {b.reserve_h:g} h leaves nothing of "
            f"{b.hours:g} h between {b.soc_min:g} and {b.soc_max:g} for a schedule"
        )
    start = min(max(b.soc_start * b.hours, low), high)
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = 2 * n, n + 1
    lp.col_cost_ = np.concatenate([price * hours, (b.wear - price) * hours])
    lp.col_lower_, lp.col_upper_ = np.zeros(2 * n), np.full(2 * n, room)
    gone = b.standby_share * hours * np.arange(1, n + 1)
    lp.row_lower_ = np.append(low - start + gone, min(b.standby_share, room * b.eta_charge) * hours * n)
    lp.row_upper_ = np.append(high - start + gone, highspy.kHighsInf)
    column = np.concatenate([np.r_[k:n, n] for k in range(n)] * 2)
    height = np.tile(np.arange(n, 0, -1) + 1, 2)
    value = np.repeat(np.repeat([b.eta_charge, -1.0 / b.eta_discharge], n) * hours, height)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(height)])
    lp.a_matrix_.index_, lp.a_matrix_.value_ = column, value
    model.passModel(lp)
    model.run()
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise ScenarioError(f"storage: no schedule for {b}: {model.modelStatusToString(model.getModelStatus())}")
    x = np.array(model.getSolution().col_value)
    out: Array = x[n:] - x[:n]
    return out


def traded(storage: Storage, soc_start: Array, price: Array) -> Array:
    """Return the schedules of many batteries, [hour, battery], in shares of rated power, discharging positive.

    Batteries that are alike in shares of their rating get one schedule; each day is planned by itself, from and to
    the state of charge at the start, because nobody knows more than tomorrow's prices.

    Parameters
    ----------
    storage : Storage
        Its ratings, settings and promised reserve.
    soc_start : ndarray, [battery]
        Share of the energy at the start.
    price : ndarray, [hour]
    """
    s, rated = storage.settings, np.maximum(storage.p_rated_mw, 1e-12)
    columns = np.column_stack([storage.e_rated_mwh / rated, soc_start, storage.reserve_mw / rated])
    alike, which = np.unique(columns.round(9), axis=0, return_inverse=True)
    out = np.zeros((len(price), len(alike)))
    for day in range(0, len(price), _DAY_H):
        for k, (size_h, soc, kept) in enumerate(alike):
            battery = Battery(
                float(size_h), float(soc), s.soc_min, s.soc_max, s.eta_charge, s.eta_discharge, s.standby_share,
                float(kept), s.reserve_h, s.wear,
            )
            out[day : day + _DAY_H, k] = schedule(battery, price[day : day + _DAY_H])
    return out[:, which.reshape(-1)]
