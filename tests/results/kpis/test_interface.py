from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import interface
from results.runfile import Run


def test_rms_of_q_off_its_reference(make_run: Callable[..., Run]) -> None:
    # the second interface has no reference; errors 3 and -4 -> sqrt(25 / 2)
    run = make_run({"interface": {"q_mvar": [[3, 9], [-4, 9]], "q_ref_mvar": [[0, np.nan], [0, np.nan]]}})
    assert interface.q_rmse_mvar(run) == pytest.approx(np.sqrt(12.5))


def test_slots_of_the_swissgrid_rule(make_run: Callable[..., Run]) -> None:
    # 380 kV, tolerance 3 kV; five slots of three rows at 5 min. Deviations of the slot means [kV] and Q [Mvar]:
    # +2 with Q > 0: within tolerance. +5 with Q > 0: pushes it up further. +5 with Q < 0: helps.
    # -5 with Q > 0: helps. -5 with Q < 0: does not conform.
    kv = np.array([2.0, 5, 5, -5, -5])
    q = np.array([10.0, 10, -10, 10, -20])
    noise = np.tile([-1.0, 0, 1.0], 5)
    run = make_run(
        {"interface": {"v_pu": 1 + (np.repeat(kv, 3) + noise) / 380, "v_set_pu": np.ones(15),
                       "q_mvar": np.repeat(q, 3) + noise}},
        every_s=300, static={"interface": {"vn_kv": [380.0]}},
    )  # fmt: skip
    assert interface.compliant_share(run) == pytest.approx(3 / 5)
    assert interface.noncompliant_mvarh(run) == pytest.approx((10 + 20) * 0.25)
    assert interface.compliant_mvarh(run) == pytest.approx((10 + 10 + 10) * 0.25)


def test_a_day_of_the_swissgrid_rule_by_hand(make_run: Callable[..., Run]) -> None:
    # 220 kV, tolerance 2 kV, minute by minute. 0-8 h: +1.5 kV, 12 Mvar: within. 8-12 h: +5 kV, 10 Mvar: pushes up.
    # 12-20 h: -5 kV, 20 Mvar: helps. 20-24 h: -5 kV, -8 Mvar: pulls down. 8 + 8 of 24 h conform.
    hours = [8, 4, 8, 4]
    kv, q = (np.repeat(x, np.array(hours) * 60) for x in ([1.5, 5.0, -5.0, -5.0], [12.0, 10.0, 20.0, -8.0]))
    run = make_run(
        {"interface": {"v_pu": 1.02 + kv / 220, "v_set_pu": np.full(1440, 1.02), "q_mvar": q}},
        every_s=60, static={"interface": {"vn_kv": [220.0]}},
    )  # fmt: skip
    assert interface.compliant_share(run) == pytest.approx(64 / 96)
    assert interface.noncompliant_mvarh(run) == pytest.approx(4 * 10 + 4 * 8)
    assert interface.compliant_mvarh(run) == pytest.approx(8 * 12 + 8 * 20)


def test_tolerance_follows_the_voltage_level_or_the_run(make_run: Callable[..., Run]) -> None:
    q = {"interface": {"q_mvar": [[0.0] * 3]}}
    run = make_run(q, static={"interface": {"vn_kv": [380.0, 220.0, 110.0]}})
    np.testing.assert_allclose(interface.tolerance_kv(run), [3, 2, 1])
    run = make_run(q, static={"interface": {"vn_kv": [380.0, 220.0, 110.0], "v_tol_kv": [9.0, 8.0, 7.0]}})
    np.testing.assert_allclose(interface.tolerance_kv(run), [9, 8, 7])


def test_band_and_power_factor(make_run: Callable[..., Run]) -> None:
    run = make_run({"interface": {
        "p_mw": [9.0, 9.0, -8.0, 0.0], "q_mvar": [4.0, 5.0, -6.0, 0.0], "q_band_mvar": [4.8, 4.8, 4.8, 4.8],
    }})  # fmt: skip
    assert interface.q_band_share(run) == pytest.approx(2 / 4)
    assert interface.power_factor_share(run) == pytest.approx(2 / 4)  # .914, .874, .8, and nothing exchanged


def test_without_set_points_there_is_no_compliance(make_run: Callable[..., Run]) -> None:
    run = make_run(
        {"interface": {"v_pu": [1.0], "v_set_pu": [np.nan], "q_mvar": [1.0], "q_ref_mvar": [np.nan]}},
        static={"interface": {"vn_kv": [110.0]}},
    )
    found = [interface.compliant_share(run), interface.noncompliant_mvarh(run), interface.q_rmse_mvar(run)]
    assert np.isnan([*found, interface.q_band_share(run), interface.power_factor_share(run)]).all()
