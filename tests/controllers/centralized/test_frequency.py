import dataclasses

import numpy as np
import pytest

from controllers.centralized.balance import VEHICLES, BalanceCell
from controllers.centralized.frequency import ContainFrequency, by_rating

HOUR = 3600.0


def told(out):
    return {
        int(d): float(v) for m in out if "droop_mw_per_hz" in m.values
        for d, v in zip(m.values["device"], m.values["droop_mw_per_hz"], strict=True)
    }


def room(kit, owed, storage=0.5, **settings):
    field = kit.field(kit.feeder("oberrhein", storage=storage))
    site = kit.site([field.belief], settings={"droop_mw_per_hz": owed, **settings})
    return field.belief.devices, ContainFrequency(site), site


def test_the_droop_owed_is_shared_by_rating(kit):
    devices, controller, _ = room(kit, 20.0)
    out = controller.decide(0.0, [])
    droop = told(out)
    mine = devices.kind == "storage"
    assert set(droop) == set(devices.index[mine].tolist())
    given = np.array([droop[int(d)] for d in devices.index[mine]])
    np.testing.assert_allclose(given, 20.0 * devices.p_rated_mw[mine] / devices.p_rated_mw[mine].sum())
    assert {m.topic for m in out} == {"command/contain_frequency", "goal"}
    orders = [m for m in out if m.topic.startswith("command/")]
    assert {m.ttl_ms for m in orders} == {43_200_000}
    assert len(orders) == len({m.receiver for m in orders}), "one letter to each substation"


def test_a_tenth_of_the_bias_is_owed_by_default(kit):
    field = kit.field(kit.feeder("oberrhein", storage=2.0))
    controller = ContainFrequency(kit.site([field.belief]))
    assert sum(told(controller.decide(0.0, [])).values()) == pytest.approx(100.0)  # of 1000 MW/Hz


def test_no_more_than_what_lasts_a_quarter_hour_is_promised(kit):
    devices, controller, _ = room(kit, 1e4)
    ledger = controller._desk.storages
    mine = np.flatnonzero(devices.kind == "storage")
    ledger.energy_mwh[mine[0]] = 0.05 * devices.energy_mwh[mine[0]]  # as empty as it may be
    ledger.energy_mwh[mine[1]] = 0.05 * devices.energy_mwh[mine[1]] + 0.1 * devices.p_rated_mw[mine[1]] / 4 / 0.95
    ledger.energy_mwh[mine[3]] = 0.04 * devices.energy_mwh[mine[3]]  # believed to be beyond its end
    droop = told(controller.decide(0.0, []))
    rated = devices.p_rated_mw[mine]
    assert droop[int(devices.index[mine[0]])] == 0.0
    assert droop[int(devices.index[mine[3]])] == 0.0
    assert droop[int(devices.index[mine[1]])] == pytest.approx(0.1 * rated[1] / 0.19)
    assert droop[int(devices.index[mine[2]])] == pytest.approx(rated[2] / 0.2), "all of it at 200 mHz, no more"


def test_batteries_that_hold_no_more_than_their_promise_keep_it(kit):
    devices, controller, _ = room(kit, 20.0)
    first = told(controller.decide(0.0, []))
    mine = np.flatnonzero(devices.kind == "storage")
    empty = mine[::2]
    promised_mw = np.array([first[int(d)] for d in devices.index[empty]]) * 0.19
    ledger = controller._desk.storages
    ledger.energy_mwh[mine] = 0.9 * devices.energy_mwh[mine]
    ledger.energy_mwh[empty] = 0.05 * devices.energy_mwh[empty] + promised_mw / 4 / 0.95
    assert told(controller.decide(HOUR, [])) == {}, "a droop told lower would let that energy go at once"
    ledger.energy_mwh[empty] = 0.05 * devices.energy_mwh[empty] + 0.5 * promised_mw / 4 / 0.95
    again = told(controller.decide(2 * HOUR, []))
    full = [int(d) for d in devices.index[np.setdiff1d(mine, empty)]]
    assert sum(again.values()) == pytest.approx(20.0), "what half of them can no longer give, the others do"
    assert all(again[d] > first[d] for d in full)


@pytest.mark.parametrize(
    ("whole", "parts"),
    [(6.0, [1.0, 2.0, 3.0]), (9.0, [1.5, 3.0, 4.5]), (10.0, [1.5, 3.4, 5.1]), (14.0, [1.5, 4.0, 8.5]),
     (15.0, [1.5, 4.0, 9.0]), (0.0, [0.0, 0.0, 0.0])],
)
def test_parts_by_rating_none_above_its_most(whole, parts):
    rated, most = np.array([1.0, 2.0, 3.0]), np.array([1.5, 4.0, 9.0])
    assert by_rating(whole, rated, most) == pytest.approx(np.array(parts))


def test_told_once_and_again_before_it_runs_out(kit):
    _, controller, _ = room(kit, 20.0)
    sent = {hour: bool(told(controller.decide(hour * HOUR, []))) for hour in range(24)}
    assert [hour for hour, any_told in sent.items() if any_told] == [0, 11, 22]


def test_what_is_promised_is_kept_from_balancing(kit):
    _, controller, site = room(kit, 1e4)
    balance = BalanceCell(site)
    free = balance._room()[0]
    controller.decide(0.0, [])
    kept = balance._room()[0]
    assert free[1].sum() > 1.0
    np.testing.assert_allclose(kept[1], 0.05 * free[1], rtol=1e-6)  # 190 of 200 mHz' worth of the rating


def parked(kit, owed, **settings):
    """A feeder whose substations have charging points of half their load each, and next to no storage."""
    belief = kit.feeder("oberrhein", storage=1e-6, wind=0.5)
    kind = np.where(belief.devices.kind == "wind", "ev", belief.devices.kind)
    belief = dataclasses.replace(belief, devices=dataclasses.replace(belief.devices, kind=kind))
    site = kit.site([belief], settings={"droop_mw_per_hz": owed, **settings})
    return belief.devices, ContainFrequency(site), site


@pytest.mark.parametrize(("v2g_share", "both_ways"), [(0.3, 0.06 + 0.068571), (0.0, 0.068571), (1.0, 0.2 - 0.068571)])
def test_vehicles_promise_no_more_than_their_reserve_both_ways(kit, v2g_share, both_ways):
    # A fifth is plugged in. Of a demand of 40 % of the load, .15 x .5 / (.15 x .5 + .8) charges: .068571 of the plugs.
    devices, controller, _ = parked(kit, 1e4, v2g_share=v2g_share)
    droop, mine = told(controller.decide(0.0, [])), devices.kind == "ev"
    given = np.array([droop[int(d)] for d in devices.index[mine]])
    np.testing.assert_allclose(given, both_ways * devices.p_rated_mw[mine] / 0.19, rtol=1e-4)


def test_what_vehicles_have_promised_is_kept_from_balancing_too(kit):
    devices, controller, site = parked(kit, 1e4)
    balance, mine = BalanceCell(site), devices.kind == "ev"
    # Down to 4.2 of 11 kW charging may be held back.
    free = balance._room()[VEHICLES][1]
    np.testing.assert_allclose(free, 0.068571 * (1 - 4.2 / 11) * devices.p_rated_mw[mine], rtol=1e-4)
    controller.decide(0.0, [])
    assert balance._room()[VEHICLES][1].max() < 1e-12, "all that they can give upward is droop's"
