"""The model reduced to one machine, against closed forms and the design incident of Continental Europe."""

import json
from pathlib import Path

import numpy as np
import pytest

from sims.transmission.disturbances import LoadStep
from sims.transmission.dynamics import Dynamics

SFR = json.loads((Path(__file__).parents[2] / "data" / "frequency" / "sfr.json").read_text())


def low_order_response(t, p, h, r, k_m, f_h, t_r, d):
    """Frequency after a step [pu]; Anderson and Mirheydar, IEEE Trans. Power Systems 5(3), 1990, pp. 720-729."""
    w_n = np.sqrt((d * r + k_m) / (2 * h * r * t_r))
    zeta = (2 * h * r + (d * r + k_m * f_h) * t_r) / (2 * (d * r + k_m)) * w_n
    w_r = w_n * np.sqrt(1 - zeta**2)
    alpha = np.sqrt((1 - 2 * t_r * zeta * w_n + t_r**2 * w_n**2) / (1 - zeta**2))
    phi = np.arctan2(w_r * t_r, 1 - zeta * w_n * t_r) - np.arctan2(np.sqrt(1 - zeta**2), -zeta)
    return r * p / (d * r + k_m) * (1 + alpha * np.exp(-zeta * w_n * t) * np.sin(w_r * t + phi))


@pytest.mark.parametrize("name", [n for n in SFR if n.startswith("S")])
def test_one_reheat_machine_equals_the_closed_form(name, single, solve):
    expected, p = SFR[name], SFR[name]["params"]
    steam = {
        "model": "tgov1n", "r": p["R"] / p["Km"], "t1_s": 0.0, "t2_s": p["FH"] * p["TR"], "t3_s": p["TR"],
        "v_min": -5.0, "v_max": 5.0,
    }
    case = single(steam, h_s=p["H"], d_pu=p["D"])
    dynamics = Dynamics(case, solve(case))
    dynamics.schedule(LoadStep(0, 2, -100.0 * p["P"]))
    t, df = [], []
    for t_ms in range(0, 60_000, 10):
        dynamics.advance(t_ms)
        t.append(t_ms / 1000)
        df.append(dynamics.f_coi_hz - 50.0)
    df = np.array(df)
    assert df.min() == pytest.approx(expected["nadir_Hz"], rel=1e-3)
    assert t[df.argmin()] == pytest.approx(expected["t_nadir"], abs=0.02)
    assert df[1] / 0.01 == pytest.approx(expected["rocof0_Hz_s"], rel=0.01)
    assert df[-1] == pytest.approx(expected["qss_Hz"], rel=1e-3)
    form = 50.0 * low_order_response(np.array(t), p["P"], p["H"], p["R"], p["Km"], p["FH"], p["TR"], p["D"])
    assert np.abs(df - form).max() < 1e-3 * abs(expected["nadir_Hz"])


@pytest.mark.parametrize(
    ("t_a_s", "load_gw", "ev_mw", "nadir_mhz", "t_nadir_s", "steady_mhz"),
    [
        (10.0, 150.0, 0.0, -778.4, 18.3, -181.8),
        (12.0, 150.0, 0.0, -702.6, None, -181.8),
        (10.0, 300.0, 0.0, -389.2, None, None),
        (10.0, 150.0, 1000.0, -438.1, None, -144.2),
    ],
)
def test_reference_incident_of_continental_europe(
    t_a_s, load_gw, ev_mw, nadir_mhz, t_nadir_s, steady_mhz, single, solve,
):
    """Loss of 3000 MW: FCR of 3000 MW per 200 mHz deployed at 100 MW/s, self-regulation 1 %/Hz."""
    base = load_gw * 1000.0
    case = single(
        {"model": "constant"}, h_s=t_a_s / 2, d_pu=0.01 * 50.0, sn_mva=base, p_mw=0.5 * base, base_mva=base)
    dynamics = Dynamics(case, solve(case), interfaces=[2])
    dynamics.schedule(LoadStep(0, 2, 3000.0))
    fcr = ev = 0.0
    df = []
    for t_ms in range(0, 90_000 if steady_mhz else 25_000, 10):
        dynamics.advance(t_ms)
        x = dynamics.f_coi_hz - 50.0
        df.append(x)
        wanted = np.clip(-15000.0 * x, -3000.0, 3000.0)
        fcr += np.clip(wanted - fcr, -1.0, 1.0)
        reached = np.clip(-np.sign(x) * max(abs(x) - 0.02, 0.0) * 5000.0, -ev_mw, ev_mw)
        ev += (reached - ev) * (1 - np.exp(-0.01 / 0.2))
        dynamics.set_boundary(np.array([fcr + ev]), np.zeros(1))
    df = 1000.0 * np.array(df)
    assert df.min() == pytest.approx(nadir_mhz, rel=2e-3)
    if t_nadir_s is not None:
        assert df.argmin() * 0.01 == pytest.approx(t_nadir_s, abs=0.1)
    if steady_mhz is not None:
        assert df[-1] == pytest.approx(steady_mhz, rel=1e-3)
