import numpy as np
import pytest

from sims.core.errors import ScenarioError
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


def test_energy_balance_closes_over_a_random_day():
    rng = np.random.default_rng(5)
    settings = StorageSettings(eta_charge=0.93, eta_discharge=0.91, standby_share=0.002)
    store = Storage(np.full(50, 0.2), np.full(50, 0.5), np.full(50, 0.5), np.arange(50), settings)
    first, into, out, own = store.e_mwh.copy(), np.zeros(50), np.zeros(50), np.zeros(50)
    for _ in range(1440):
        low, high = store.limits(60.0)
        p = np.clip(rng.normal(0, 0.15, 50), low, high)
        own += 0.002 * 0.2 * (store.e_mwh > 0) / 60
        store.advance(p, 60_000)
        into += np.maximum(-p, 0) / 60
        out += np.maximum(p, 0) / 60
    assert store.e_mwh - first == pytest.approx(0.93 * into - out / 0.91 - own, abs=1e-9)
    assert store.soc.min() >= 0.05 - 1e-3
    assert store.soc.max() <= 0.95 + 1e-9
    assert store.wear_cost == pytest.approx(4.0 * out)


def test_a_promised_reserve_is_kept_from_everything_else():
    settings = StorageSettings(
        eta_charge=1.0, eta_discharge=1.0, soc_min=0.1, soc_max=0.9, reserve_h=0.5, standby_share=0.0
    )
    store = Storage(np.array([1.0]), np.array([2.0]), np.array([0.5]), np.array([0]), settings)
    store.reserve_mw = np.array([0.4])
    low, high = store.free(60.0)
    assert (low[0], high[0]) == pytest.approx((-0.6, 0.6))
    for _ in range(600):
        store.advance(store.self_consumption(np.array([-5.0]), 60.0), 60_000)
    assert store.e_mwh[0] == pytest.approx(0.2 + 0.4 * 0.5, abs=5e-3), "what half an hour of the reserve needs is left"
    assert store.free(60.0)[1][0] == pytest.approx(0.0, abs=1e-9)
    assert store.limits(60.0)[1][0] == pytest.approx(1.0), "and it can be called"


@pytest.mark.parametrize(
    ("given", "says"),
    [({"eta_charge": 0.0}, "eta_charge is 0, an efficiency lies in"), ({"eta_discharge": 1.01}, "eta_discharge"),
     ({"soc_min": 0.9, "soc_max": 0.2}, "soc_min 0.9 and soc_max 0.2 are no window")],
)  # fmt: skip
def test_impossible_settings_are_refused(given, says):
    with pytest.raises(ScenarioError, match=says):
        StorageSettings(**given)
