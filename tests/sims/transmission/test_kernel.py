"""The machine and governor equations one at a time, against independent formulations."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sims.transmission import kernel as k
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import LoadStep
from sims.transmission.dynamics import Dynamics

HYDRO = {
    "model": "hygov", "r": 0.04, "r_temp": 0.4, "tr_s": 6.0, "tf_s": 0.05, "tg_s": 0.3, "velm": 0.16,
    "g_min": 0.0, "g_max": 1.0, "tw_s": 1.5, "at": 1.15, "dturb": 0.3, "q_nl": 0.06,
}


def hydro_plant(t, y, p_load, p, h_s, d):
    """IEEE 1992 non-elastic water column with a PI governor in transfer-function form (own state choice)."""
    w, filtered, integral, gate, flow, g0 = y
    servo = filtered / p["r_temp"] + integral
    head = (flow / gate) ** 2
    error = -w - p["r"] * (servo - g0)
    p_m = p["at"] * head * (flow - p["q_nl"]) - p["dturb"] * w * gate
    return [
        (p_m - p_load - d * w) / (2 * h_s), (error - filtered) / p["tf_s"], filtered / (p["r_temp"] * p["tr_s"]),
        (servo - gate) / p["tg_s"], (1 - head) / p["tw_s"], 0.0,
    ]


def test_hydro_governor_equals_an_independent_solution(single, solve):
    case = single(HYDRO, h_s=4.0, d_pu=0.5, sn_mva=200.0, p_mw=100.0)
    dynamics = Dynamics(case, solve(case))
    p0 = dynamics.p_mech_mw[0] / 200.0
    gate = p0 / HYDRO["at"] + HYDRO["q_nl"]
    dynamics.schedule(LoadStep(0, 2, 6.0))
    t = np.arange(0, 60_001, 100)
    found = []
    for t_ms in t:
        dynamics.advance(int(t_ms))
        found.append(dynamics.f_coi_hz / 50.0 - 1.0)
    expected = solve_ivp(
        hydro_plant, (0, 60), [0, 0, gate, gate, gate, gate], args=(p0 + 0.03, HYDRO, 4.0, 0.5), t_eval=t / 1000,
        rtol=1e-9, atol=1e-11,
    ).y[0]
    assert np.abs(np.array(found) - expected).max() < 2e-3 * np.abs(expected).max()
    assert np.array(found).min() < 2.0 * found[-1]  # the water column makes the dip deep


def test_hydro_power_falls_first_when_the_gate_opens(single, solve):
    case = single({**HYDRO, "dturb": 0.0}, h_s=50.0, d_pu=0.0, sn_mva=200.0, p_mw=100.0)
    dynamics = Dynamics(case, solve(case))
    before = dynamics.p_mech_mw[0]
    dynamics.schedule(LoadStep(0, 2, 10.0))
    early = []
    for t_ms in range(100, 1100, 100):
        dynamics.advance(t_ms)
        early.append(dynamics.p_mech_mw[0])
    assert early[2] < early[0] < before
    assert min(early) < before - 0.05
    dynamics.advance(120_000)
    assert dynamics.p_mech_mw[0] == pytest.approx(before + 10.0, abs=0.3)


def test_hydro_gate_keeps_its_rate_and_its_limit(single, solve):
    case = single({**HYDRO, "velm": 0.02, "g_max": 0.6}, h_s=5.0, d_pu=2.0, sn_mva=200.0, p_mw=100.0)
    dynamics = Dynamics(case, solve(case))
    gate = dynamics._x[k.GOV1, 0]
    dynamics.schedule(LoadStep(0, 2, 40.0))
    dynamics.advance(1000)
    assert dynamics._x[k.GOV1, 0] - gate == pytest.approx(0.02, rel=0.05)
    dynamics.advance(60_000)
    assert dynamics._x[k.GOV1, 0] == 0.6


def test_steam_valve_stops_at_its_limit_without_windup(single, solve):
    steam = {"model": "tgov1n", "r": 0.05, "t1_s": 0.3, "t2_s": 0.0, "t3_s": 0.0, "v_max": 0.6}
    case = single(steam, h_s=5.0, d_pu=3.0)
    dynamics = Dynamics(case, solve(case))
    dynamics.schedule(LoadStep(0, 2, 30.0))
    dynamics.schedule(LoadStep(20_000, 2, -30.0))
    dynamics.advance(20_000)
    assert dynamics.p_mech_mw[0] == pytest.approx(60.0)
    assert dynamics.f_coi_hz - 50.0 == pytest.approx(-50.0 * (0.8 - 0.6) / 3.0, rel=5e-3)
    dynamics.advance(60_000)
    assert dynamics.f_coi_hz == pytest.approx(50.0, abs=1e-3)


def test_field_voltage_stays_in_its_limits(start):
    dynamics = start("kundur")
    dynamics.schedule(LoadStep(100, 8, 0.0, 1300.0))
    seen = []
    for t_ms in range(100, 6000, 100):
        dynamics.advance(t_ms)
        seen.append(dynamics._x[k.EFD].copy())
    assert np.max(seen) == 6.0
    assert np.min(seen) >= 0.0


def test_open_circuit_time_constant(case_of):
    """A machine almost unloaded answers a field step with Td0' and Td0''."""
    data = {
        "name": "open", "base_mva": 100.0, "f0_hz": 50.0, "cells": {"1": "a"},
        "bus": [{"id": 1, "cell": 1}, {"id": 2, "cell": 1}], "branch": [{"from": 1, "to": 2, "x_pu": 0.1}],
        "load": [{"bus": 2, "p_mw": 0.001}],
        "machine": [{
            "name": "G", "bus": 1, "sn_mva": 100.0, "p_mw": 0.001, "slack": True, "h_s": 5.0, "d_pu": 1.0,
            "model": "genrou", "xl": 0.1, "xd": 1.8, "xq": 1.7, "xd1": 0.3, "xq1": 0.5, "xd2": 0.25,
            "td10_s": 8.0, "td20_s": 0.04, "tq10_s": 0.5, "tq20_s": 0.05,
        }],
    }
    dynamics = Dynamics(MachineCase.from_dict(data), np.ones(2, complex))
    dynamics._x[k.EFD] += 0.1  # no exciter: the field voltage is the machine's input
    for t_s in (1.0, 4.0, 8.0, 16.0):
        dynamics.advance(int(t_s * 1000))
        expected = 1.0 + 0.1 * (1 - np.exp(-t_s / 8.0))
        assert dynamics.v_terminal_pu[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("z", "i"), [(1.0, 0.0), (0.0, 1.0), (0.3, 0.4), (0.0, 0.0)])
def test_load_follows_voltage_as_its_shares_say(z, i, case_of, solve):
    case = case_of("kundur").with_loads(z=z, i=i)
    dynamics = Dynamics(case, solve(case), interfaces=[7])
    before = dynamics.v_bus[6]
    dynamics.set_boundary(np.array([0.0]), np.array([-150.0]))
    v = dynamics.v_bus
    at_from, at_to = dynamics.s_branch_mva
    drawn = -(at_from[case.branch_from == 6].sum() + at_to[case.branch_to == 6].sum())
    ratio = abs(v[6]) / abs(before)
    assert ratio < 0.98
    shares = z * ratio**2 + i * ratio + (1 - z - i)
    assert drawn == pytest.approx((1159.0 - 73.5j) * shares + 150.0j, abs=1e-3)
