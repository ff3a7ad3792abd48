import datetime as dt

import numpy as np
import pytest

from controllers.local.compensator import StaticCompensator
from sims.core.message import Message
from sims.der.compensation import Capacitors, within_reach
from sims.der.fleet import DeviceTable
from sims.der.law import Bound
from sims.der.profiles import Profiles
from sims.der.simulator import DerSimulator

NONE = np.array([np.nan])


def test_orders_choose_the_nearest_step_and_follow_the_voltage_squared():
    bank = Capacitors(np.array([1.2]), np.array([4]))
    assert bank.act(np.array([0.7]), np.array([1.0]), 60.0) == pytest.approx([0.6])
    assert bank.act(np.array([0.7]), np.array([1.1]), 60.0) == pytest.approx([2 * 0.3 * 1.21])
    assert bank.act(np.array([9.0]), np.array([1.0]), 60.0) == pytest.approx([1.2])
    assert bank.act(np.array([-9.0]), np.array([1.0]), 60.0) == pytest.approx([0.0])
    assert bank.operations.tolist() == [3]


def test_without_orders_a_step_at_a_time_and_not_again_before_it_has_discharged():
    bank = Capacitors(np.array([1.2]), np.array([4]), wait_s=60.0)
    low = np.array([0.9])
    bank.act(NONE, low, 60.0)
    assert bank.position.tolist() == [1]
    bank.act(NONE, low, 30.0)
    assert bank.position.tolist() == [1]
    bank.act(NONE, low, 30.0)
    assert bank.position.tolist() == [2]
    bank.act(NONE, np.array([1.0]), 600.0)
    assert bank.position.tolist() == [2], "between the thresholds nothing moves"
    bank.act(NONE, np.array([1.06]), 60.0)
    assert bank.position.tolist() == [1]
    twin = Capacitors(np.array([1.2]), np.array([4]))
    twin.set_state(bank.get_state())
    assert twin.act(NONE, np.array([1.0]), 60.0) == pytest.approx(bank.act(NONE, np.array([1.0]), 60.0))


def test_a_dark_bank_stays_as_it_is():
    bank = Capacitors(np.array([1.2]), np.array([4]))
    assert bank.act(NONE, np.array([0.0]), 60.0) == pytest.approx([0.0])
    assert bank.operations.tolist() == [0]


def test_reach_of_svc_and_statcom():
    found = within_reach(np.array([5.0, -5.0]), np.array([2.0, 2.0]), np.array([0.9, 0.9]), np.array([False, True]))
    assert found == pytest.approx([2 * 0.81, -1.8])


def test_orders_move_compensation_in_the_simulator_and_expire_to_its_own_control():
    table = DeviceTable.of(
        feeder_names=("f",), dso_names=("d",), name=["bank", "svc", "pv"], kind=["capacitor", "svc", "pv"],
        feeder=[0, 0, 0], node=[1, 2, 3], dso=[0, 0, 0], p_rated_mw=[0.0, 0.0, 1.0], s_rated_mva=[1.2, 2.0, 1.1],
        steps=[4, 1, 1],
    )
    series = Profiles(("X_p",), np.ones((8, 1)), 0, 900_000, dt.datetime.fromisoformat("2016-07-18T10:00+02:00"))
    laws = [Bound(StaticCompensator(1, susceptance=True, name="svc"), np.array([1]))]
    sim = DerSimulator(
        table, series, sources={"d": np.arange(3)}, laws=laws, authorize=lambda *_: None, step_ms=60_000,
        until_ms=3_600_000,
    )
    mail = Message(
        "dms", "der", "command/control_voltage", {"device": [0, 1], "q_set_mvar": [0.65, 9.0]}, sent_ms=0,
        ttl_ms=120_000,
    )
    out = sim.step(0, {"commands": {"comms": (mail,)}}).outputs
    assert out["q_mvar"][:2] == pytest.approx([0.6, 2.0]), "the nearest step; the rating at 1 pu"
    assert out["qu_mvar"][1] == 0.0, "its own control rests"
    seen = {"v_pu": {"d": np.array([0.9, 0.9, 1.0])}}
    out = sim.step(60_000, seen).outputs
    assert out["q_mvar"][:2] == pytest.approx([3 * 0.3 * 0.81, 2.0 * 0.81])
    out = sim.step(120_000, seen).outputs
    assert out["qu_mvar"][1] == pytest.approx(2.0), "expired: Q(U) again"
    assert out["p_mw"][:2].tolist() == [0.0, 0.0]
    twin = sim.get_state()
    assert twin["dispatch"]["capacitors"]["operations"].tolist() == sim.dispatch.capacitors.operations.tolist()
