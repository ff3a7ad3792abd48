"""Forecasts of real load and generation: SimBench's series of a summer and a winter week, quarter-hours."""

from importlib.resources import files

import numpy as np
import pytest

from controllers.dms.forecast import backtest, corrected, persistence, regression, seasonal_naive, skill
from sims.der.profiles import Profiles

DAY, HISTORY = 96, 2 * 96
WEEKS = ("summer_2016-07-18", "winter_2016-12-05")
LOADS = ("mv_rural", "mv_semiurb", "mv_urban", "mv_comm")


@pytest.fixture(scope="module", params=WEEKS)
def week(request):
    table = Profiles.read(str(files("scenarios") / "data" / "profiles" / f"{request.param}.csv"))

    def series(*names):
        return np.stack([table.values[:, table.column(f"{name}_p")] for name in names], axis=1)

    return series


def against(series, horizon):
    """Skill of the regression and of the day before over persistence, by series."""
    ways = (
        persistence, lambda h, n: regression(h, n, DAY), lambda h, n: seasonal_naive(h, n, DAY),
    )
    (actual, flat), (_, fitted), (_, naive) = (backtest(series, way, HISTORY, horizon) for way in ways)
    return skill(actual, fitted, flat), skill(actual, naive, flat)


def test_regression_beats_persistence_on_grid_loads_an_hour_and_a_day_ahead(week):
    hour, _ = against(week(*LOADS), 4)
    assert hour.mean() > 0.05
    day, naive = against(week(*LOADS), DAY)
    assert day.mean() > 0.2
    assert naive.mean() > 0.2


def test_sun_a_day_ahead_is_told_by_the_day_before(week):
    _, naive = against(week("PV1", "PV5"), DAY)
    assert (naive > 0.25).all()


def ahead(series, horizon):
    """What came, the day before corrected by the meter, the day before, and the last value, `horizon` ahead."""
    starts = range(HISTORY, len(series) - horizon, horizon)
    return [np.concatenate(parts) for parts in zip(*(
        (
            series[t + 1 : t + 1 + horizon],
            corrected(series[t - DAY : t - DAY + 1 + horizon], series[t], 0, horizon, DAY),
            series[t - DAY + 1 : t - DAY + 1 + horizon], np.repeat(series[t][None], horizon, axis=0),
        ) for t in starts
    ), strict=True)]


def test_the_day_before_corrected_by_the_meter_beats_both_four_hours_ahead(week):
    """As `Foresight` does it in a run with the operator's own forecast; here the day before stands for that."""
    came, own, naive, flat = ahead(week(*LOADS), 16)
    assert skill(came, own, flat).mean() > 0.1
    assert skill(came, own, naive).mean() > 0.05


def test_an_hour_ahead_the_correction_is_worth_more_than_the_day_before(week):
    # Persistence is hard to beat there: in the winter week even the corrected day before is behind it.
    came, own, naive, _ = ahead(week(*LOADS), 4)
    assert (skill(came, own, naive) > 0.05).all()
