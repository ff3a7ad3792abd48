from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import frequency
from results.runfile import Run


def test_extremes_and_times_outside(make_run: Callable[..., Run]) -> None:
    # seconds; cell 0 dips, cell 1 follows half as far
    dip = np.array([0, -0.04, -0.06, -0.3, -0.21, -0.1, 0, 0.02])
    run = make_run({"cell": {"f_hz": 50 + np.stack([dip, dip / 2], axis=1)}}, every_s=1)
    assert frequency.lowest_hz(run) == pytest.approx(49.7)
    assert frequency.highest_hz(run) == pytest.approx(50.02)
    assert frequency.seconds_outside_50_mhz(run) == 4.0
    assert frequency.seconds_outside_200_mhz(run) == 2.0
    assert frequency.integral_abs_error_hz_s(run) == pytest.approx(0.73)
    assert np.isnan(frequency.rocof_hz_per_s(run))  # rows of 1 s cannot show a window of 500 ms


def test_rocof_over_half_a_second(make_run: Callable[..., Run]) -> None:
    t_s = np.arange(0, 5, 0.1)
    f = 50 - 0.8 * np.clip(t_s - 1, 0, 0.5)  # 0.8 Hz/s for half a second
    run = make_run({"cell": {"f_hz": f}}, every_s=0.1)
    assert frequency.rocof_hz_per_s(run) == pytest.approx(0.8, rel=1e-6)


def test_nominal_may_be_sixty(make_run: Callable[..., Run]) -> None:
    run = make_run({"cell": {"f_hz": [60.0, 59.9]}}, every_s=2, attrs={"cell": {"f_nominal_hz": 60.0}})
    assert frequency.seconds_outside_50_mhz(run) == 2.0


def test_no_cells_no_frequency(make_run: Callable[..., Run]) -> None:
    for kinds in ({"bus": {"vm_pu": [1.0]}}, {"cell": {"f_hz": [np.nan]}}):
        run = make_run(kinds)
        assert np.isnan([frequency.lowest_hz(run), frequency.seconds_outside_50_mhz(run)]).all()
