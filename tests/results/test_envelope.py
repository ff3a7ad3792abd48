from collections.abc import Callable

import numpy as np

from results.envelope import envelope, line
from results.runfile import Run


def test_extremes_miss_no_row_and_quantiles_are_the_middle_row(make_run: Callable[..., Run]) -> None:
    vm = np.tile(np.linspace(0.9, 1.1, 21), (3000, 1))
    vm[1234, 5] = 2.0
    vm[10, :] = np.nan
    spread = envelope(make_run({"bus": {"vm_pu": vm}}), "bus", "vm_pu", points=100)
    assert spread is not None
    assert spread.t_h.shape == (100,)
    assert spread.highest[1234 // 30] == 2.0
    assert np.delete(spread.highest, 1234 // 30).max() == 1.1
    np.testing.assert_allclose(spread.lowest, 0.9)
    np.testing.assert_allclose(spread.median, 1.0)
    np.testing.assert_allclose(spread.low, 0.91)
    np.testing.assert_allclose(spread.high, 1.09)
    assert spread.t_h[0] == 15 * 60 / 3600


def test_few_rows_are_all_kept(make_run: Callable[..., Run]) -> None:
    spread = envelope(make_run({"bus": {"vm_pu": [[1.0, 1.2], [0.8, 0.9]]}}), "bus", "vm_pu")
    assert spread is not None
    np.testing.assert_allclose(spread.lowest, [1.0, 0.8])
    np.testing.assert_allclose(spread.median, [1.1, 0.85])


def test_no_such_quantity_no_envelope(make_run: Callable[..., Run]) -> None:
    assert envelope(make_run({"bus": {"vm_pu": [1.0]}}), "line", "loading_percent") is None


def test_a_line_keeps_the_dip_that_its_mean_hides() -> None:
    values = np.full(1000, 50.0)
    values[503] = 49.2
    values[700:710] = np.nan
    short = line(np.arange(1000.0), values, 10)
    assert short.lowest[5] == 49.2
    np.testing.assert_allclose(short.mean[5], 50 - 0.008)
    assert short.mean[7] == 50.0
