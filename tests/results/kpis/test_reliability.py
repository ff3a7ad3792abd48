from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import reliability
from results.runfile import Run


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    # Minutes; 1000 customers. Feeder 0: 100 out, 60 of them back after 2 min, the rest after 10 min.
    # Feeder 1: 50 out for 4 min, later 50 again for 1 min.
    out = np.zeros((20, 2))
    out[0:10, 0] = [100, 100, 40, 40, 40, 40, 40, 40, 40, 40]
    out[5:9, 1] = 50
    out[15, 1] = 50
    return make_run({"feeder": {
        "customers": np.tile([600, 400], (20, 1)), "customers_out": out, "unserved_mw": out / 100.0,
    }})  # fmt: skip


def test_indices_of_ieee_1366(run: Run) -> None:
    minutes = 2 * 100 + 8 * 40 + 5 * 50
    assert reliability.saidi_min(run) == pytest.approx(minutes / 1000)
    assert reliability.saifi(run) == pytest.approx(200 / 1000)
    assert reliability.caidi_min(run) == pytest.approx(minutes / 200)
    assert reliability.ens_mwh(run) == pytest.approx(minutes / 100 / 60)


def test_long_interruptions_last_longer_than_three_minutes(run: Run) -> None:
    assert reliability.saifi_long(run) == pytest.approx((40 + 50) / 1000)


def test_three_minutes_sharp_is_not_long(make_run: Callable[..., Run]) -> None:
    for minutes, long in ((3, 0.0), (4, 0.1)):
        out = [10.0] * minutes + [0.0] * 8
        run = make_run({"feeder": {"customers": [100.0] * len(out), "customers_out": out}})
        assert reliability.saifi_long(run) == pytest.approx(long)


def test_no_interruption_has_no_mean_length(make_run: Callable[..., Run]) -> None:
    run = make_run({"feeder": {"customers": [10.0, 10.0], "customers_out": [0.0, 0.0]}})
    assert reliability.saidi_min(run) == 0.0
    assert np.isnan(reliability.caidi_min(run))


def test_without_customers_there_are_no_indices(make_run: Callable[..., Run]) -> None:
    for columns in ({"p_mw": [1.0]}, {"customers": [0.0], "customers_out": [0.0]}):
        assert np.isnan(reliability.saidi_min(make_run({"feeder": columns})))
