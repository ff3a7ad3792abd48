"""Load estimation, forecasts, on-line power flow, storage, vehicles and supervision against figures by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from controllers.dms.forecast import backtest, boosted, persistence, regression, seasonal_naive, skill
from controllers.dms.load_estimation import allocate, profile_share
from controllers.dms.network import Network
from controllers.dms.power_flow import OnlinePowerFlow
from controllers.dms.storage_monitor import Fleet, StorageMonitor
from controllers.dms.supervision import Concern, Supervisor
from controllers.dms.v2g import reserve
from sims.core.errors import GridError
from sims.core.message import Message


def test_allocated_loads_add_up_to_the_meter_and_keep_the_metered(kit):
    grid = kit.grid("case33bw")
    net = Network(grid)
    p, q = grid.nominal()
    truth = (p + 1j * q) / grid.base_mva
    top = net.topology(net.normal)
    v = top.flow(truth, np.ones(1))
    drawn = v[net.anchor] * np.conj(top.drawn(v))
    # With the true loads as weights and one power factor known, the estimate is the truth.
    metered = np.full(grid.n_nodes, np.nan + 0j)
    metered[[5, 17, 29]] = truth[[5, 17, 29]]
    found = allocate(top, drawn, metered, -truth.real, np.ones(1))
    np.testing.assert_array_equal(found.s[[5, 17, 29]], truth[[5, 17, 29]])
    np.testing.assert_allclose(found.s.real, truth.real, atol=2e-5)
    assert found.losses_mw == pytest.approx([0.2027], rel=0.02)
    again = top.flow(found.s, np.ones(1))
    np.testing.assert_allclose(again[net.anchor] * np.conj(top.drawn(again)), drawn, atol=1e-6)
    # One weight for all: every unmetered substation draws the same.
    flat = allocate(top, drawn, metered, np.ones(grid.n_nodes), np.ones(1))
    spread = np.delete(flat.s, [5, 17, 29])
    np.testing.assert_allclose(spread, spread[0])
    assert flat.share == pytest.approx([-spread[0]])


def test_smart_meters_make_weights_and_nothing_to_spread_is_said(kit):
    readings = np.array([[1.0, np.nan, 4.0], [3.0, np.nan, 4.0]])
    np.testing.assert_allclose(profile_share(readings, np.array([1.0, 10.0, 2.0])), [2.0, 20.0, 4.0])
    net = Network(kit.grid("case33bw"))
    top = net.topology(net.normal)
    with pytest.raises(GridError, match="nothing to spread"):
        allocate(top, np.array([0.1 + 0j]), np.zeros(33, complex), np.ones(33), np.ones(1))


def week(noise=0.02, days=21, seed=3):
    t = np.arange(96 * days)
    daily = 1 + 0.4 * np.sin(2 * np.pi * t / 96) + 0.1 * np.sin(4 * np.pi * t / 96 + 1)
    weekly = np.where(t // 96 % 7 >= 5, 0.8, 1.0)
    drift = np.cumsum(np.random.default_rng(seed).standard_normal(len(t))) * 0.002
    return (daily * weekly + drift + noise * np.random.default_rng(seed + 1).standard_normal(len(t)))[:, None]


def test_forecasts_by_hand():
    history = np.array([[1.0], [2.0], [3.0], [np.nan]])
    assert persistence(history, 2).ravel().tolist() == [3.0, 3.0]
    assert seasonal_naive(history[:3], 4, 2).ravel().tolist() == [2.0, 3.0, 2.0, 3.0]
    pure = np.sin(2 * np.pi * np.arange(96 * 4) / 96)[:, None]
    np.testing.assert_allclose(regression(pure[:288], 96, 96), pure[288:], atol=0.01)
    assert skill(np.ones((4, 1)), np.full((4, 1), 1.1), np.full((4, 1), 1.2))[0] == pytest.approx(0.5)


def test_skill_against_persistence_and_last_week():
    series = week()
    actual, naive = backtest(series, lambda h, n: seasonal_naive(h, n, 96 * 7), 96 * 14, 96)
    _, flat = backtest(series, persistence, 96 * 14, 96)
    _, fitted = backtest(series, lambda h, n: regression(h, n, 96), 96 * 14, 96)
    assert skill(actual, naive, flat)[0] > 0.6
    assert skill(actual, fitted, flat)[0] > 0.6
    close, near = (backtest(series, f, 96 * 14, 4)[1] for f in (lambda h, n: regression(h, n, 96), persistence))
    # One hour ahead the newest deviation counts: better than both references.
    assert skill(actual, close, near)[0] > 0.1
    assert skill(actual, close, naive)[0] > 0.1


def test_drivers_help_and_short_histories_are_refused():
    rng = np.random.default_rng(1)
    sun = rng.uniform(0, 1, (96 * 7, 1))
    series = 2 * sun[: 96 * 6] + 0.01 * rng.standard_normal((96 * 6, 1))
    actual = 2 * sun[96 * 6 :]
    told, blind = regression(series, 96, 96, sun), regression(series, 96, 96)
    assert skill(actual, told, blind)[0] > 0.8
    with pytest.raises(GridError, match="two seasons"):
        regression(series[:100], 4, 96)
    with pytest.raises(GridError, match="needs 96 values"):
        seasonal_naive(series[:50], 4, 96)
    with pytest.raises(GridError, match="drivers cover"):
        regression(series, 96, 96, sun[:10])
    with pytest.raises(GridError, match="no values at all"):
        persistence(np.full((4, 1), np.nan), 1)
    try:
        import sklearn  # noqa: F401
    except ImportError:
        with pytest.raises(GridError, match=r"gridseam\[boosting\]"):
            boosted(series, 4, 96)
    else:
        assert skill(actual, boosted(series, 96, 96, sun), blind)[0] > 0.5


def test_the_power_flow_runs_on_period_on_change_and_on_request(kit):
    grid = kit.grid("case33bw")
    net = Network(grid)
    p, q = grid.nominal()
    s, one = (p + 1j * q) / grid.base_mva, np.ones(1)
    flow = OnlinePowerFlow(net, period_ms=60_000, change_pu=0.05 / grid.base_mva)
    first = flow.at(0, net.normal, s, one)
    assert (first.cause, first.losses_mw) == ("period", pytest.approx(0.202677, abs=1e-6))
    assert flow.at(30_000, net.normal, s * 1.0001, one) is first
    assert flow.at(31_000, net.normal, s * 1.2, one).cause == "change"
    closed = net.normal.copy()
    closed[net.line(34)], closed[net.line(6)] = True, False
    switched = flow.at(32_000, closed, s * 1.2, one)
    assert switched.cause == "change"
    assert switched.losses_mw < 1.44 * 0.202677
    assert flow.at(33_000, closed, s * 1.2, one, request=True).cause == "request"
    assert flow.at(92_999, closed, s * 1.2, one).cause == "request"
    assert flow.at(93_000, closed, s * 1.2, one).cause == "period"
    assert flow.solved == 5
    with pytest.raises(GridError, match="no solution"):
        flow.at(200_000, net.normal, s * 30, one)
    with pytest.raises(GridError, match="above 0"):
        OnlinePowerFlow(net, period_ms=0)


def monitor(patience_ms=120_000):
    two = np.array([1.0, 1.0])
    fleet = Fleet(("b1", "b2"), np.array([1, 2]), np.array([4, 7]), two, two, two, 2 * two, 0.1 * two)
    schedule = np.array([[0.5, 0.9], [-0.2, 0.0]])
    return StorageMonitor(fleet, schedule, np.array([40.0, 90.0]), patience_ms=patience_ms)


def test_storage_is_watched_against_its_schedule():
    watch = monitor()
    watch.take(0, np.array([0, 1]), np.array([0.5, -0.2]), np.array([0.5, 0.9]))
    found = watch.report(1000)
    assert not found.alarm.any()
    # b1: 0.9 MW beside the reserve, half an hour's energy above the floor at 0.95: the schedule leaves 0.4.
    np.testing.assert_allclose(found.discharge_mw, [0.4, 1.1])
    np.testing.assert_allclose(found.charge_mw, [1.4, 0.1 / 0.95 / 0.25 - 0.2])
    assert watch.lendable_by_cell(found) == pytest.approx({1: 0.4, 2: 1.1})
    assert found.price.tolist() == [40.0, 40.0]
    assert watch.rows(found)[0] | {"lon": 0, "lat": 0} == {
        "id": "b1", "cell": 1, "node": 4, "lon": 0, "lat": 0, "p_max_mw": 1.0, "energy_mwh": 2.0, "soc": 0.5,
        "scheduled_mw": 0.5, "actual_mw": 0.5, "price": 40.0, "fcr_mw": 0.1, "lendable_mw": pytest.approx(0.4),
        "alarm": "",
    }
    watch.take(60_000, np.array([0, 1]), np.array([0.0, -0.2]), np.array([0.5, 0.9]))
    watch.take(150_000, np.array([0, 1]), np.array([0.0, -0.2]), np.array([0.5, 0.9]))
    assert watch.report(150_000).cause.tolist() == ["", ""]  # for 90 s only
    watch.take(200_000, np.array([0, 1]), np.array([0.0, -0.2]), np.array([0.5, 0.9]))
    assert watch.report(200_000).cause.tolist() == ["deviation", ""]
    assert watch.report(400_000).cause.tolist() == ["silent", "silent"]
    assert watch.report(400_000).lendable_mw.sum() == 0


def test_a_battery_that_cannot_hold_its_schedule_says_so_beforehand():
    watch = monitor()
    watch.take(900_000, np.array([0, 1]), np.array([0.9, 0.0]), np.array([0.1, 0.5]))
    assert watch.report(900_000).cause.tolist() == ["empty", ""]
    with pytest.raises(GridError, match="cover 2 slots"):
        watch.report(1_800_000)
    with pytest.raises(GridError, match=r"\[battery, slot\] = \(2, 3\)"):
        StorageMonitor(watch.fleet, np.zeros((2, 2)), np.zeros(3))


def test_vehicles_by_hand():
    one = np.ones(1)
    # 10 plugs of 11 kW charge with 66 kW; 30 % feed back; 0.2 MWh above what drivers need; 0.3 MWh fit.
    found = reserve(-0.066 * one, 0.11 * one, 0.4 * one, 0.2 * one, 0.7 * one, 0.3 * one)
    assert found.up_mw == pytest.approx(0.066 + 0.033)
    assert found.down_mw == pytest.approx(0.11 - 0.066)
    assert found.share == pytest.approx(0.044 / 0.11)
    assert found.hold_h == pytest.approx(0.2 * 0.92 / 0.033)
    # Nothing to spare: charging goes on, nothing upward.
    needed = reserve(-0.066 * one, 0.11 * one, 0.2 * one, 0.2 * one, 0.7 * one, 0.3 * one)
    assert (needed.up_mw[0], needed.symmetric_mw[0], needed.share) == (0.0, 0.0, 0.0)
    assert reserve(0 * one, 0 * one, 0 * one, 0 * one, 0 * one, 0 * one).share == 0.0
    with pytest.raises(GridError, match="between 0 and 1"):
        reserve(one, one, one, one, one, 2 * one)
    with pytest.raises(GridError, match="above what the batteries hold"):
        reserve(one, one, one, 2 * one, one, one)


some = arrays(float, 3, elements=st.floats(0, 1))


@settings(max_examples=60, deadline=None)
@given(some, some, some, some, some)
def test_a_reserve_is_never_more_than_what_is_plugged_in(p, plugged, energy, floor, share):
    charging = -np.minimum(p, plugged)
    found = reserve(charging, plugged, np.maximum(energy, floor), floor, np.maximum(energy, floor) + 0.5, share)
    assert 0 <= found.share <= 1 + 1e-9
    assert (found.symmetric_mw >= 0).all()
    assert (found.up_mw <= plugged * share - charging + 1e-9).all()
    assert (found.down_mw <= plugged + 1e-9).all()


def report(sender, topic, at_ms, **values):
    return Message(sender, "logbook", topic, values, sent_ms=at_ms)


def test_supervision_tells_who_is_silent_stuck_or_unknown():
    watch = Supervisor(["a0", "a1", "a2"])
    watch.take([report("a0", "state", 0, mismatch=0.5), report("a1", "state", 0, mismatch=0.5),
                report("a2", "state", 0, mismatch=0.5), report("x", "state", 5, mismatch=0.0)])
    watch.take([report("a0", "goal", 10, duty="restore_supply", restored_mw=1.0)])
    assert watch.concerns(1000) == [Concern("x", "unknown", 5)]
    for t in range(60_000, 660_000, 60_000):
        watch.take([report("a0", "state", t, mismatch=0.5 - t / 1e6), report("a1", "state", t, mismatch=0.6)])
    assert watch.concerns(660_000) == [
        Concern("a1", "stuck", 0), Concern("a2", "silent", 0), Concern("x", "unknown", 5)]
    assert watch.records["a0"].goal == {"duty": "restore_supply", "restored_mw": 1.0}
    watch.take([report("a0", "state", 30_000, mismatch=9.0), report("a1", "state", 660_000, mismatch=1e-4)])
    assert watch.records["a0"].state["mismatch"] == pytest.approx(0.5 - 0.6)  # late mail changes nothing
    assert Concern("a1", "stuck", 0) not in watch.concerns(700_000)
