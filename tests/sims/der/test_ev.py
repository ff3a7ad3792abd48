import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der.ev import EvFleet, EvSettings
from sims.der.ev_kernel import EXTRA, rouse
from sims.der.sessions import NEVER_MS, Sessions

H = 3_600_000
START = dt.datetime(2016, 7, 18, tzinfo=ZoneInfo("Europe/Berlin"))


def fleet(stays, strategy="uncontrolled", v2g=False, plug=0.010, **settings):
    """Build one cluster; a stay is (arrival h, departure h, energy kWh), one vehicle each, battery 50 kWh."""
    n = len(stays)
    arr, dep, need = (np.array([s[k] for s in stays], dtype=float) for k in range(3))
    never = np.full(n, NEVER_MS)
    sessions = Sessions(
        np.zeros(n, dtype=np.int64), np.array([(arr * H).astype(np.int64), never]),
        np.array([(dep * H).astype(np.int64), never]), np.array([need / 1000, np.zeros(n)]),
        np.full(n, v2g), np.full(n, 0.05),
    )
    own = EvSettings(**{"eta_charge": 1.0, **settings})
    return EvFleet(sessions, np.array([plug]), np.array([strategy]), START, own)


def run(ev, until_h, step_h=1.0, limit=None):
    """Let the cluster draw what it wishes (or at most `limit`) and return the power by step."""
    out, step = [], int(step_h * H)
    for now in range(0, int(until_h * H), step):
        wish, _ = ev.plan(now, step)
        p = wish.copy() if limit is None else np.minimum(wish, limit)
        ev.advance(p, step)
        out.append(round(float(p[0]), 6))
    ev.plan(int(until_h * H), step)
    return out


def test_uncontrolled_charges_from_arrival():
    ev = fleet([(2.0, 8.0, 25.0)])
    assert run(ev, 9) == pytest.approx([0, 0, 0.010, 0.010, 0.005, 0, 0, 0, 0])
    assert ev.unmet_mwh[0] == pytest.approx(0)
    assert ev.served_mwh[0] == pytest.approx(0.025)


@pytest.mark.parametrize("step_h", [0.25, 0.5, 1.0, 2.0])
def test_energy_is_exact_at_any_step_for_odd_arrivals(step_h):
    ev = fleet([(1.37, 6.11, 20.0), (0.2, 1.9, 40.0)])
    powers = run(ev, 8, step_h)
    assert sum(powers) * step_h == pytest.approx(0.020 + 0.017)
    assert ev.unmet_mwh[0] == pytest.approx(0.040 - 0.017)


def test_price_led_takes_the_cheapest_hours_that_suffice():
    tariff = tuple(float(x) for x in ([9, 8, 1, 7, 2, 6] + [9] * 18))
    assert run(fleet([(0, 6, 20.0)], "price", tariff=tariff), 7) == pytest.approx([0, 0, 0.01, 0, 0.01, 0, 0])


def test_price_led_charges_when_it_could_not_catch_up():
    tariff = tuple(float(x) for x in ([9, 8, 1, 7, 2, 6] + [9] * 18))
    ev = fleet([(0, 6, 20.0)], "price", tariff=tariff)
    powers = []
    for k in range(6):
        wish, _ = ev.plan(k * H, H)
        p = wish if k != 4 else np.zeros(1)  # someone holds it back in its second cheap hour
        ev.advance(p, H)
        powers.append(float(p[0]))
    assert powers == pytest.approx([0, 0, 0.01, 0, 0, 0.01])


def test_controlled_spreads_over_the_stay():
    assert run(fleet([(1, 5, 20.0)], "controlled"), 6) == pytest.approx([0, 0.005, 0.005, 0.005, 0.005, 0])


def test_unmet_energy_is_counted_at_departure():
    ev = fleet([(0, 4, 20.0)])
    run(ev, 3, limit=0.004)
    assert ev.unmet_mwh[0] == 0
    run_on = [ev.plan(k * H, H) for k in (3, 4)]
    assert len(run_on) == 2
    assert ev.unmet_mwh[0] == pytest.approx(0.020 - 3 * 0.004)
    assert ev.served_mwh[0] == pytest.approx(0.012)


def test_who_must_charge_is_served_first_under_a_cap():
    ev = fleet([(0, 1, 10.0), (0, 9, 10.0)])
    run(ev, 1, limit=0.010)
    assert ev.remaining_mwh.tolist() == pytest.approx([0.0, 0.010])
    assert ev.unmet_mwh[0] == pytest.approx(0.0)


def test_v2g_reserve_is_gated_by_plug_and_state_of_charge():
    ev = fleet([(0, 9, 10.0), (5, 9, 10.0)], v2g=True, eta_discharge=1.0)
    ev.plan(0, H)
    # battery 35 of 50 kWh, floor 15 kWh, wish 10 kW: nothing more upwards of charging
    assert ev.back_mw[0] == pytest.approx(0.010)
    assert [float(x[0]) for x in ev.reserve(np.array([0.010]))] == pytest.approx([0.0, 0.0])
    ev.advance(np.array([0.010]), H)
    ev.plan(H, H)  # 45 of 50 kWh, ceiling 49: full, 4 kW of room, nothing wished
    assert [float(x[0]) for x in ev.reserve(np.array([0.0]))] == pytest.approx([0.004, 0.004])
    assert [float(x[0]) for x in ev.reserve(np.array([0.003]))] == pytest.approx([0.004, 0.001])
    assert [float(x[0]) for x in ev.reserve(np.array([-0.010]))] == pytest.approx([0.0, 0.004])
    assert ev.stored()[0] == pytest.approx(0.045)
    plain = fleet([(0, 9, 10.0)])
    plain.plan(0, H)
    assert [float(x[0]) for x in plain.reserve(np.array([0.01]))] == [0.0, 0.0]


def test_feeding_back_leaves_enough_time_to_catch_up():
    ev = fleet([(0, 2, 10.0)], v2g=True, eta_discharge=1.0)
    ev.plan(0, H)
    assert ev.back_mw[0] == pytest.approx(0.0)
    ev = fleet([(0, 3, 10.0)], v2g=True, eta_discharge=1.0)
    ev.plan(0, H)
    ev.advance(np.array([-0.010]), H)
    assert ev.remaining_mwh[0] == pytest.approx(0.020)
    run_powers = []
    for k in (1, 2):
        wish, _ = ev.plan(k * H, H)
        ev.advance(wish.copy(), H)
        run_powers.append(float(wish[0]))
    ev.plan(3 * H, H)
    assert run_powers == pytest.approx([0.010, 0.010])
    assert ev.unmet_mwh[0] == pytest.approx(0.0)


def test_a_stay_under_way_at_the_start_has_charged_so_far():
    ev = fleet([(-0.5, 4, 20.0)])
    assert ev.remaining_mwh[0] == pytest.approx(0.015)


def test_booking_in_pieces_is_booking_once():
    one, two = fleet([(0, 9, 30.0)]), fleet([(0, 9, 30.0)])
    for ev in (one, two):
        ev.plan(0, H)
    one.advance(np.array([0.008]), H)
    for _ in range(4):
        two.advance(np.array([0.008]), H // 4)
    assert one.remaining_mwh[0] == pytest.approx(two.remaining_mwh[0], abs=1e-15)


def test_state_round_trip():
    one, two = fleet([(0, 9, 30.0), (2, 5, 4.0)]), fleet([(0, 9, 30.0), (2, 5, 4.0)])
    run(one, 3)
    two.set_state(one.get_state())
    assert two.plan(4 * H, H)[0].tolist() == one.plan(4 * H, H)[0].tolist()


def test_a_tariff_needs_a_price_an_hour():
    with pytest.raises(ScenarioError, match="has 2 prices"):
        fleet([(0, 1, 1.0)], tariff=(1.0, 2.0))


def test_whoever_is_full_and_may_not_feed_back_has_nothing_to_do_until_the_next_stay():
    plain, giving = fleet([(0, 9, 10.0), (1, 9, 10.0)]), fleet([(0, 9, 10.0), (1, 9, 10.0)], v2g=True)
    for ev, at_work in ((plain, [1, 1, 0]), (giving, [1, 2, 2])):
        seen = []
        for k in range(3):
            wish, _ = ev.plan(k * H, H)
            seen.append(ev.busy)
            ev.advance(wish.copy(), H)
        assert seen == at_work
        assert ev.remaining_mwh.tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_stored_counts_the_plugged_in_only():
    ev = fleet([(0, 2, 10.0), (5, 9, 10.0)])
    ev.plan(0, H)
    first = float(ev.stored()[0])
    assert first == pytest.approx(float(ev.e_mwh[0]))
    ev.plan(3 * H, H)
    assert ev.stored()[0] == 0.0


def crowd(seed):
    """Thirty vehicles in three clusters, most of which may feed back."""
    rng = np.random.default_rng(seed)
    n = 30
    arrival = rng.integers(0, 300, n) * 60_000
    departure = arrival + rng.integers(60, 700, n) * 60_000
    never = np.full(n, NEVER_MS)
    sessions = Sessions(
        np.sort(rng.integers(0, 3, n)), np.array([arrival, never]), np.array([departure, never]),
        np.array([rng.uniform(0.001, 0.02, n), np.zeros(n)]), rng.random(n) < 0.8, np.full(n, 0.05),
    )
    return EvFleet(sessions, np.array([0.011, 0.022, 0.0037]), np.array(["uncontrolled"] * 3), START)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("minutes", [1, 15])
def test_who_rests_offers_what_it_would_awake_whatever_is_asked_of_it(seed, minutes):
    resting, awake = crowd(seed), crowd(seed)
    rng, step, rested = np.random.default_rng(seed), minutes * 60_000, 0
    for now in range(0, 17 * H, step):
        rouse(NEVER_MS, awake._wakes, awake._resting)
        (wish, most), (wish_too, most_too) = resting.plan(now, step), awake.plan(now, step)
        rested = max(rested, resting.busy - resting._busy_count)
        asked = np.where(rng.random(3) < 0.1, rng.uniform(-1, 1.2, 3), wish)
        back, other = resting.back_mw.copy(), awake.back_mw.copy()
        np.testing.assert_allclose([wish, most, back], [wish_too, most_too, other], rtol=0, atol=1e-12)
        reserves = [ev.reserve(asked) for ev in (resting, awake)]
        np.testing.assert_allclose(*reserves, rtol=0, atol=1e-12)
        for ev in (resting, awake):
            ev.advance(np.clip(asked, -back, most + resting._cluster_mw[EXTRA]), step)
        np.testing.assert_allclose(resting.e_mwh, awake.e_mwh, rtol=0, atol=1e-12)
        np.testing.assert_allclose(resting.remaining_mwh, awake.remaining_mwh, rtol=0, atol=1e-12)
    np.testing.assert_allclose(resting.unmet_mwh, awake.unmet_mwh, rtol=0, atol=1e-12)
    assert rested > 5


def test_a_fleet_at_rest_is_taken_up_where_it_was():
    one, two = crowd(1), crowd(1)
    for now in range(0, 6 * H, 60_000):
        wish, _ = one.plan(now, 60_000)
        one.advance(wish.copy(), 60_000)
    assert one._resting.number[0] > 5
    two.set_state(one.get_state())
    for now in range(6 * H, 15 * H, 60_000):
        for ev in (one, two):
            wish, _ = ev.plan(now, 60_000)
            ev.advance(wish - 0.5 * ev.back_mw, 60_000)
        assert two.back_mw.tolist() == one.back_mw.tolist()
    assert two.e_mwh.tolist() == one.e_mwh.tolist()
