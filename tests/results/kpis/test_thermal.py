from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import thermal
from results.runfile import Run


def test_hours_and_percent_hours(make_run: Callable[..., Run]) -> None:
    # half hours: line 0 at 120 % for two, line 1 at 150 % for one, 100 % is no overload
    loading = [[120, 150], [120, 100], [90, np.nan], [100, 10]]
    run = make_run({"line": {"loading_percent": loading}, "trafo": {"loading_percent": [[101.0]] * 4}}, every_s=1800)
    assert thermal.line_overload_hours(run) == pytest.approx(1.5)
    assert thermal.line_percent_hours(run) == pytest.approx((20 + 20 + 50) * 0.5)
    assert thermal.trafo_overload_hours(run) == pytest.approx(2.0)
    assert thermal.trafo_percent_hours(run) == pytest.approx(2.0)
    assert thermal.highest_loading_percent(run) == 150.0


def test_without_lines_there_is_nothing_to_say(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}})
    assert np.isnan([thermal.line_overload_hours(run), thermal.highest_loading_percent(run)]).all()
