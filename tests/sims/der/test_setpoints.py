import re

import numpy as np
import pytest

from sims.core.message import Message
from sims.der.fleet import DeviceTable
from sims.der.setpoints import SetPoints


def table():
    return DeviceTable.of(
        name=["l", "a", "b", "c", "old"], kind=["load", "pv", "pv", "storage", "pv"], feeder=[0, 0, 1, 1, 0],
        node=[1] * 5, dso=[0] * 5, p_rated_mw=[1.0] * 5, remote=[True, True, True, True, False],
        feeder_names=("north", "south"), dso_names=("d",),
    )


def order(ttl_ms=0, sent_ms=0, **values):
    return Message("dms", "der", "command/manage_congestion", values, sent_ms=sent_ms, ttl_ms=ttl_ms)


def points(rule=None, asked=None):
    def authorize(actor, duty, asset, now_ms):
        if asked is not None:
            asked.append((actor, duty, asset, now_ms))
        return "not its duty" if asset == rule else None

    return SetPoints(table(), authorize)


def test_an_order_holds_until_it_expires_and_leaves_a_trace_per_feeder():
    asked = []
    held = points(asked=asked)
    acts = held.obey([order(ttl_ms=1000, device=np.array([1, 2, 3]), p_max_mw=np.array([0.5, 0.2, 0.1]))], 10)
    assert [(a.asset, a.quantity, a.value, a.count, a.refused) for a in acts] == [
        ("north", "p_max_mw", 0.5, 1, ""), ("south", "p_max_mw", pytest.approx(0.3), 2, "")
    ]
    assert asked == [("dms", "manage_congestion", "north", 10), ("dms", "manage_congestion", "south", 10)]
    assert held.at(999)["p_max_mw"][1:4].tolist() == [0.5, 0.2, 0.1]
    assert held.busy["p_max_mw"]
    assert np.isnan(held.at(1000)["p_max_mw"]).all()
    assert not held.busy["p_max_mw"]


def test_orders_that_run_out_are_told_where_their_sender_has_none_left():
    held = points()
    held.obey([order(ttl_ms=1000, device=np.array([1, 2, 3]), p_max_mw=np.array([0.5, 0.2, 0.1]))], 0)
    held.obey([order(ttl_ms=3000, device=np.array([2]), p_max_mw=np.array([0.2]))], 10)
    held.obey([order(ttl_ms=500, device=[1], p_max_mw=np.inf, q_set_mvar=0.1)], 20)
    held.at(400)
    assert held.lapsed == ()
    held.at(500)
    assert held.lapsed == (("north", "q_set_mvar", "dms", 1),), "what was taken back has not run out"
    kept = held.get_state()
    held.at(1000)
    assert held.lapsed == (), "of p_max_mw in the south one still holds"
    held.at(3000)
    assert held.lapsed == (("south", "p_max_mw", "dms", 1),)
    held.at(3001)
    assert held.lapsed == ()
    again = points()
    again.set_state(kept)
    again.at(3000)
    assert again.lapsed == (("south", "p_max_mw", "dms", 2),)


def test_who_still_has_orders_in_the_feeder_does_not_hide_anothers_that_run_out():
    held = points()
    agents = [Message(name, "der", "command/manage_congestion", {"device": np.array([k]), "p_max_mw": np.array([0.1])},
                      ttl_ms=1000 * k) for name, k in (("a", 2), ("b", 3))]  # fmt: skip
    held.obey(agents, 0)
    held.at(2000)
    assert held.lapsed == (("south", "p_max_mw", "a", 1),)


def test_the_part_that_is_not_its_own_is_refused_and_does_not_move():
    held = points(rule="south")
    acts = held.obey([order(device=[1, 2], p_set_mw=[0.5, 0.2])], 0)
    assert [a.refused for a in acts] == ["", "not its duty"]
    got = held.at(0)["p_set_mw"]
    assert got[1] == 0.5
    assert np.isnan(got[2])


def test_newer_orders_replace_older_and_infinity_takes_back():
    held = points()
    held.obey([order(device=[1], p_max_mw=0.5, ttl_ms=100)], 0)
    held.obey([order(device=[1], p_max_mw=0.7)], 50)
    assert held.at(10_000)["p_max_mw"][1] == 0.7
    held.obey([order(device=[1], p_max_mw=np.inf)], 20_000)
    assert np.isnan(held.at(20_000)["p_max_mw"][1])


@pytest.mark.parametrize(("values", "text"), [
    ({"device": [9], "p_max_mw": [1.0]}, "outside 0..4"),
    ({"device": [-1], "p_max_mw": [1.0]}, "outside 0..4"),
    ({"device": [1.5], "p_max_mw": [1.0]}, "outside 0..4"),
    ({"device": [1], "p_max_mw": [np.nan]}, "not a number"),
    ({"device": [1, 2], "p_max_mw": [1.0, 2.0, 3.0]}, "do not match the 2 devices"),
    ({"device": [1], "p_max_mw": ["much"]}, "do not match"),
    ({"device": [1], "p_max_mw": [-1.0]}, "p_max_mw is negative"),
    ({"device": [1], "p_mx_mw": [1.0]}, "unknown quantity 'p_mx_mw', did you mean p_max_mw"),
    ({"p_max_mw": [1.0]}, "names no device"),
    ({"device": [1]}, "names no device or no quantity"),
    ({"device": [0], "p_max_mw": [1.0]}, "l .load. is not remotely controllable"),
    ({"device": [4], "p_max_mw": [1.0]}, "old .pv. is not remotely controllable"),
])
def test_bad_orders_are_refused_and_logged(values, text):
    held = points()
    (act,) = held.obey([order(**values)], 0)
    assert act.refused
    assert re.search(text, act.refused)
    assert all(np.isnan(v).all() for v in held.at(0).values())


def test_mail_that_is_no_order_is_refused():
    mail = Message("dms", "der", "forecast", {"device": [1], "p_set_mw": [0.1]})
    (act,) = points().obey([mail], 0)
    assert act.refused == "topic 'forecast' is not command/<duty>"


def test_an_order_that_arrives_too_late_is_refused():
    (act,) = points().obey([order(device=[1], p_max_mw=[0.1], sent_ms=0, ttl_ms=1000)], 3000)
    assert act.refused == "expired 2 s before it arrived"


def test_state_round_trip():
    one, two = points(), points()
    one.obey([order(device=[1], q_set_mvar=[0.3], ttl_ms=500)], 0)
    two.set_state(one.get_state())
    assert two.at(1)["q_set_mvar"][1] == 0.3
    assert np.isnan(two.at(500)["q_set_mvar"][1])


def many(rng, count):
    """Return orders as they come in a busy minute, one in six of them with something wrong or unusual."""
    out = []
    for k in range(count):
        device = rng.choice([1, 2], 1) if rng.random() < 0.5 else rng.permutation([2, 3])
        quantity = rng.choice(["p_max_mw", "p_set_mw", "q_set_mvar"])
        values = {"device": device, quantity: rng.random(len(device))}
        odd = {
            0: {"device": np.array([9]), quantity: np.array([1.0])},
            1: {"device": np.array([1, 2, 3]), quantity: np.array([0.5, np.inf, -0.5])},
            2: {"device": np.array([0]), quantity: np.array([1.0])},
            3: {"device": [1], quantity: [0.4], "q_set_mvar": [0.1]},
            4: {quantity: np.array([np.nan]), "device": np.array([2])},
            5: {"device": np.zeros(0, np.int64), quantity: np.zeros(0)},
            6: {"device": np.array([1]), quantity: np.array([-1.0])},
            7: {"device": np.array([-1]), quantity: np.array([1.0])},
        }.get(int(rng.integers(50)))
        ttl_ms = int(rng.choice([0, 100, 900]))
        out.append(Message(
            "dms", f"s{k}", "command/manage_congestion" if rng.random() > 0.05 else "state", odd or values,
            sent_ms=-200, ttl_ms=ttl_ms,
        ))
    return out


@pytest.mark.parametrize("rule", [None, "south"])
@pytest.mark.parametrize("seed", range(20))
def test_orders_carried_out_together_are_orders_carried_out_one_by_one(seed, rule):
    mails = many(np.random.default_rng(seed), 60)
    asked, asked_too = [], []
    together, apart = points(rule, asked), points(rule, asked_too)
    acts = together.obey(mails, 0)
    assert acts == [act for mail in mails for act in apart.obey([mail], 0)]
    assert asked == asked_too
    np.testing.assert_array_equal(together.values, apart.values)
    np.testing.assert_array_equal(together.expires_ms, apart.expires_ms)
    assert np.isfinite(together.values).any()
    assert {bool(a.refused) for a in acts} == {True, False}


def test_of_several_orders_to_a_device_the_last_stands_with_its_own_expiry():
    held = points()
    first = order(ttl_ms=1000, device=np.array([1, 2]), p_max_mw=np.array([0.5, 0.2]))
    held.obey([first, order(ttl_ms=100, device=np.array([1]), p_max_mw=np.array([0.7]))], 0)
    assert held.at(0)["p_max_mw"][1] == 0.7
    assert np.isnan(held.at(100)["p_max_mw"][1])


def test_orders_that_take_back_are_carried_out_with_the_others():
    held = points()

    def one(device, value):
        return order(device=np.array(device), p_set_mw=np.array(value, dtype=float))

    held.obey([one([1], [0.5]), one([2, 3], [0.2, 0.1])], 0)
    acts = held.obey([one([1], [np.inf]), one([2, 3], [-np.inf, 0.4]), one([1], [0.3])], 10)
    assert [(a.asset, a.value, a.count, a.refused) for a in acts] == [
        ("north", 0.0, 1, ""), ("south", 0.4, 2, ""), ("north", 0.3, 1, "")
    ]
    got = held.at(10)["p_set_mw"]
    assert got[[1, 3]].tolist() == [0.3, 0.4]
    assert np.isnan(got[2])
    assert [a.refused for a in held.obey([one([1], [np.nan])], 20)] == ["a value is not a number"]


def test_a_cap_of_minus_infinity_is_refused():
    held = points()
    acts = held.obey([order(device=np.array([1]), p_max_mw=np.array([-np.inf]))], 0)
    assert [a.refused for a in acts] == ["p_max_mw is negative"]
    assert np.isnan(held.at(0)["p_max_mw"]).all()
