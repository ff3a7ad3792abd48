"""Forecasts of load and generation, and how much better they are than the simplest ones.

A forecaster is a function (history, horizon) -> forecast over [time, series]; nan in the history is missing data.
Skill is 1 - RMSE / RMSE of a reference, so 0 is no better than the reference and 1 is perfect.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import GridError

Floats = NDArray[np.float64]
Forecaster = Callable[[Floats, int], Floats]

RIDGE = 1e-3
HARMONICS = 4


def persistence(history: Floats, horizon: int) -> Floats:
    """Return the last value known, again and again."""
    known = _filled(history)
    return np.repeat(known[-1:], horizon, axis=0)


def seasonal_naive(history: Floats, horizon: int, season: int) -> Floats:
    """Return the values one season ago: a week where the history covers one, a day otherwise.

    Raises
    ------
    GridError
        The history is shorter than a season.
    """
    if len(history) < season:
        raise GridError(f"a seasonal forecast needs {season} values of history, there are {len(history)}")
    last = _filled(history)[-season:]
    repeats = -(-horizon // season)
    return np.tile(last, (repeats, 1))[:horizon]


def regression(history: Floats, horizon: int, season: int, drivers: Floats | None = None) -> Floats:
    """Return a ridge regression on the season's harmonics, the value one season ago and the latest deviation.

    Parameters
    ----------
    history : array [time, series]
    season : int
        Steps of the season, such as 96 quarter hours; at least two seasons of history are needed.
    drivers : array [time and horizon, driver], optional
        Forecast weather and the like, known for the history and for the horizon.

    Raises
    ------
    GridError
        Too short a history, or drivers that do not cover it.
    """
    n = len(history)
    if n < 2 * season:
        raise GridError(f"a regression needs {2 * season} values of history, two seasons; there are {n}")
    if drivers is not None and len(drivers) != n + horizon:
        raise GridError(f"drivers cover {len(drivers)} steps, history and horizon are {n} + {horizon}")
    known = _filled(history)
    at = np.arange(season, n + horizon)
    extra = None if drivers is None else (drivers - drivers[:n].mean(axis=0)) / (drivers[:n].std(axis=0) + 1e-12)
    out = np.zeros((horizon, known.shape[1]))
    for k in range(known.shape[1]):
        series = known[:, k]
        past = np.concatenate((series, seasonal_naive(series[:, None], horizon, season)[:, 0]))
        level = float(series.std()) or 1.0
        x = _features(at, season, past[at - season] / level, None if extra is None else extra[at])
        rows = np.arange(n - season)
        a, y = x[rows], series[season:] / level
        beta = np.linalg.solve(a.T @ a + RIDGE * len(rows) * np.eye(a.shape[1]) / a.shape[1], a.T @ y)
        fit = x @ beta
        # What the last step was off by fades within some hours, as weather does.
        off = y[-1] - fit[len(rows) - 1]
        fade = np.exp(-np.arange(1, horizon + 1) / (season / 8))
        out[:, k] = (fit[len(rows) :] + off * fade) * level
    return out


def boosted(history: Floats, horizon: int, season: int, drivers: Floats | None = None) -> Floats:
    """Return gradient-boosted trees on the features of `regression`; needs scikit-learn.

    Raises
    ------
    GridError
        scikit-learn is not installed, or as `regression`.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError as err:
        raise GridError("the boosted forecaster needs scikit-learn: pip install 'gridseam[boosting]'") from err
    n = len(history)
    if n < 2 * season:
        raise GridError(f"a boosted forecast needs {2 * season} values of history, two seasons; there are {n}")
    known = _filled(history)
    at = np.arange(season, n + horizon)
    out = np.zeros((horizon, known.shape[1]))
    for k in range(known.shape[1]):
        past = np.concatenate((known[:, k], seasonal_naive(known[:, k : k + 1], horizon, season)[:, 0]))
        x = _features(at, season, past[at - season], None if drivers is None else drivers[at])
        model = HistGradientBoostingRegressor(random_state=0)
        model.fit(x[: n - season], known[season:, k])
        out[:, k] = model.predict(x[n - season :])
    return out


def corrected(expected: Floats, measured: Floats, at: int, horizon: int, season: int) -> Floats:
    """Return a forecast of the day before, corrected by how far it is off now.

    What it is off by fades as in `regression`: exp(-8 h / season) after h steps, for clouds pass and habits return.

    Parameters
    ----------
    expected : array [time, series]
        The forecast; beyond its end its last value holds.
    measured : array [series]
        What is drawn at step `at`; nan where that is not known.
    at, horizon, season : int

    Raises
    ------
    GridError
        There is no forecast for step `at`.
    """
    if not 0 <= at < len(expected):
        raise GridError(f"the forecast of the day before covers {len(expected)} steps, not step {at}")
    off = np.nan_to_num(measured - expected[at])
    ahead = expected[np.minimum(at + np.arange(1, horizon + 1), len(expected) - 1)]
    found: Floats = ahead + off * np.exp(-8 * np.arange(1, horizon + 1) / season)[:, None]
    return found


def skill(actual: Floats, forecast: Floats, reference: Floats) -> Floats:
    """Return 1 - RMSE(forecast) / RMSE(reference) of each series; nan where the reference is perfect."""
    own, other = (np.sqrt(np.nanmean((actual - f) ** 2, axis=0)) for f in (forecast, reference))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(other > 0, 1.0 - own / other, np.nan)
    return found


def backtest(series: Floats, forecaster: Forecaster, first: int, horizon: int) -> tuple[Floats, Floats]:
    """Forecast again and again from `first` on, `horizon` ahead each; return (actual, forecast), stacked."""
    starts = range(first, len(series) - horizon + 1, horizon)
    if not len(starts):
        raise GridError(f"{len(series)} values leave no room for a forecast of {horizon} after {first}")
    forecasts = [forecaster(series[:start], horizon) for start in starts]
    return series[first : starts[-1] + horizon], np.concatenate(forecasts)


def _features(at: NDArray[np.int64], season: int, past: Floats, extra: Floats | None) -> Floats:
    angle = 2 * np.pi * at[:, None] * np.arange(1, HARMONICS + 1) / season
    columns = [np.ones((len(at), 1)), np.cos(angle), np.sin(angle), past[:, None]]
    return np.concatenate(columns + ([] if extra is None else [extra]), axis=1)


def _filled(history: Floats) -> Floats:
    """Return the history with gaps bridged in a straight line, ends held."""
    out: Floats = np.array(history, dtype=float)
    if np.isfinite(out).all():
        return out
    steps = np.arange(len(out))
    for k in range(out.shape[1]):
        good = np.isfinite(out[:, k])
        if not good.any():
            raise GridError(f"series {k} has no values at all; nothing can be forecast from it")
        out[:, k] = np.interp(steps, steps[good], out[good, k])
    return out
