import datetime as dt
import typing

import numpy as np
import pytest

from scenarios.schema_devices import Shape
from sims.core.errors import ScenarioError
from sims.der.standard_load import SHAPES, cop, full_load_hours, heat_share, standard_share

pytest.importorskip("demandlib")
QUARTER_MS = 900_000


def start(text):
    return dt.datetime.fromisoformat(text)


def test_the_year_sums_up_to_the_energy_it_was_scaled_for():
    quarters = np.arange(8760 * 4) * QUARTER_MS
    share = standard_share("h0", start("2015-01-01T00:00+01:00"), quarters)
    peak_mw = 3.5 / full_load_hours("h0", 2015)  # 3.5 MWh a year
    assert share.max() == 1.0
    assert peak_mw * share.sum() / 4 == pytest.approx(3.5, rel=2e-4), "one hour of a Sunday is left out, one is doubled"
    assert 2000 < full_load_hours("h0", 2015) < 5000


def test_shapes_follow_the_clock_on_days_of_23_and_25_hours():
    spring = standard_share("h0", start("2016-03-27T00:00+01:00"), np.arange(23 * 4) * QUARTER_MS)
    april = standard_share("h0", start("2016-04-03T00:00+02:00"), np.arange(24 * 4) * QUARTER_MS)
    assert spring == pytest.approx(np.concatenate([april[:8], april[12:]])), "the hour from 2 to 3 is left out"
    autumn = standard_share("h0", start("2016-10-30T00:00+02:00"), np.arange(25 * 4) * QUARTER_MS)
    assert autumn[8:12] == pytest.approx(autumn[12:16]), "the hour from 2 to 3 stands twice"
    plain = standard_share("h0", start("2016-10-23T00:00+02:00"), np.arange(24 * 4) * QUARTER_MS)
    assert autumn[12:] == pytest.approx(plain[8:])
    assert autumn[:8] == pytest.approx(plain[:8])


def test_names():
    assert set(typing.get_args(Shape)) == set(SHAPES)
    with pytest.raises(ScenarioError, match="did you mean h0"):
        standard_share("h00", start("2016-01-01T00:00+01:00"), np.array([0]))


def test_heat_and_cop():
    assert heat_share(np.array([20.0, 15.0, 1.5, -12.0])) == pytest.approx([0, 0, 0.5, 1.0])
    lift = 40.0 - 2.0
    assert cop(np.array([2.0]))[0] == pytest.approx(0.85 * (6.08 - 0.09 * lift + 0.0005 * lift**2))
    rising = cop(np.linspace(-15, 20, 30))
    assert (np.diff(rising) > 0).all()
    assert cop(np.array([8.0]), source="ground")[0] > cop(np.array([0.0]))[0]
