from dataclasses import replace

import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.transmission.disturbances import Condition, GeneratorTrip, LoadStep
from sims.transmission.dynamics import Dynamics
from sims.transmission.network import initial


def changed(case, part, **values):
    m = case.machines
    table = {**getattr(m, part), **{k: np.broadcast_to(np.asarray(v, float), len(m)) for k, v in values.items()}}
    return case.with_machines(replace(m, **{part: table}))


def test_a_machine_outside_its_limits_is_named_with_the_limit(case_of, solve):
    case = case_of("kundur")
    v = solve(case)
    with pytest.raises(ModelError, match=r"G1 .* cannot be initialised: valve position 0\.8.* limits 0\.\.0\.8;"):
        Dynamics(changed(case, "governor_values", v_max=0.8), v)
    with pytest.raises(ModelError, match=r"field voltage .* limits 0\.\.1\.5; change the dispatch"):
        Dynamics(changed(case, "exciter_values", e_max=1.5), v)


def test_a_time_constant_too_short_for_the_step_is_refused_with_the_remedy(case_of, solve):
    case = changed(case_of("kundur"), "governor_values", t1_s=0.002)
    v = solve(case)
    with pytest.raises(ModelError, match=r"G1 .*T1 = 0\.002 s is too short .* 10 ms; set dt_ms to at most 5"):
        Dynamics(case, v)
    assert np.abs(Dynamics(case, v, dt_ms=5).f_machine_hz - 50.0).max() == 0.0


def test_an_unstable_start_is_refused_with_the_mode(case_of, solve):
    case = changed(case_of("kundur"), "exciter_values", k=50.0, tb_s=1.0, te_s=0.5)
    v = solve(case)
    with pytest.raises(ModelError, match=r"G\d at 0\.000 s: unstable start: a mode of 0\.\d\d Hz grows"):
        Dynamics(case, v)
    allowed = Dynamics(case, v, check=False)
    allowed.set_p_ref(np.array([20.0, 0.0, 0.0, 0.0]))
    slip = []
    for t_ms in range(0, 30_001, 100):
        allowed.advance(t_ms)
        slip.append(allowed.f_cell_hz[0] - allowed.f_cell_hz[1])
    assert np.ptp(slip[-30:]) > 1.5 * np.ptp(slip[30:60])


def test_machines_at_one_bus_take_the_power_they_are_given(case_of, solve):
    case = case_of("kundur")
    m = case.machines
    twice = replace(
        m, names=("G1", "G2", "G3", "G4", "G5"), bus=np.append(m.bus, m.bus[1]),
        **{kind: np.append(getattr(m, kind), getattr(m, kind)[1]) for kind in ("model", "exciter", "governor")},
        **{part: {k: np.append(x, x[1]) for k, x in getattr(m, part).items()}
           for part in ("values", "exciter_values", "governor_values")},
    )
    v = solve(case)
    even = Dynamics(case.with_machines(twice), v)
    assert even.p_mech_mw[[1, 4]] == pytest.approx([350.0, 350.0], abs=1e-6)
    uneven, _ = initial(case.with_machines(twice), v)
    uneven[[1, 4]] += [250.0, -250.0]
    dynamics = Dynamics(case.with_machines(twice), v, uneven)
    assert dynamics.p_mech_mw[[1, 4]] == pytest.approx([600.0, 100.0], abs=1e-6)
    dynamics.advance(2000)
    assert dynamics.p_elec_mw[[1, 4]] == pytest.approx([600.0, 100.0], abs=1e-3)
    uneven[4] += 250.0
    with pytest.raises(ModelError, match=r"250\.000 MVA are left over at bus 2"):
        Dynamics(case.with_machines(twice), v, uneven)


@pytest.mark.parametrize("governor", ["constant", "tgov1n", "hygov"])
def test_a_start_off_nominal_frequency_is_held_by_droop(governor, single, solve):
    case = single({"model": governor}, h_s=4.0, d_pu=1.5)
    dynamics = Dynamics(case, solve(case), df0_hz=-0.1)
    assert dynamics.f_coi_hz == pytest.approx(49.9)
    dynamics.advance(20_000)
    assert dynamics.f_coi_hz == pytest.approx(49.9, abs=1e-6)
    if governor == "constant":
        return
    # lifting the reference by 0.1 Hz over droop (hydro: of the gate, 1.2 MW/MW) and damping brings 50 Hz back
    per_gate = {"tgov1n": 1.0, "hygov": 1.2}[governor]
    dynamics.set_p_ref(np.array([0.1 / 50.0 * (per_gate / 0.05 + 1.5) * 100.0]))
    dynamics.advance(300_000)
    assert dynamics.f_coi_hz == pytest.approx(50.0, abs=0.003)


def test_what_is_out_of_service_at_the_start_stays_out(case_of, solve):
    case = case_of("kundur")
    v = solve(case)
    condition = Condition.normal(case)
    condition.drawn_mva[6] = 0.0
    condition.closed[4] = False
    with pytest.raises(ModelError, match="not a solved power flow"):
        Dynamics(case, v, condition=condition)
    condition.closed[4] = True
    assert Dynamics(case, v, condition=condition).f_coi_hz == 50.0


def test_a_settled_run_is_a_start_for_another(start):
    """Voltage, condition and frequency of a run after a trip make a new run that rests where the first one does."""
    first = start("ieee39")
    first.schedule(GeneratorTrip(1000, "G5"))
    first.schedule(LoadStep(1000, 17, 50.0))
    first.advance(200_000)
    assert first.f_coi_hz < 49.9
    second = Dynamics(first.case, first.v_bus, condition=first.condition, df0_hz=first.f_coi_hz - 50.0)
    assert second.p_mech_mw == pytest.approx(first.p_mech_mw, abs=0.01)
    for dynamics in (first, second):
        dynamics.advance(dynamics.now_ms + 10_000)
    assert second.f_machine_hz == pytest.approx(first.f_machine_hz, abs=1e-4, nan_ok=True)
    assert second.p_tie_mw == pytest.approx(first.p_tie_mw, abs=0.1)
