"""The DMS makes up for missing inertia with batteries; by hand: 200 MW lost at 50 Hz and 1 Hz/s ask for 5000 MWs."""

import numpy as np
import pytest

from controllers.centralized.inertia import ProvideInertia
from sims.core.message import Message

DSO_2 = {"cell": 2, "own_mws": 9000.0, "needed_mws": 5000.0, "export_mw": 300.0, "import_mw": 300.0}


def tie(t_s, inertia_mws, largest_mw=200.0, p_tie_mw=100.0):
    values = {"f_hz": 50.0, "p_tie_mw": p_tie_mw, "p_sched_mw": 100.0, "inertia_mws": inertia_mws,
              "largest_mw": largest_mw}
    return Message("tso", "dso_1.dms", "tie", values, sent_ms=round(1000 * t_s))


def gains(out):
    return {int(d): float(v) for m in out if "inertia_mw_s_per_hz" in m.values
            for d, v in zip(m.values["device"], m.values["inertia_mw_s_per_hz"], strict=True)}


def told(out, topic="goal"):
    return next((m.values for m in out if m.topic == topic), None)


@pytest.fixture
def room(kit):
    def make(storage=0.5, **settings):
        field = kit.field(kit.feeder("oberrhein", storage=storage))
        return field.belief.devices, ProvideInertia(kit.site([field.belief], settings=settings))

    return make


def test_what_is_missing_is_shared_by_headroom(room):
    devices, controller = room()
    out = controller.decide(0.0, [tie(0.0, 4900.0)])
    mine = devices.kind == "storage"
    given = np.array([gains(out)[int(d)] for d in devices.index[mine]])
    # 100 MWs are a gain of 2 E / f0 = 4 MW s/Hz in all.
    np.testing.assert_allclose(given, 4.0 * devices.p_rated_mw[mine] / devices.p_rated_mw[mine].sum())
    account = told(out)
    assert account["needed_mws"] == pytest.approx(5000.0)
    assert account["own_mws"] == pytest.approx(5000.0)
    assert account["assigned_mws"] == pytest.approx(100.0)
    assert told(out, "alarm") is None


def test_who_owns_enough_assigns_nothing_and_can_hand_on(room):
    _, controller = room()
    out = controller.decide(0.0, [Message("dso_2.dms", "dso_1.dms", "inertia", DSO_2), tie(0.0, 8000.0)])
    assert not gains(out)
    account = told(out)
    assert account["deliverable_mws"] == pytest.approx(3000.0)
    assert (account["lent_mws"], account["borrowed_mws"]) == (0.0, 0.0)


def test_what_batteries_cannot_do_is_borrowed_and_the_rest_an_alarm(room):
    devices, controller = room(storage=0.01)
    most = 25.0 * float(devices.p_rated_mw[devices.kind == "storage"].sum())
    alone = controller.decide(0.0, [tie(0.0, 3000.0)])
    assert told(alone)["assigned_mws"] == pytest.approx(most)
    assert told(alone, "alarm") is None, "others may not have been heard of yet"
    still = controller.decide(900.0, [tie(900.0, 3000.0)])
    assert told(still, "alarm")["value"] == pytest.approx(2000.0 - most)
    helped = controller.decide(1800.0, [Message("dso_2.dms", "dso_1.dms", "inertia", DSO_2, sent_ms=1_799_000),
                                        tie(1800.0, 3000.0)])
    assert told(helped)["borrowed_mws"] == pytest.approx(2000.0 - most)
    assert told(helped, "alarm") is None


def test_never_more_than_the_machines_own(room):
    _, controller = room(storage=50.0)
    assert told(controller.decide(0.0, [tie(0.0, 1000.0)]))["assigned_mws"] == pytest.approx(1000.0)


def test_the_account_is_made_anew_each_quarter_hour_and_when_a_machine_is_lost(room):
    _, controller = room()
    assert controller.decide(0.0, [tie(0.0, 6000.0)])
    assert not controller.decide(60.0, [tie(60.0, 6000.0)])
    lost = controller.decide(120.0, [tie(120.0, 4950.0)])
    assert told(lost)["assigned_mws"] == pytest.approx(50.0)
    assert controller.decide(1020.0, [tie(1020.0, 4950.0)])
    taken_back = controller.decide(1080.0, [tie(1080.0, 6000.0)])
    assert set(gains(taken_back).values()) == {np.inf}


def test_other_cells_are_told(room):
    field_site = room()[1]
    field_site._others = ("dso_2.dms",)
    letter = next(m for m in field_site.decide(0.0, [tie(0.0, 6000.0)]) if m.topic == "inertia")
    assert letter.receiver == "dso_2.dms"
    assert letter.values["own_mws"] == 6000.0
