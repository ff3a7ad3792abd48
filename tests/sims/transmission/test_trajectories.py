"""Open-loop runs against an independent transient-stability program: same equations, other integrator."""

import numpy as np
import pytest

from sims.transmission.disturbances import LoadStep
from sims.transmission.dynamics import Dynamics

RUNS = {
    "R01_i39_cls_P_ls+200": ("ieee39", "classical", 0.0, 16, 200.0, 30),
    "R14_k2a_cls_P_ls+100a1": ("kundur", "classical", 0.0, 7, 100.0, 40),
    "R20_k2a_sexs_P_ls+100a1": ("kundur", "genrou", 0.0, 7, 100.0, 40),
    "R21_i39_sexs_Z_ls+500": ("ieee39", "genrou", 1.0, 16, 500.0, 30),
    "R23_i39w_sexs_P_ls+500": ("ieee39_weak", "genrou", 0.0, 16, 500.0, 60),
}


@pytest.mark.parametrize("name", RUNS)
def test_run_equals_the_reference(name, case_of, solve, reference, record, rocof500):
    system, machine, z, bus, p_mw, t_end_s = RUNS[name]
    case = case_of(system).with_loads(z=z)
    if machine == "classical":
        case = case.with_machines(case.machines.classical())
    dynamics = Dynamics(case, solve(case))
    dynamics.schedule(LoadStep(1000, bus, p_mw))
    found = record(dynamics, t_end_s * 1000)
    expected, metrics = reference(name)

    df = found["f_coi"] - 50.0
    assert df.min() == pytest.approx(metrics["nadir_Hz"], rel=1e-3)
    assert found["t"][df.argmin()] - 1.0 == pytest.approx(metrics["t_nadir_s"], abs=0.020)
    assert df[-250:].mean() == pytest.approx(metrics["qss_Hz"], rel=1e-3)
    assert rocof500(found["f_coi"]) == pytest.approx(metrics["rocof500_Hz_s"], rel=2e-3)
    n = min(len(df), len(expected["t"]))
    for column, values in expected.items():
        error = found[column][:n] - values[:n]
        if column.startswith("f_"):
            assert np.sqrt(np.mean(error**2)) < 1e-4, column
        if column.startswith("f_a"):
            deviation = found[column] - 50.0
            extreme = deviation[np.abs(deviation).argmax()]
            assert extreme == pytest.approx(metrics[f"{column}_ext_Hz"], rel=1e-3)
            assert rocof500(found[column]) == pytest.approx(metrics[f"{column}_rocof500"], rel=2e-3)
        if column.startswith("tie"):
            moved = found[column] - found[column][0]
            assert found[column][0] == pytest.approx(metrics[f"{column}_pre"], abs=0.01)
            assert moved[np.abs(moved).argmax()] == pytest.approx(metrics[f"{column}_peakdev"], abs=1.0)
            assert found[column][-250:].mean() == pytest.approx(metrics[f"{column}_end"], abs=1.0)
        if column.startswith("P"):
            assert np.abs(error).max() < 0.1, column
        if column.startswith("v"):
            assert np.abs(error).max() < 1e-4, column
