"""IEEE 1547-2018 laws against EPRI's OpenDER, where that package is installed."""

import numpy as np
import pytest

from controllers.local.freq_droop import FrequencyDroop
from controllers.local.pu import VOLT_WATT_B, PowerVoltage
from controllers.local.qu import VOLT_VAR_B, ReactiveVoltage

opender = pytest.importorskip("opender")


def reference(**settings):
    unit = opender.DER_PV()
    for key, value in settings.items():
        setattr(unit.der_file, key, value)
    return unit


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
