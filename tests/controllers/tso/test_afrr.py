import numpy as np
import pytest

from controllers.contract import Site
from controllers.specimen import small_belief
from controllers.tso.afrr import Afrr
from sims.core.message import Message


def site(**settings):
    duties, rng = frozenset({"balance_cell"}), np.random.default_rng(1)
    return Site("tso", "tso", duties, small_belief(), (), 60_000, rng, settings)


def tie(now_s, p_tie, f_hz=(50.0, 50.0), p_sched=(100.0, -100.0)):
    columns = {"cell": (0, 1), "f_hz": f_hz, "p_tie_mw": p_tie, "p_sched_mw": p_sched}
    values = {name: np.array(column) for name, column in columns.items()}
    return Message("tso", "tso", "tie", values, sent_ms=int(now_s * 1000))


def test_error_by_hand_and_shares_by_reserve():
    afrr = Afrr(site(k_p=0.5))
    out = afrr.decide(0.0, [tie(0.0, (40.0, -100.0), (49.9, 50.0))])
    # ACE = (40 - 100) + 700 * (-0.1) = -130 -> +65 MW, three quarters to the station with 300 of 400 MW
    assert {m.receiver: m.values["p_delta_mw"] for m in out} == {
        "gen.GENROU_1": pytest.approx(48.75), "gen.GENROU_2": pytest.approx(16.25),
    }
    assert all(m.topic == "command/balance_cell" for m in out)


def test_every_four_seconds_by_hand_as_fast_as_the_stations_are():
    afrr = Afrr(site(reserve_deadband_mw=0.0))
    called = []
    for k, p_tie in enumerate((100.0, 40.0, 40.0, 40.0, 140.0)):
        out = afrr.decide(4.0 * k, [tie(4.0 * k, (p_tie, -100.0))])
        called.append(sum(m.values["p_delta_mw"] for m in out if m.receiver != "gen.GENROU_3"))
    # 60 MW short: 6 + 60 * 4/120 = 8, but 400 MW in 300 s are 16/3 in 4 s, and the integral waits; then 6 + 2 and
    # 6 + 4; 40 MW long: -4 + 4 - 4/3 < 0, but the stations go back from 10 by no more than 16/3
    assert called == pytest.approx([0.0, 16 / 3, 8.0, 10.0, 14 / 3], abs=1e-9)


def test_a_measurement_within_the_cycle_moves_nothing():
    afrr = Afrr(site(cycle_ms=8000))
    assert afrr.urgent == {"tie"}
    assert afrr.decide(0.0, [tie(0.0, (40.0, -100.0))])
    assert not afrr.decide(4.0, [tie(4.0, (-200.0, -100.0))])
    assert afrr.decide(8.0, [tie(8.0, (-200.0, -100.0))])


def closed_loop(afrr, imbalance_mw, steps, start=0):
    """Cell 1 lacks `imbalance_mw`; stations follow at once."""
    given = {g.address: 0.0 for g in small_belief().generators}
    errors = []
    for k in range(start, start + steps):
        p_tie = 100.0 - imbalance_mw + given["gen.GENROU_1"] + given["gen.GENROU_2"]
        errors.append(p_tie - 100.0)
        for m in afrr.decide(k * 60.0, [tie(k * 60.0, (p_tie, -100.0))]):
            given[m.receiver] = m.values["p_delta_mw"]
    return errors, given


def test_restores_a_cell_and_leaves_the_other_alone():
    errors, given = closed_loop(Afrr(site()), 200.0, 40)
    assert abs(errors[-1]) < 2.0
    assert given["gen.GENROU_3"] == 0.0


def test_limited_to_the_reserve_without_windup():
    afrr = Afrr(site())
    _, given = closed_loop(afrr, 900.0, 60)
    assert given["gen.GENROU_1"] + given["gen.GENROU_2"] == pytest.approx(400.0)
    errors, _ = closed_loop(afrr, 0.0, 8, start=60)
    assert abs(errors[-1]) < 30.0, "an hour of saturation is forgotten within minutes"


def test_off_in_cells_the_dso_balances():
    errors, given = closed_loop(Afrr(site(cells_held_by_dso=[1])), 200.0, 10)
    assert errors[-1] == pytest.approx(-200.0)
    assert not any(given.values())


def test_an_old_measurement_that_comes_late_moves_nothing():
    afrr = Afrr(site())
    afrr.decide(60.0, [tie(60.0, (40.0, -100.0))])
    before = {cell: law.integral_mw for cell, law in afrr.laws.items()}
    assert not afrr.decide(120.0, [tie(0.0, (400.0, -100.0))])
    assert {cell: law.integral_mw for cell, law in afrr.laws.items()} == before


def test_orders_are_renewed_before_they_expire():
    afrr = Afrr(site(reserve_ttl_s=240))
    afrr.laws[1].integral_mw = -50.0
    times = [k * 60 for k in range(20) if afrr.decide(k * 60.0, [tie(k * 60.0, (100.0, -100.0))])]
    assert np.diff(times).max() <= 180
