"""Six groups of 400 MW with P(f) at the boundary, held over 20 ms, against the reference's closed loop."""

import numpy as np
import pytest

from sims.transmission.disturbances import Islanding, LineSwitch, LoadStep
from sims.transmission.dynamics import Dynamics

BUSES = (4, 8, 3, 27, 15, 20)


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("C01_i39w_sexs_P_ls-800_pf", [LoadStep(1000, 16, -800.0)]),
        ("C04_i39w_sexs_P_splitC2_pf", [LineSwitch(1000, 14, 15), LineSwitch(1000, 16, 17)]),
        ("C04_i39w_sexs_P_splitC2_pf", [Islanding(1000, "C2 south-east (G4-G7)")]),
    ],
)
def test_loop_over_the_boundary_equals_the_reference(name, events, case_of, solve, reference, record, rocof500):
    case = case_of("ieee39_weak")
    dynamics = Dynamics(case, solve(case), interfaces=BUSES)
    for event in events:
        dynamics.schedule(event)
    cell = dynamics.interface_cell
    assert cell.tolist() == [0, 0, 2, 2, 1, 1]
    metered, p_mw, keep = [], np.zeros(6), np.exp(-0.02 / 0.2)

    def devices(_):
        nonlocal p_mw
        metered.append(dynamics.f_cell_hz[cell])
        f_m = np.mean(metered[-5:], axis=0)
        target = -400.0 * 0.4 * np.clip(f_m - 50.2, 0.0, None)
        p_mw = target + (p_mw - target) * keep
        dynamics.set_boundary(p_mw, np.zeros(6))

    found = record(dynamics, 30_000, devices)
    expected, metrics = reference(name)
    for column, values in expected.items():
        error = found[column] - values
        if column.startswith("f_"):
            largest = np.abs(values - 50.0).max()
            assert np.abs(error).max() < 0.01 * largest, column
            assert np.sqrt(np.mean(error**2)) < 2e-4, column
        elif column.startswith("tie"):
            assert np.abs(error).max() < 1.0, column
    for column in ("f_a1", "f_a2", "f_a3"):
        deviation = found[column] - 50.0
        extreme = deviation[np.abs(deviation).argmax()]
        assert extreme == pytest.approx(metrics[f"{column}_ext_Hz"], rel=2e-3)
        assert rocof500(found[column]) == pytest.approx(metrics[f"{column}_rocof500"], rel=5e-3)


def test_windowed_meter_of_the_cells_agrees_with_samples(start):
    dynamics = start("ieee39_weak")
    dynamics.schedule(LoadStep(1000, 16, 500.0))
    samples = []
    for t_ms in range(10, 3001, 10):
        dynamics.advance(t_ms)
        samples.append(dynamics.f_cell_hz)
    last = np.array(samples[-11:])
    assert dynamics.f_cell_mean_hz(100) == pytest.approx((last[1:] + last[:-1]).mean(axis=0) / 2, abs=1e-9)
    assert dynamics.rocof_cell_hz_s(500) == pytest.approx((samples[-1] - samples[-51]) / 0.5, abs=1e-9)
    with pytest.raises(ValueError, match="2000 ms are kept"):
        dynamics.f_cell_history(5000)
