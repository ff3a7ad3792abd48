from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import voltage
from results.runfile import Run

BAND = {"bus": {"v_min_pu": 0.95, "v_max_pu": 1.05}}


def test_bus_hours_outside_the_band(make_run: Callable[..., Run]) -> None:
    # quarter hours: bus 0 high for 2, bus 1 low for 1 and dark for 1, bus 2 on the edge for all
    vm = [[1.06, 0.94, 1.05], [1.06, np.nan, 1.05], [1.00, 1.00, 1.05], [1.00, 1.00, 0.95]]
    run = make_run({"bus": {"vm_pu": vm}}, every_s=900, attrs=BAND)
    assert voltage.band_violation_bus_hours(run) == pytest.approx(3 * 0.25)
    assert voltage.lowest_pu(run) == pytest.approx(0.94)
    assert voltage.highest_pu(run) == pytest.approx(1.06)


def test_without_a_band_there_are_no_bus_hours(make_run: Callable[..., Run]) -> None:
    assert np.isnan(voltage.band_violation_bus_hours(make_run({"bus": {"vm_pu": [1.2]}})))


def test_en50160_looks_at_ten_minute_means(make_run: Callable[..., Run]) -> None:
    # 20 intervals of 10 rows. Bus 0: one whole interval at 1.2 -> 19/20 = 95 %: good.
    # Bus 1: two intervals -> 90 %: bad. Bus 2: every other minute 1.15, rms 1.0518: good.
    # Bus 3: dark but for one good interval: good. Bus 4: always dark: not counted.
    vm = np.ones((200, 5))
    vm[:10, 0] = 1.2
    vm[:20, 1] = 1.2
    vm[::2, 2] = 1.15
    vm[10:, 3] = np.nan
    vm[:, 4] = np.nan
    assert voltage.en50160_bus_share(make_run({"bus": {"vm_pu": vm}})) == pytest.approx(3 / 4)


def test_en50160_takes_the_mean_of_squares(make_run: Callable[..., Run]) -> None:
    # half at 0.5, half at 1.5: the plain mean is 1.0, the rms 1.118 lies outside
    vm = np.where(np.arange(200) % 2, 0.5, 1.5)
    assert voltage.en50160_bus_share(make_run({"bus": {"vm_pu": vm}})) == 0.0


def test_en50160_over_more_intervals_than_fit_a_block(make_run: Callable[..., Run]) -> None:
    vm = np.ones((3000, 2))
    vm[-200:, 1] = 0.8  # 20 of 300 intervals: 93.3 %
    assert voltage.en50160_bus_share(make_run({"bus": {"vm_pu": vm}})) == 0.5


def test_a_run_without_buses_gives_nan(make_run: Callable[..., Run]) -> None:
    run = make_run({"line": {"loading_percent": [1.0]}})
    assert np.isnan([voltage.lowest_pu(run), voltage.highest_pu(run), voltage.en50160_bus_share(run)]).all()


def test_a_blackout_has_no_voltage(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [np.nan, np.nan]}}, attrs=BAND)
    assert np.isnan(voltage.lowest_pu(run))
    assert voltage.band_violation_bus_hours(run) == 0.0
