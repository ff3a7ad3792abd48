from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sims.core.errors import ModelError
from sims.transmission.disturbances import GeneratorTrip, Islanding, LineSwitch, LoadRamp, LoadStep
from sims.transmission.dynamics import Dynamics
from sims.transmission.network import admittance, initial


def test_rest_stays_at_rest(start):
    dynamics = start("ieee39")
    ties = dynamics.p_tie_mw
    dynamics.advance(20_000)
    assert np.abs(dynamics.f_machine_hz - 50.0).max() < 1e-6
    assert dynamics.p_tie_mw == pytest.approx(ties, abs=1e-3)
    assert dynamics.p_tie_mw == pytest.approx([53.120, 79.188, 302.966], abs=1e-2)
    at_from, at_to = dynamics.s_branch_mva
    case = dynamics.case
    between = case.bus_cell[case.branch_from] != case.bus_cell[case.branch_to]
    assert dynamics.p_export_mw.sum() == pytest.approx((at_from + at_to).real[between].sum())
    assert dynamics.p_export_mw[0] == pytest.approx(dynamics.p_tie_mw[0] + dynamics.p_tie_mw[1])


def test_power_balances_at_every_bus_and_reading(start):
    dynamics = start("ieee39_weak")
    dynamics.schedule(LoadStep(50, 16, 200.0))
    case, m = dynamics.case, dynamics.case.machines
    for t_ms in range(0, 400, 35):
        dynamics.advance(t_ms)
        at_from, at_to = dynamics.s_branch_mva
        left = np.zeros(case.n_bus, complex)
        np.add.at(left, case.branch_from, at_from)
        np.add.at(left, case.branch_to, at_to)
        np.add.at(left, case.load_bus, case.load_mva)
        left += np.abs(dynamics.v_bus) ** 2 * np.conj(case.shunt_pu) * case.base_mva
        left[15] += 200.0 if t_ms > 50 else 0.0
        given = left[m.bus]
        left[m.bus] = 0.0
        assert np.abs(left).max() < 1e-3
        stator = m["ra"] / m["sn_mva"] * np.abs(given / dynamics.v_terminal_pu) ** 2
        assert dynamics.p_elec_mw == pytest.approx(given.real + stator, abs=1e-3)


def test_an_event_between_two_steps_happens_at_its_millisecond(start):
    fine, coarse = start("kundur", dt_ms=1), start("kundur", dt_ms=10)
    for dynamics in (fine, coarse):
        dynamics.schedule(LoadStep(1003, 7, 100.0))
        dynamics.advance(1003)
        assert np.abs(dynamics.f_machine_hz - 50.0).max() < 1e-9
        dynamics.advance(1017)
    assert coarse.f_machine_hz == pytest.approx(fine.f_machine_hz, abs=1e-8)
    # the swing equation over 14 ms: 100 MW and some loss over 2 x 22815 MWs
    assert coarse.f_coi_hz - 50.0 == pytest.approx(-0.014 * 100.0 * 50.0 / (2 * 22815.0), rel=0.1)
    late = start("kundur")
    late.schedule(LoadStep(1010, 7, 100.0))
    late.advance(1017)
    assert late.f_coi_hz - 50.0 == pytest.approx((coarse.f_coi_hz - 50.0) / 2, rel=0.02)


def test_order_of_the_integration_is_four(start):
    def angle(dt_ms):
        dynamics = start("kundur", dt_ms=dt_ms)
        dynamics.schedule(LoadStep(0, 7, 200.0))
        dynamics.advance(800)
        return dynamics.f_machine_hz

    exact = angle(1)
    errors = [np.abs(angle(dt) - exact).max() for dt in (20, 10)]
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.25)


def test_a_trip_takes_inertia_power_and_governor(start):
    dynamics = start("ieee39")
    case = dynamics.case
    dynamics.schedule(GeneratorTrip(1000, "G5"))
    dynamics.advance(1020)
    lost = dynamics.case.machines.names.index("G5")
    assert np.isnan(dynamics.f_machine_hz[lost])
    assert dynamics.p_mech_mw[lost] == 0.0
    assert dynamics.p_elec_mw[lost] == 0.0
    stored = np.delete(case.machines.stored_mws, lost)
    assert (dynamics.f_coi_hz - 50.0) / 0.02 == pytest.approx(-508.0 * 50.0 / (2 * stored.sum()), rel=0.1)
    dynamics.advance(60_000)
    bias = np.delete(case.machines["sn_mva"], lost).sum() / 0.05 / 50.0
    assert (50.0 - dynamics.f_coi_hz) * bias == pytest.approx(508.0, rel=0.1)


def test_a_trip_equals_an_independent_solution(case_of, solve):
    """Classical machines, loads as impedances: the swing equations on the nodal matrix, by another integrator."""
    case = case_of("kundur").with_loads(z=1.0)
    case = case.with_machines(case.machines.classical())
    m, v, f0 = case.machines, solve(case), 50.0
    constant = replace(m, governor=np.zeros(4, np.int64))
    dynamics = Dynamics(case.with_machines(constant), v)
    p_mech = dynamics.p_mech_mw / 100.0
    dynamics.schedule(GeneratorTrip(500, "G2"))
    t_ms = np.arange(500, 3001, 100)
    found = []
    for t in t_ms:
        dynamics.advance(int(t))
        found.append(dynamics.f_machine_hz)

    s_gen, _ = initial(case, v)
    x = m["xd1"] * 100.0 / m["sn_mva"]
    internal = v[m.bus] + 1j * x * np.conj(s_gen / 100.0 / v[m.bus])
    y = admittance(case, np.ones(15, bool)).toarray()
    y[case.load_bus, case.load_bus] += np.conj(case.load_mva) / 100.0 / np.abs(v[case.load_bus]) ** 2
    on = np.array([0, 2, 3])
    y[m.bus[on], m.bus[on]] += 1 / (1j * x[on])
    z = np.linalg.inv(y)[np.ix_(m.bus[on], m.bus[on])]

    def swing(_, state):
        e = np.abs(internal[on]) * np.exp(1j * state[:3])
        source = e / (1j * x[on])
        power = (e * np.conj((e - z @ source) / (1j * x[on]))).real
        return np.concatenate([
            2 * np.pi * f0 * state[3:], (p_mech[on] - power) / (2 * m.stored_mws[on] / 100.0)])

    expected = solve_ivp(
        swing, (0.0, 2.5), np.concatenate([np.angle(internal[on]), np.zeros(3)]), t_eval=(t_ms - 500) / 1000,
        rtol=1e-9, atol=1e-11).y[3:].T * f0 + f0
    assert np.array(found)[:, on] == pytest.approx(expected, abs=1e-5)


def test_momentum_is_the_integral_of_the_power_missing(start):
    dynamics = start("ieee39_weak")
    dynamics.schedule(LoadStep(0, 16, 500.0))
    dynamics.schedule(LineSwitch(700, 13, 14))
    twice_stored = 2 * dynamics.case.machines.stored_mws.sum()
    dynamics.advance(1)
    f, surplus = [dynamics.f_coi_hz], [(dynamics.p_mech_mw - dynamics.p_elec_mw).sum()]
    for t_ms in range(10, 3001, 10):
        dynamics.advance(t_ms)
        f.append(dynamics.f_coi_hz)
        surplus.append((dynamics.p_mech_mw - dynamics.p_elec_mw).sum())
    seconds = np.concatenate([[0.001], np.arange(10, 3001, 10) / 1000])
    gained = np.trapezoid(surplus, seconds) / twice_stored * 50.0
    assert f[-1] - f[0] == pytest.approx(gained, rel=2e-3)
    assert f[-1] < 49.6


def test_the_last_machine_cannot_trip(single, solve):
    case = single({"model": "constant"}, h_s=4.0, d_pu=1.0)
    dynamics = Dynamics(case, solve(case))
    dynamics.schedule(GeneratorTrip(100, "G"))
    with pytest.raises(ModelError, match=r"transmission at 0\.100 s: no machine is left running"):
        dynamics.advance(200)


def test_a_ramp_equals_many_small_steps(start):
    ramped, stepped = start("kundur"), start("kundur")
    ramped.schedule(LoadRamp(100, 8, 80.0, 800, 8.0))
    for i in range(80):
        stepped.schedule(LoadStep(105 + 10 * i, 8, 1.0, 0.1))
    for dynamics in (ramped, stepped):
        dynamics.advance(3000)
    assert ramped.f_machine_hz == pytest.approx(stepped.f_machine_hz, abs=2e-5)
    assert ramped._condition.drawn_mva[7] == pytest.approx(80.0 + 8.0j)


def test_islands_part_in_frequency_and_may_only_join_in_step(start):
    dynamics = start("ieee39_weak")
    dynamics.schedule(Islanding(1000, "C2 south-east (G4-G7)"))
    dynamics.schedule(LineSwitch(3000, 16, 17, closed=True))
    dynamics.advance(3010)
    f = dynamics.f_cell_hz
    assert f[1] > 50.5
    assert max(f[0], f[2]) < 50.0
    assert dynamics.p_tie_mw[[0, 2]] == pytest.approx([0.0, 0.0])
    divider = dynamics.f_bus_hz[dynamics.case.bus_index([15, 20, 3])]
    assert divider[:2] == pytest.approx([f[1], f[1]], abs=0.05)
    assert divider[2] == pytest.approx(f[2], abs=0.05)
    when, text = dynamics.log[-1]
    assert when == 3000
    assert text.startswith("16-17 not closed: the islands differ by")


def test_an_island_in_step_joins_again(start):
    dynamics = start("kundur")
    dynamics.schedule(LineSwitch(1000, 7, 8))
    dynamics.schedule(LineSwitch(1020, 7, 8, closed=True))
    dynamics.advance(1020)
    assert dynamics.p_tie_mw == pytest.approx([0.0])
    dynamics.advance(30_000)
    assert dynamics.p_tie_mw == pytest.approx([222.36], abs=5.0)
    assert dynamics.f_cell_hz == pytest.approx([50.0, 50.0], abs=0.01)


def test_a_bus_cut_off_is_dead(start):
    dynamics = start("ieee39", interfaces=[12, 4])
    dynamics.schedule(LineSwitch(100, 12, 11))
    dynamics.schedule(LineSwitch(100, 12, 13))
    dynamics.advance(1000)
    assert dynamics.log[-1] == (100, "dead: bus 12 with 120.0 MW of load")
    assert dynamics.v_interface_pu[0] == 0.0
    assert dynamics.v_interface_pu[1] > 0.9
    assert np.isnan(dynamics.f_interface_hz[0])
    # 120 MW of load are gone: the rest rises with its droop
    dynamics.advance(60_000)
    droop_hz = 120.0 * 0.05 * 50.0 / dynamics.case.machines["sn_mva"].sum()
    assert dynamics.f_coi_hz - 50.0 == pytest.approx(droop_hz, rel=0.15)


def test_boundary_power_does_what_a_load_step_does(start):
    stepped, fed = start("ieee39_weak"), start("ieee39_weak", interfaces=[16, 4])
    stepped.schedule(LoadStep(1000, 16, 100.0, 20.0))
    fed.advance(1000)
    fed.set_boundary(np.array([-100.0, 0.0]), np.array([-20.0, 0.0]))
    for dynamics in (stepped, fed):
        dynamics.advance(4000)
    assert fed.f_machine_hz == pytest.approx(stepped.f_machine_hz, abs=1e-8)
    assert fed.v_interface_pu[0] == pytest.approx(np.abs(stepped.v_bus[15]), abs=1e-8)


def test_boundary_power_in_the_power_flow_is_taken_over(case_of, solve):
    case = case_of("kundur")
    at = np.zeros(case.n_bus, complex)
    at[6] = 150.0 + 30.0j
    dynamics = Dynamics(case, solve(case, at), interfaces=[7], boundary_mva=np.array([150.0 + 30.0j]))
    dynamics.advance(5000)
    assert np.abs(dynamics.f_machine_hz - 50.0).max() < 1e-6


def test_linear_response_of_the_boundary_to_voltage(start):
    dynamics = start("kundur", interfaces=[8])
    before = dynamics.v_interface_pu[0]
    dynamics.set_boundary_sensitivity(np.array([0.0]), np.array([-800.0]))
    dynamics.advance(1000)
    assert dynamics.v_interface_pu[0] == pytest.approx(before, abs=1e-7)
    plain = start("kundur", interfaces=[8])
    for d in (dynamics, plain):
        d.schedule(LoadStep(1000, 8, 0.0, 100.0))
        d.advance(1010)
    # 100 Mvar more drawn lower the voltage; the response gives 800 Mvar/pu of it back
    drop, held = before - plain.v_interface_pu[0], before - dynamics.v_interface_pu[0]
    per_mvar = drop / 100.0
    assert held == pytest.approx(per_mvar * 100.0 / (1 + 800.0 * per_mvar), rel=0.05)


def test_power_reference_moves_the_machine(start):
    dynamics = start("ieee39_weak")
    shift = np.zeros(10)
    shift[1], shift[5] = -30.0, 30.0  # G2 has no governor, G6 has one
    before = dynamics.p_mech_mw
    dynamics.set_p_ref(shift)
    dynamics.advance(60_000)
    assert dynamics.p_mech_mw - before == pytest.approx(shift, abs=1.5)
    assert dynamics.f_coi_hz == pytest.approx(50.0, abs=0.01)


@pytest.mark.parametrize("t_ms", [1500, 2003])
def test_a_restart_is_exact(t_ms, case_of, solve):
    case = case_of("ieee39_weak")
    v = solve(case)
    first, second = (Dynamics(case, v, interfaces=[4]) for _ in range(2))
    for event in (LoadStep(1000, 16, 300.0), GeneratorTrip(2000, "G7"), LoadRamp(1200, 21, 50.0, 3000)):
        first.schedule(event)
    first.advance(t_ms)
    first.set_boundary(np.array([20.0]), np.array([0.0]))
    second.set_state(first.get_state())
    for dynamics in (first, second):
        dynamics.advance(4000)
    assert np.array_equal(first.f_machine_hz, second.f_machine_hz, equal_nan=True)
    assert np.array_equal(first.v_bus, second.v_bus)
    assert np.array_equal(first.rocof_cell_hz_s(), second.rocof_cell_hz_s())


def test_running_away_names_time_and_machine(single, solve):
    case = single({"model": "constant"}, h_s=2.0, d_pu=0.0)
    dynamics = Dynamics(case, solve(case))
    dynamics.schedule(LoadStep(0, 2, 50.0))
    # -50/(2*2*100) pu/s: 20 % are reached after 1.6 s
    with pytest.raises(ModelError, match=r"G at 1\.(59|60)0 s: runs away"):
        dynamics.advance(5000)


def test_voltage_collapse_names_time_and_place(start):
    stiff, yielding = start("kundur", v_floor_pu=0.0), start("kundur")
    for dynamics in (stiff, yielding):
        dynamics.schedule(LoadStep(500, 8, 0.0, 4000.0))
    with pytest.raises(ModelError, match=r"transmission at 0\.500 s: voltage collapse: .*, lowest voltage at bus 8"):
        stiff.advance(1000)
    yielding.advance(510)  # below 0.7 pu the loads yield, and there is a voltage again
    assert 0.1 < np.abs(yielding.v_bus[7]) < 0.5


def test_wrong_arguments(case_of, solve, start):
    case = case_of("kundur")
    v = solve(case)
    with pytest.raises(ModelError, match=r"v0 has shape \(9,\), expected \(10,\)"):
        Dynamics(case, v[:9])
    with pytest.raises(ModelError, match=r"v0 is not a solved power flow: .* at bus"):
        Dynamics(case, v * np.exp(0.01j * np.arange(10)))
    with pytest.raises(ModelError, match="dt_ms = 0 must be at least 1"):
        Dynamics(case, v, dt_ms=0)
    dynamics = start("kundur", interfaces=[7, 8])
    with pytest.raises(ModelError, match=r"boundary power has shape \(1,\), expected \(2,\)"):
        dynamics.set_boundary(np.array([1.0]), np.array([0.0]))
    with pytest.raises(ModelError, match="boundary power is not finite at position 1"):
        dynamics.set_boundary(np.array([1.0, np.nan]), np.array([0.0, 0.0]))
    dynamics.advance(100)
    with pytest.raises(ModelError, match="cannot advance back"):
        dynamics.advance(90)
