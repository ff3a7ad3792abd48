from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import cells
from results.runfile import Run


def test_integral_and_restoration(make_run: Callable[..., Run]) -> None:
    # 100 s rows; cell 0 misses its schedule of 50 MW by 200 at row 2, is within 10 MW (5 %) from row 5 on
    tie = np.array([50, 50, -150, -50, 0, 45, 41, 50.0])
    run = make_run(
        {"cell": {"p_tie_mw": np.stack([tie, np.zeros(8)], axis=1), "p_sched_mw": np.tile([50.0, 2.0], (8, 1))}},
        every_s=100,
    )
    assert cells.tie_error_mwh(run) == pytest.approx(((200 + 100 + 50 + 5 + 9) + 8 * 2) * 100 / 3600)
    assert cells.restoration_s(run) == 300.0


def test_never_restored_and_never_disturbed(make_run: Callable[..., Run]) -> None:
    def restoration(tie: list[float]) -> float:
        return cells.restoration_s(make_run({"cell": {"p_tie_mw": tie, "p_sched_mw": [0.0] * len(tie)}}))

    assert restoration([0, 100, 60, 60]) == np.inf
    assert restoration([0, 0.5, 0.5, 0.4]) == 0.0
    assert restoration([0, 100, 4, 40, 3]) == 180.0  # it left the 5 % once more


def test_who_restored(make_run: Callable[..., Run]) -> None:
    gen = [[100, 200, 300]] * 3 + [[150, 250, 300]] + [[190, 210, 300]]
    where = {"cell": {"disturbed_cell": "c0", "disturbance_s": 180.0}}
    labels = {"cell": ["c0", "c1", "c2"]}
    assert cells.outside_share(make_run({"cell": {"p_gen_mw": gen}}, attrs=where, labels=labels)) == pytest.approx(0.1)
    assert np.isnan(cells.outside_share(make_run({"cell": {"p_gen_mw": gen}}, labels=labels)))


def test_no_schedule_no_error(make_run: Callable[..., Run]) -> None:
    run = make_run({"cell": {"p_tie_mw": [1.0], "p_sched_mw": [np.nan]}})
    assert np.isnan([cells.tie_error_mwh(run), cells.restoration_s(run)]).all()
