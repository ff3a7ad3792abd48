from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import energy
from results.runfile import Run


def test_curtailment_counts_sun_and_wind(make_run: Callable[..., Run]) -> None:
    # hours. Sun: 4 of 6 and 2 of 2 -> 2 MWh of 8; wind on feeder 1: 5 of 6, twice -> 2 MWh of 12.
    # Feeding in more than was said to be available never counts against curtailment.
    run = make_run({"feeder": {
        "pv_mw": [[4, 0], [2, 1]], "pv_avail_mw": [[6, 0], [2, 0]],
        "wind_mw": [[0, 5], [0, 5]], "wind_avail_mw": [[0, 6], [0, 6]],
    }}, every_s=3600)  # fmt: skip
    assert energy.curtailed_mwh(run) == pytest.approx(4.0)
    assert energy.curtailed_share(run) == pytest.approx(4 / 20)


def test_nothing_available_has_no_share(make_run: Callable[..., Run]) -> None:
    run = make_run({"feeder": {"pv_mw": [0.0], "pv_avail_mw": [0.0]}})
    assert energy.curtailed_mwh(run) == 0.0
    assert np.isnan(energy.curtailed_share(run))


def test_losses_and_vehicles(make_run: Callable[..., Run]) -> None:
    run = make_run({
        "feeder": {"loss_mw": [[0.1, 0.3], [0.2, 0.2]], "ev_mw": [[-2, 0], [0.5, -1]],
                   "ev_unmet_mwh": [[0.0, 0.1], [0.4, 0.1]]},
        "system": {"loss_transmission_mw": [10.0, 20.0]},
        "interface": {"residual_v_pu": [[1e-7, 0.0], [1e-8, 2e-7]]},
    }, every_s=900)  # fmt: skip
    assert energy.distribution_losses_mwh(run) == pytest.approx(0.8 / 4)
    assert energy.transmission_losses_mwh(run) == pytest.approx(7.5)
    assert energy.ev_served_mwh(run) == pytest.approx(2.5 / 4)
    assert energy.ev_unmet_mwh(run) == pytest.approx(0.5)
    assert energy.worst_residual_v_pu(run) == pytest.approx(2e-7)


def test_distribution_losses_come_from_the_system_where_no_feeder_has_them(make_run: Callable[..., Run]) -> None:
    run = make_run({"system": {"loss_distribution_mw": [4.0]}}, every_s=1800)
    assert energy.distribution_losses_mwh(run) == pytest.approx(2.0)
    assert np.isnan([energy.curtailed_mwh(run), energy.ev_served_mwh(run), energy.ev_unmet_mwh(run)]).all()


def test_rows_of_feeders_without_a_solution_are_counted_and_left_out_of_sums(make_run: Callable[..., Run]) -> None:
    nan = np.nan
    run = make_run({"feeder": {
        "converged": [[1, 1], [0, 1], [0, 0]], "loss_mw": [[1.0, 2.0], [nan, 2.0], [nan, nan]],
    }}, every_s=3600)  # fmt: skip
    assert energy.diverged_feeder_steps(run) == 3
    assert energy.distribution_losses_mwh(run) == pytest.approx(5.0)
    assert np.isnan(energy.diverged_feeder_steps(make_run({"feeder": {"loss_mw": [[1.0]]}})))


def test_what_is_fed_in_is_held_against_what_is_drawn_and_lost(make_run: Callable[..., Run]) -> None:
    feeder = {"load_mw": [[20, 30], [20, 30], [25, 30]], "loss_mw": [[1, 2], [1, 2], [1, 2]], "pv_mw": [[5, 6]] * 3,
              "wind_mw": [[1, 0]] * 3, "chp_mw": [[0, 2]] * 3, "storage_mw": [[-3, 1]] * 3, "ev_mw": [[-2, 0]] * 3,
              "heatpump_mw": [[0, -4]] * 3, "flexible_mw": [[-1, -1]] * 3}  # fmt: skip
    # 20 + 30 + 1 + 2 - (5 + 6 + 1 + 2 - 3 + 1 - 2 - 4 - 1 - 1) = 49 MW of feeders, and 100 + 3 MW above them
    system = {"gen_mw": [152.0, 152.5, 157.25], "static_load_mw": [100.0] * 3, "loss_transmission_mw": [3.0] * 3}
    run = make_run({"feeder": feeder, "system": system})
    assert energy.worst_balance_mw(run) == pytest.approx(0.5)
    feeder["load_mw"] = [[20, 30], [np.nan, 30], [25, 30]]  # a feeder without a solution says nothing
    assert energy.worst_balance_mw(make_run({"feeder": feeder, "system": system})) == pytest.approx(0.25)
    assert np.isnan(energy.worst_balance_mw(make_run({"feeder": feeder})))
