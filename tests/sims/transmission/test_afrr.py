import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.transmission.afrr import SecondaryControl, network_characteristic
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import LoadStep
from sims.transmission.dynamics import Dynamics

ZERO = np.zeros(2)


def saadat():
    """Two areas of H. Saadat, Power System Analysis, example 12.4/12.5, with a tie of P_s = 2 pu."""
    areas = [(5.0, 0.05, 0.6, 0.2, 0.5), (4.0, 0.0625, 0.9, 0.3, 0.6)]
    return MachineCase.from_dict({
        "name": "Saadat", "base_mva": 1000.0, "f0_hz": 50.0, "cells": {"1": "area 1", "2": "area 2"},
        "bus": [{"id": 1, "cell": 1}, {"id": 2, "cell": 2}], "branch": [{"from": 1, "to": 2, "x_pu": 0.48}],
        "load": [{"bus": 1, "p_mw": 500.0}, {"bus": 2, "p_mw": 500.0}],
        "machine": [
            {"name": f"area {i + 1}", "bus": i + 1, "sn_mva": 1000.0, "p_mw": 500.0, "slack": i == 0, "h_s": h,
             "d_pu": d, "xd1": 0.01,
             "governor": {"model": "tgov1n", "r": r, "t1_s": t_g, "t2_s": 0.0, "t3_s": t_t, "v_max": 2.0}}
            for i, (h, r, d, t_g, t_t) in enumerate(areas)
        ],
    })


def mean_of_the_end(dynamics, t_ms, each=lambda _: None):
    """Means over the last 20 s: the tie's own swing, which these data hardly damp, is left out."""
    seen = []
    for now_ms in range(0, t_ms + 1, 100):
        dynamics.advance(now_ms)
        each(now_ms)
        if now_ms > t_ms - 20_000:
            seen.append(np.concatenate([dynamics.f_cell_hz, dynamics.p_mech_mw, dynamics.p_tie_mw]))
    mean = np.mean(seen, axis=0)
    return mean[:2], mean[2:4], mean[4]


def test_two_areas_share_a_load_by_their_droops():
    dynamics = Dynamics(saadat(), np.ones(2, complex))
    dynamics.schedule(LoadStep(0, 1, 187.5))
    f_hz, p_mw, tie_mw = mean_of_the_end(dynamics, 200_000)
    assert f_hz / 50.0 - 1.0 == pytest.approx([-0.005, -0.005], rel=2e-3)
    assert p_mw - 500.0 == pytest.approx([100.0, 80.0], rel=2e-3)
    assert tie_mw == pytest.approx(-84.5, rel=2e-3)


def test_two_areas_with_secondary_control_end_where_the_disturbance_is():
    dynamics = Dynamics(saadat(), np.ones(2, complex))
    bias = np.array([20.6, 16.9]) * 1000.0 / 50.0
    control = SecondaryControl(bias, np.array([0, 1]), np.ones(2), k_p=0.0, t_i_s=1 / 0.3, cycle_ms=100)
    dynamics.schedule(LoadStep(0, 1, 187.5))

    def cycle(now_ms):
        dynamics.set_p_ref(control.act(now_ms, dynamics.f_cell_hz, dynamics.p_export_mw, ZERO))

    f_hz, p_mw, tie_mw = mean_of_the_end(dynamics, 150_000, cycle)
    assert p_mw - 500.0 == pytest.approx([187.5, 0.0], abs=0.1)
    assert f_hz == pytest.approx([50.0, 50.0], abs=1e-4)
    assert tie_mw == pytest.approx(0.0, abs=0.1)


def test_one_cycle_by_hand():
    control = SecondaryControl(
        np.array([800.0, 400.0]), np.array([0, 0, 1]), np.array([1.0, 3.0, 2.0]), k_p=0.1, t_i_s=120.0)
    # ACE = -60 + 800 * -0.05 = -100 and 60 + 400 * -0.05 = 40; integral 4/120 of it
    out = control.act(0, np.array([49.95, 49.95]), np.array([40.0, 60.0]), np.array([100.0, 0.0]))
    assert control.ace_mw == pytest.approx([-100.0, 40.0])
    first = 100.0 * (0.1 + 4 / 120)
    assert out == pytest.approx([first / 4, first * 3 / 4, -40.0 * (0.1 + 4 / 120)])
    again = control.act(3999, np.array([48.0, 48.0]), ZERO, ZERO)
    assert again == pytest.approx(out)
    assert control.next_ms == 4000
    control.act(4000, np.array([49.95, 49.95]), np.array([40.0, 60.0]), np.array([100.0, 0.0]))
    assert control.activated_mw[0] == pytest.approx(100.0 * (0.1 + 8 / 120))


def test_a_saturated_cell_stops_integrating():
    control = SecondaryControl(
        np.array([800.0]), np.array([0]), np.ones(1), k_p=0.1, t_i_s=40.0, reserve_mw=np.array([50.0]))
    for n in range(100):
        control.act(4000 * n, np.array([49.7]), np.zeros(1), np.zeros(1))
    assert control.activated_mw == pytest.approx([50.0])
    assert abs(control.integral_mw[0]) < 50.0
    for n in range(100, 103):
        control.act(4000 * n, np.array([50.1]), np.zeros(1), np.zeros(1))
    assert control.activated_mw[0] < 20.0


def test_a_cell_switched_off_or_dead():
    control = SecondaryControl(np.array([800.0, 400.0]), np.array([0, 1]), np.ones(2))
    control.act(0, np.array([49.9, 49.9]), ZERO, ZERO)
    held = control.activated_mw.copy()
    control.enabled[0] = False
    control.act(4000, np.array([49.9, np.nan]), ZERO, ZERO)
    assert control.activated_mw == pytest.approx([0.0, held[1]])
    copy = SecondaryControl(np.array([800.0, 400.0]), np.array([0, 1]), np.ones(2))
    copy.set_state(control.get_state())
    for c in (control, copy):
        c.act(8000, np.array([49.9, 49.9]), ZERO, ZERO)
    assert np.array_equal(copy.activated_mw, control.activated_mw)


def test_a_cell_without_machines_activates_nothing():
    control = SecondaryControl(np.array([800.0, 0.0]), np.array([0]), np.ones(1))
    assert control.act(0, np.array([49.9, 49.9]), ZERO, ZERO) == pytest.approx([80.0 * (0.1 + 4 / 120)])
    assert control.activated_mw[1] == 0.0


def test_parameters_that_cannot_be():
    with pytest.raises(ModelError, match="shares of at least 0, t_i_s > 0"):
        SecondaryControl(np.array([800.0]), np.array([0]), np.array([-1.0]))
    with pytest.raises(ModelError, match="shares of at least 0, t_i_s > 0"):
        SecondaryControl(np.array([800.0]), np.array([0]), np.ones(1), t_i_s=0.0)


def restore(case, v, k_p, t_i_s, t_end_s):
    """300 MW more in cell 2; each cell's devices at one bus do what its control asks, from the second cycle on."""
    m = case.machines
    cell = case.bus_cell[m.bus]
    governed = np.where(m.governor > 0, m["sn_mva"], 0.0)
    bias = network_characteristic(cell, governed, m.governor_values["r"], 50.0, 3)
    control = SecondaryControl(bias, cell, governed, k_p=k_p, t_i_s=t_i_s)
    dynamics = Dynamics(case, v, interfaces=[8, 15, 3])  # one bus in each cell, in the order of the cells
    dynamics.schedule(LoadStep(1000, 16, 300.0))
    scheduled, df = dynamics.p_export_mw, []
    for t_ms in range(0, t_end_s * 1000, 1000):
        dynamics.advance(t_ms)
        control.act(t_ms, dynamics.f_cell_hz, dynamics.p_export_mw, scheduled)
        dynamics.set_boundary(control.activated_mw, np.zeros(3))
        df.append(dynamics.f_coi_hz - 50.0)
    return np.array(df), control


def test_a_cell_restores_itself_and_nobody_else_moves(case_of, solve):
    case = case_of("ieee39_weak")
    df, control = restore(case, solve(case), 0.1, 120.0, 600)
    assert df.min() < -0.1
    restored_s = np.flatnonzero(np.abs(df) > 0.02)[-1]
    assert 150 < restored_s < 260
    assert df[20:].max() < 0.002
    assert control.activated_mw == pytest.approx([0.0, 300.0, 0.0], abs=4.0)


def test_a_cell_in_too_much_of_a_hurry_does_not_settle(case_of, solve):
    case = case_of("ieee39_weak")
    try:
        df, _ = restore(case, solve(case), 0.3, 20.0, 200)
    except ModelError:
        return  # the oscillation has torn the system apart
    assert np.ptp(df[-50:]) > 0.1
