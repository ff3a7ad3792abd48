import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der.storage import Storage, StorageSettings
from sims.der.trading import Battery, schedule, traded

PLAIN = Battery(2.0, 0.5, 0.0, 1.0, 1.0, 1.0)


def energy(battery, power):
    stored = np.where(power < 0, -power * battery.eta_charge, -power / battery.eta_discharge) - battery.standby_share
    return battery.soc_start * battery.hours + np.cumsum(stored)


def test_buys_low_and_sells_high():
    assert schedule(PLAIN, np.array([10.0, 10.0, 30.0, 30.0])).sum() == pytest.approx(0.0)
    found = schedule(PLAIN, np.array([10.0, 20.0, 30.0, 20.0]))
    assert found[0] == pytest.approx(-1.0)
    assert found[2] == pytest.approx(1.0)
    assert found @ np.array([10.0, 20.0, 30.0, 20.0]) == pytest.approx(20.0)


def test_wear_and_losses_decide_whether_a_spread_pays():
    price = np.array([20.0, 25.0])
    assert np.abs(schedule(Battery(2, 0.5, 0, 1, 1, 1, wear=4.9), price)).max() == pytest.approx(1.0)
    assert np.abs(schedule(Battery(2, 0.5, 0, 1, 1, 1, wear=5.1), price)).max() == pytest.approx(0.0)
    assert np.abs(schedule(Battery(2, 0.5, 0, 1, 0.88, 0.88), price)).max() == pytest.approx(0.0), "20/.7744 > 25"


def test_limits_and_reserve_are_kept_at_every_hour():
    rng = np.random.default_rng(3)
    battery = Battery(2.0, 0.5, 0.1, 0.9, 0.95, 0.93, 0.002, reserve_share=0.4, reserve_h=0.5)
    power = schedule(battery, rng.uniform(5, 60, 24))
    stored = energy(battery, power)
    assert np.abs(power).max() == pytest.approx(0.6)
    assert stored.min() >= 0.2 + 0.4 * 0.5 / 0.93 - 1e-7
    assert stored.max() <= 1.8 - 0.4 * 0.5 * 0.95 + 1e-7
    assert stored[-1] >= 1.0 - 1e-7, "as much at the end as at the start"


def test_a_reserve_that_leaves_nothing_is_refused():
    with pytest.raises(ScenarioError, match="leaves nothing"):
        schedule(Battery(0.5, 0.5, 0.1, 0.9, 1, 1, reserve_share=0.5, reserve_h=1.0), np.ones(4))


def test_batteries_that_are_alike_share_a_schedule_and_follow_it():
    settings = StorageSettings(eta_charge=1.0, eta_discharge=1.0, soc_min=0.0, soc_max=1.0, standby_share=0.0, wear=0.1)
    store = Storage(
        np.array([1.0, 2.0, 1.0]), np.array([2.0, 4.0, 8.0]), np.full(3, 0.5), np.arange(3), settings
    )
    price = np.tile([10.0] * 12 + [30.0] * 12, 2)
    plan = traded(store, np.full(3, 0.5), price)
    assert plan[:, 0].tolist() == plan[:, 1].tolist() != plan[:, 2].tolist()
    store.follow(plan)
    sold = np.zeros(3)
    for hour in range(48):
        p = store.wish(np.zeros(3), hour * 3_600_000, *store.free(3600.0))
        store.advance(p, 3_600_000)
        sold += p * price[hour]
    assert sold[0] * 2 == pytest.approx(sold[1])
    assert sold[0] == pytest.approx(2 * 20.0), "a store of 2 h, half full, turns over 1 h x 20 a day"
    assert store.discharged_mwh[0] == pytest.approx(2.0)
