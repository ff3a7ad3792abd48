from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import effort
from results.runfile import Run
from sims.core.orders import Action


def test_tap_steps_of_all_transformers(make_run: Callable[..., Run]) -> None:
    run = make_run({"trafo": {"tap_pos": [[0, 0], [2, -1], [1, -1]]}, "interface": {"tap_pos": [5.0, 5.0, 6.0]}})
    assert effort.tap_operations(run) == 2 + 1 + 1 + 1


def test_orders_count_only_where_they_were_carried_out(make_run: Callable[..., Run]) -> None:
    acts = [
        Action(0, "dms", "restore_supply", "f", "closed", 1.0, 2),
        Action(1, "dms", "restore_supply", "f", "closed", 0.0, 5, "not yours"),
        Action(2, "dms", "control_voltage", "f", "tap_pos", 3.0),
        Action(10, "dms", "manage_congestion", "f", "p_max_mw", 4.0),
        Action(30, "dms", "manage_congestion", "f", "p_max_mw", 2.0),  # -3 on the 5 at 20
        Action(20, "dms", "manage_congestion", "f", "p_max_mw", 5.0),  # +1 on the 4 at 10
        Action(40, "dms", "manage_congestion", "g", "p_max_mw", 9.0),  # another asset starts afresh
        Action(50, "dms", "manage_congestion", "f", "p_max_mw", 99.0, 1, "not yours"),
        Action(60, "dms", "control_voltage", "f", "q_set_mvar", 1.0),
        Action(70, "dms", "control_voltage", "f", "q_set_mvar", 1.5),
    ]
    run = make_run({"bus": {"vm_pu": [1.0]}}, actions=acts)
    assert effort.switch_operations(run) == 2
    assert effort.setpoint_effort(run) == pytest.approx(1 + 9 + 0.25)


def test_storage_counts_both_ways(make_run: Callable[..., Run]) -> None:
    run = make_run({"feeder": {"storage_mw": [[1, -2], [-1, 0], [0, np.nan]]}}, every_s=1800)
    assert effort.storage_throughput_mwh(run) == pytest.approx(2.0)


def test_nothing_recorded_gives_nan(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}})
    assert np.isnan([f(run) for f in (effort.tap_operations, effort.switch_operations, effort.setpoint_effort)]).all()


def test_no_acts_at_all_is_no_effort(make_run: Callable[..., Run]) -> None:
    assert effort.setpoint_effort(make_run({"bus": {"vm_pu": [1.0]}}, actions=[])) == 0.0
