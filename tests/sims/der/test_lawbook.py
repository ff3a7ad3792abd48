import datetime as dt

import numpy as np
import pytest

from controllers.local.pf import PowerFrequency
from controllers.local.pu import PowerVoltage
from sims.der.fleet import DeviceTable
from sims.der.law import Bound, View
from sims.der.profiles import Profiles
from sims.der.simulator import DerSimulator

TICK = 900_000


def simulator():
    table = DeviceTable.of(
        name=["a", "x", "b"], kind=["pv", "load", "pv"], feeder=[0] * 3, node=[1] * 3, dso=[0] * 3,
        p_rated_mw=[1.0] * 3, feeder_names=("f",), dso_names=("d",),
    )
    profiles = Profiles(("s_p",), np.ones((8, 1)), 0, TICK, dt.datetime.fromisoformat("2016-07-18T00:00+02:00"))
    pv = np.array([0, 2])
    return DerSimulator(
        table, profiles, sources={"d": np.arange(3)}, laws=[Bound(PowerVoltage(2), pv), Bound(PowerFrequency(2), pv)],
        authorize=lambda *_: None, step_ms=TICK, until_ms=8 * TICK,
    )


def fed(sim, v, f):
    o, laws = sim.out, sim.laws
    curve = {slot: laws.curves[laws.index[slot][0]] for slot in ("pu", "pf")}
    return o["p"] + o["pu"] * curve["pu"](np.full(3, v)) + o["pf"] * curve["pf"](np.full(3, f))


def test_a_tripped_unit_does_not_draw_power_at_high_voltage():
    sim = simulator()
    sim.step(0, {})
    assert fed(sim, 1.11, 50.0)[0] == pytest.approx(0.5)
    sim.step(TICK, {"f_hz": {"transmission": np.array([51.6])}})
    assert fed(sim, 1.11, 51.6)[[0, 2]].tolist() == [0.0, 0.0]
    assert fed(sim, 1.11, 51.6)[1] == -1.0


def test_two_reductions_do_not_add_up_to_consumption():
    sim = simulator()
    sim.step(0, {})
    sim.step(TICK, {"v_pu": {"d": np.full(3, 1.119)}, "f_hz": {"transmission": np.array([51.0])}})
    assert fed(sim, 1.119, 51.0)[0] == pytest.approx(0.05 * (1 - 0.4 * 0.8))
    assert fed(sim, 1.0, 51.0)[0] > 0.9


def test_laws_see_only_their_own_devices():
    sim = simulator()
    view = View(sim.laws.terminal, np.array([0, 2]))
    sim.v_pu[:] = [1.0, 1.1, 1.2]
    assert view.v_pu.tolist() == [1.0, 1.2]
    assert View(sim.laws.terminal, np.array([1, 2])).v_pu.base is sim.v_pu
