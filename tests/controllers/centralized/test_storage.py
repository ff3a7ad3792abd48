"""Batteries are held to what they were told; the feeder's: 40 % of its load, two hours each."""

import numpy as np
import pytest

from controllers.centralized.storage import WatchStorage
from controllers.dms.set_points import shared_set_points
from sims.core.message import Message

QUARTER_S = 900.0


@pytest.fixture
def room(kit):
    field = kit.field(kit.feeder("cigre", storage=0.4))
    site = kit.site([field.belief])
    return field.belief.devices, shared_set_points(site), WatchStorage(site)


def telegram(devices, t_s, p_mw, soc=0.5):
    own = devices.kind == "storage"
    p = np.broadcast_to(np.asarray(p_mw, float), own.sum())
    values = {"device": devices.index[own], "p_mw": p, "soc_mwh": soc * devices.energy_mwh[own]}
    return Message("dso_1.f01", "dso_1.dms", "storage", values, sent_ms=round(1000 * t_s))


def told(out, topic):
    return [m.values for m in out if m.topic == topic]


def order(points, devices, share, t_s):
    own = np.flatnonzero(devices.kind == "storage")
    points.wish("manage_congestion", "p_set_mw", own, share * devices.p_rated_mw[own])
    points.orders("manage_congestion", "p_set_mw", round(1000 * t_s), 900_000)


def test_position_and_the_ledgers_error_are_told(room):
    devices, _, watch = room
    energy = float(devices.energy_mwh[devices.kind == "storage"].sum())
    account, = told(watch.decide(0.0, [telegram(devices, 0.0, 0.0, soc=0.7)]), "goal")
    assert account["stored_mwh"] == pytest.approx(0.7 * energy)
    assert account["ledger_off_mwh"] == pytest.approx(0.2 * energy), "the ledger begins at a half"
    # A quarter-hour's energy is there many times over: all of the rating can be lent.
    assert account["lendable_mw"] == pytest.approx(energy / 2)


def test_who_is_under_its_own_law_cannot_deviate(room):
    devices, _, watch = room
    for k in range(6):
        assert not told(watch.decide(QUARTER_S * k, [telegram(devices, QUARTER_S * k, 0.3 * k)]), "alarm")


def test_who_misses_a_standing_order_is_an_alarm_once(room):
    devices, points, watch = room
    found = []
    for k in range(8):
        order(points, devices, 0.5, QUARTER_S * k)
        found += told(watch.decide(QUARTER_S * k, [telegram(devices, QUARTER_S * k, 0.0)]), "alarm")
    count = int((devices.kind == "storage").sum())
    assert [(a["kind"], a["text"], a["value"]) for a in found] == [
        ("storage", f"dso_1.f01: deviation, {count} batteries", count)
    ]


def test_who_does_as_told_raises_nothing(room):
    devices, points, watch = room
    rated = devices.p_rated_mw[devices.kind == "storage"]
    for k in range(8):
        order(points, devices, 0.1, QUARTER_S * k)
        assert not told(watch.decide(QUARTER_S * k, [telegram(devices, QUARTER_S * k, 0.1 * rated)]), "alarm")


def test_what_cannot_go_on_is_known_beforehand(room):
    devices, points, watch = room
    rated = devices.p_rated_mw[devices.kind == "storage"]
    texts = []
    for k in range(4):
        order(points, devices, 0.9, QUARTER_S * k)
        out = watch.decide(QUARTER_S * k, [telegram(devices, QUARTER_S * k, 0.9 * rated, soc=0.06)])
        texts += [a["text"] for a in told(out, "alarm")]
    assert len(texts) == 1
    assert texts[0].startswith("dso_1.f01: empty")


def test_strangers_change_nothing(room):
    watch = room[2]
    values = {"device": np.array([10**6, 0]), "p_mw": np.ones(2), "soc_mwh": np.ones(2)}
    account, = told(watch.decide(0.0, [Message("x", "dso_1.dms", "storage", values)]), "goal")
    assert account["stored_mwh"] == 0.0
    assert not watch.decide(60.0, [])
