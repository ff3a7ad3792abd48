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
    assert restoration([0, 100, 30, *[4] * 15, 40, 40]) == 120.0  # another event, a quarter-hour later
    assert restoration([0, 100, 30, *[4] * 14, 40, 4]) == 17 * 60.0
    assert restoration([0, 100, *[4] * 3, 90]) == np.inf


def test_who_carries_the_loss_in_the_end(make_run: Callable[..., Run]) -> None:
    # a row each 5 min; G2 gives 200 MW until it trips at 600 s; in the end 50, 40 and 30 MW still come from outside
    tie = [[0.0, 0], [0, 0], [-110, 110], [-80, 80], [-50, 50], [-40, 40], [-30, 30]]
    gen = [[100.0, 200]] * 2 + [[150, 0]] * 5

    def share(**about: object) -> float:
        data = {"cell": {"p_tie_mw": tie, "p_sched_mw": [[0.0, 0.0]] * 7}, "gen": {"p_mw": gen}}
        labels = {"cell": ["c0", "c1"], "gen": ["G1", "G2"]}
        return cells.outside_share(make_run(data, every_s=300, attrs={"cell": about}, labels=labels))

    assert share(disturbed_cell="c0", disturbance_s=600.0, disturbed_machine="G2") == pytest.approx(40 / 200)
    assert share(disturbed_cell="c0", disturbance_s=600.0, disturbance_mw=-400.0) == pytest.approx(40 / 400)
    assert np.isnan(share())
    assert np.isnan(share(disturbed_cell="c0", disturbance_s=1500.0, disturbed_machine="G2")), "too short after it"
    assert np.isnan(share(disturbed_cell="c0", disturbance_s=600.0, disturbed_machine="G9"))


def test_no_schedule_no_error(make_run: Callable[..., Run]) -> None:
    run = make_run({"cell": {"p_tie_mw": [1.0], "p_sched_mw": [np.nan]}})
    assert np.isnan([cells.tie_error_mwh(run), cells.restoration_s(run)]).all()
