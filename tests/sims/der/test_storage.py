import numpy as np
import pytest

from sims.der.storage import Storage, StorageSettings


def battery(count=1, soc=0.5, **settings):
    settings = {"standby_share": 0.0, **settings}
    own = StorageSettings(**settings)
    return Storage(np.ones(count), np.full(count, 2.0), np.full(count, soc), np.arange(count), own)


def test_energy_balance_over_a_random_day():
    rng = np.random.default_rng(5)
    store = battery(200, standby_share=0.002)
    start = store.e_mwh.copy()
    gained = np.zeros(200)
    for _ in range(96):
        low, high = store.limits(900.0)
        p = np.clip(rng.uniform(-1, 1, 200), low, high)
        gained += (np.where(p < 0, -0.95 * p, -p / 0.95) - 0.002) * 0.25
        store.advance(p, 900_000)
    assert np.abs(store.e_mwh - start - gained).max() < 1e-9
    assert (store.soc <= 0.95 + 1e-12).all()
    assert (store.soc >= 0.05 - 0.002 * 24).all()


def test_round_trip_costs_both_efficiencies():
    store = battery(eta_charge=0.9, eta_discharge=0.8)
    store.advance(np.array([-1.0]), 1_800_000)
    assert store.e_mwh[0] == pytest.approx(1.45)
    store.advance(np.array([0.36]), 3_600_000)
    assert store.e_mwh[0] == pytest.approx(1.0)


def test_limits_shrink_at_the_ends_of_the_window():
    low, high = battery(soc=0.95).limits(900.0)
    assert (low[0], high[0]) == (0.0, 1.0)
    low, high = battery(soc=0.05).limits(900.0)
    assert (low[0], high[0]) == (-1.0, 0.0)
    low, _ = battery(soc=0.9).limits(900.0)
    assert low[0] == pytest.approx(-0.1 / (0.95 * 0.25))


def test_the_window_can_be_reached_exactly():
    store = battery(soc=0.9)
    store.advance(store.limits(900.0)[0], 900_000)
    assert store.soc[0] == pytest.approx(0.95, abs=1e-12)


def test_self_consumption_balances_a_point_and_shares_by_rating():
    store = Storage(np.array([1.0, 3.0, 1.0]), np.full(3, 10.0), np.full(3, 0.5), np.array([0, 0, 1]))
    p = store.self_consumption(np.array([2.0, -0.4]), 900.0)
    assert p.tolist() == pytest.approx([-0.5, -1.5, 0.4])


def test_standby_drains_and_stops_at_empty():
    store = battery(soc=0.05, standby_share=0.1)
    for _ in range(12):
        store.advance(np.zeros(1), 3_600_000)
    assert store.e_mwh[0] == 0.0


def test_state_round_trip():
    one, two = battery(), battery()
    one.advance(np.array([-0.7]), 900_000)
    two.set_state(one.get_state())
    assert two.e_mwh.tolist() == one.e_mwh.tolist()
