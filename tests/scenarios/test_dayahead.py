import numpy as np
import pytest

from scenarios.dayahead import static_load
from scenarios.ground import ground
from scenarios.load import load


def test_the_plan_meets_the_expected_demand_with_losses(shared):
    plan = shared.plan.schedule
    base = shared.case.machines.values["p_mw"]
    assert plan.p_mw.shape == (5, 10)  # four quarter-hours and the end
    np.testing.assert_allclose(plan.p_mw / base, (plan.p_mw / base)[:, :1] * np.ones(10), rtol=1e-9)
    static, net = shared.static.at(0).real.sum(), plan.p_mw[0].sum()
    assert net == pytest.approx(static, rel=0.05)  # feeders and losses are small beside it
    assert net != pytest.approx(static, rel=1e-3)


def test_exports_of_the_cells_sum_to_what_the_ties_lose(shared):
    total = shared.plan.schedule.export_mw.sum(axis=1)
    assert (total > 0).all()
    assert (total < 60).all()
    assert np.abs(shared.plan.schedule.export_mw).max() > 10 * total.max() / 3


def test_a_bus_with_feeders_carries_that_much_less(shared):
    case = shared.case
    flat = shared.scenario.model_copy(
        update={"transmission": shared.scenario.transmission.model_copy(
            update={"static_load": shared.scenario.transmission.static_load.model_copy(update={"spread_percent": 0.0})}
        )}
    )  # fmt: skip
    rest = static_load(flat, case, shared.places, shared.series)
    buses = np.array(case.bus_ids)[case.load_bus]
    full = rest.peak_mva.real / case.load_mva.real
    other = ~np.isin(buses, (4, 15, 27))
    assert np.ptp(full[other]) == pytest.approx(0, abs=1e-12)
    peak = shared.places.feeders[0].plan.load_mw.sum()
    at_4 = np.flatnonzero(buses == 4)[0]
    assert full[at_4] / full[other][0] == pytest.approx(1 - 2 * peak / case.load_mva.real[at_4])


def test_the_highest_load_of_the_week_is_the_asked_share_of_the_table(shared):
    values = shared.series.values[:, shared.static.columns].mean(axis=1).max()
    assert np.abs(shared.static.peak_mva).sum() * values < 1.0 * np.abs(shared.case.load_mva).sum()


def test_the_same_seed_gives_the_same_plan_and_another_another(small_path):
    one, two, other = (
        ground(load(small_path, None, {"seed": seed, "time.duration": "15 min", "disturbances": []}))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one.plan.schedule.p_mw, two.plan.schedule.p_mw)
    assert not np.allclose(one.plan.schedule.p_mw, other.plan.schedule.p_mw)


def test_expected_voltages_are_plausible(shared):
    assert ((shared.plan.v_interface_pu > 0.85) & (shared.plan.v_interface_pu < 1.1)).all()
    assert shared.plan.v_start_pu == pytest.approx(shared.plan.v_interface_pu, abs=0.02)
