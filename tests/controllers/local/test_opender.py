"""IEEE 1547-2018 laws against EPRI's OpenDER, where that package is installed."""

from dataclasses import replace

import numpy as np
import pytest

from controllers.local import rules
from controllers.local.freq_droop import FrequencyDroop
from controllers.local.makers import makers
from controllers.local.pu import VOLT_WATT_B, PowerVoltage
from controllers.local.qu import VOLT_VAR_B, ReactiveVoltage
from controllers.local.trips import Trips

opender = pytest.importorskip("opender")


def reference(**settings):
    unit = opender.DER_PV()
    for key, value in settings.items():
        setattr(unit.der_file, key, value)
    return unit


def law_of(category, law):
    return makers(rules.read(f"ieee1547_{category}"))[law](1)


def steady(unit, v, f, p_avail, steps=1):
    opender.DER.t_s = 10000
    for _ in range(steps):
        unit.update_der_input(v_pu=v, f=f, p_dc_pu=p_avail)
        unit.run()
    return unit


@pytest.mark.parametrize("v", [0.90, 0.93, 0.96, 1.0, 1.03, 1.05, 1.07, 1.09])
def test_volt_var(terminal, v):
    unit = steady(reference(QV_MODE_ENABLE=True), v, 60.0, 0.6, steps=3)
    law = ReactiveVoltage(1, VOLT_VAR_B, ratio=0.44, of="s", tau_s=0.0)
    _, q = law.respond(terminal(v_pu=v, s_rated_mva=1.0), 1.0)
    assert q[0] == pytest.approx(unit.q_desired_pu, abs=1e-6)


@pytest.mark.parametrize("v", [1.0, 1.06, 1.07, 1.085, 1.095])
@pytest.mark.parametrize("p_avail", [0.3, 1.0])
def test_volt_watt(terminal, v, p_avail):
    unit = steady(reference(PV_MODE_ENABLE=True), v, 60.0, p_avail, steps=3)
    p, _ = PowerVoltage(1, VOLT_WATT_B, of="rated").respond(terminal(p_mw=p_avail, v_pu=v), 1.0)
    assert p[0] == pytest.approx(unit.p_desired_pu, abs=1e-6)


@pytest.mark.parametrize("f", [59.3, 59.97, 60.0, 60.03, 60.2, 60.5, 61.0])
def test_frequency_droop_in_time(terminal, f):
    unit = reference()
    opender.DER.t_s = 0.01
    law = FrequencyDroop(1)
    for k in range(600):
        now = 60.0 if k < 5 else f
        unit.update_der_input(v_pu=1.0, f=now, p_dc_pu=0.8)
        unit.run()
        p, _ = law.respond(terminal(p_mw=0.8, f_hz=now), 0.01)
        assert p[0] == pytest.approx(unit.p_desired_pu, abs=2e-3), k
    assert np.isfinite(p).all()


def wander(rng, seconds, dt, low, high, every_s, hold=0.3):
    """Return a path of straight lines between random points, some of them held."""
    count = int(seconds / every_s) + 2
    points = rng.uniform(low, high, count)
    for k in range(1, count):
        if rng.random() < hold:
            points[k] = points[k - 1]
    return np.interp(np.arange(int(seconds / dt)) * dt, np.arange(count) * every_s, points)


def follow(unit, law, terminal, dt, v, f, p_avail, read):
    """Run both over one trajectory; return what each came to, [step]."""
    opender.DER.t_s = dt
    ours, theirs = np.empty(len(v)), np.empty(len(v))
    for k in range(len(v)):
        unit.update_der_input(v_pu=v[k], f=f[k], p_dc_pu=p_avail[k])
        unit.run()
        now = terminal(v_pu=v[k], f_hz=f[k], p_mw=p_avail[k], s_rated_mva=1.0)
        if k == 0:
            for _ in range(40):  # the reference begins in its steady state
                law.respond(now, 10.0)
        ours[k], theirs[k] = law.respond(now, dt)["pq".index(read)][0], getattr(unit, f"{read}_desired_pu")
    return ours, theirs


@pytest.mark.parametrize("category", ["a", "b"])
def test_volt_var_over_random_trajectories(terminal, category):
    rng, dt = np.random.default_rng(7), 0.02
    v = wander(rng, 60, dt, 0.89, 1.099, 15.0)
    steady = np.full(len(v), 60.0), np.full(len(v), 0.6)
    unit = reference(NP_NORMAL_OP_CAT=f"CAT_{category.upper()}", QV_MODE_ENABLE=True)
    ours, theirs = follow(unit, law_of(category, "qu"), terminal, dt, v, *steady, "q")
    assert np.ptp(theirs) > 0.1
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("category", ["a", "b"])
def test_volt_watt_over_random_trajectories(terminal, category):
    rng, dt = np.random.default_rng(7), 0.02
    v = wander(rng, 60, dt, 1.05, 1.0999, 15.0)
    p = wander(rng, 60, dt, 0.5, 1.0, 20.0)
    unit = reference(NP_NORMAL_OP_CAT=f"CAT_{category.upper()}", PV_MODE_ENABLE=True)
    ours, theirs = follow(unit, law_of(category, "pu"), terminal, dt, v, np.full(len(v), 60.0), p, "p")
    assert (theirs < p - 0.05).any()
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("category", ["a", "b"])
def test_watt_var_over_random_trajectories(terminal, category):
    rng, dt = np.random.default_rng(7), 0.02
    p = wander(rng, 60, dt, 0.0, 1.0, 15.0)
    unit = reference(NP_NORMAL_OP_CAT=f"CAT_{category.upper()}", QP_MODE_ENABLE=True, QP_RT=10)
    steady = np.ones(len(p)), np.full(len(p), 60.0)
    ours, theirs = follow(unit, law_of(category, "cosphi"), terminal, dt, *steady, p, "q")
    assert np.ptp(theirs) > 0.05
    assert np.abs(ours - theirs).max() < 1e-3


def test_frequency_droop_over_random_trajectories(terminal):
    """Excursions both ways, each from a steady state, as the reference takes it for what was before."""
    rng, dt = np.random.default_rng(7), 0.02
    f = np.concatenate([
        np.interp(np.arange(int(40 / dt)) * dt, [0, 2, 6, 10, 15, 20, 22, 40], [60, 60, *rng.uniform(*span, 4), 60, 60])
        for span in ((60.1, 61.0), (59.2, 59.9))
    ])
    steady = np.ones(len(f)), np.full(len(f), 0.7)
    unit = reference(PV_MODE_ENABLE=False)
    ours, theirs = follow(unit, law_of("b", "pf_4105"), terminal, dt, steady[0], f, steady[1], "p")
    assert theirs.min() < 0.6
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize(("category", "abnormal"), [("a", "CAT_I"), ("b", "CAT_III")])
@pytest.mark.parametrize("seed", [0, 1])
def test_trips_and_return_over_random_trajectories(terminal, category, abnormal, seed):
    rng, dt = np.random.default_rng(seed), 0.125
    v, f = np.ones(int(400 / dt)), np.full(int(400 / dt), 60.0)
    for start in (20, 60, 90):  # dips and swells, some short enough to be ridden through
        a = int((start + rng.uniform(0, 5)) / dt)
        b = a + int(rng.uniform(0.5, 25) / dt)
        if rng.random() < 0.6:
            v[a:b] = rng.choice([0.47, 0.8, 0.9, 1.08, 1.12])
        else:
            f[a:b] = rng.choice([56.0, 58.0, 59.4, 61.5, 62.5])
    p = wander(rng, 400, dt, 0.2, 1.0, 60.0)
    unit = reference(
        PF_MODE_ENABLE=False, NP_ABNORMAL_OP_CAT=abnormal, ES_RAMP_RATE=200, ES_DELAY=60, MC_ENABLE=False,
    )
    law = Trips(1, replace(law_of(category, "trips").settings, delay_s=60.0, ramp_s=200.0, cease_v_pu=None))
    ours, theirs = follow(unit, law, terminal, dt, v, f, p, "p")
    off = theirs == 0
    assert np.abs(ours - theirs).max() < 1e-3
    assert off.any()
    assert not off[-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_momentary_cessation_over_random_trajectories(terminal, seed):
    rng, dt = np.random.default_rng(seed), 0.02
    v = np.ones(int(90 / dt))
    for start in (10, 30, 50, 70):  # none long enough to trip
        a = int((start + rng.uniform(0, 5)) / dt)
        v[a : a + int(rng.uniform(0.02, 1.8) / dt)] = rng.choice([0.2, 0.45, 0.8, 1.12, 1.18])
    p = wander(rng, 90, dt, 0.3, 1.0, 30.0)
    unit = reference(
        PF_MODE_ENABLE=False, NP_ABNORMAL_OP_CAT="CAT_III", MC_ENABLE=True, MC_LVRT_V1=0.5, MC_HVRT_V1=1.1,
        MC_RESP_T=0.07, MC_RETURN_T=0.39, NP_RT_RAMP_UP_TIME=0,
    )
    settings = law_of("b", "trips").settings
    assert settings.cease_v_pu == (0.5, 1.1)
    law, ours, theirs = Trips(1, replace(settings, cease_s=0.07, restore_s=0.39)), [], []
    opender.DER.t_s = dt
    for k in range(len(v)):
        unit.update_der_input(v_pu=v[k], f=60.0, p_dc_pu=p[k])
        unit.run()
        theirs.append(unit.ridethroughperf.rt_ctrl in ("Cease to Energize", "Trip"))
        ours.append(bool(law.respond(terminal(v_pu=v[k], f_hz=60.0, p_mw=p[k], s_rated_mva=1.0), dt)[0][0] == 0.0))
    assert any(theirs)
    assert not theirs[-1]
    assert ours == theirs
