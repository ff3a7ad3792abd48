import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.transmission.currents import N_SLOT, S_P, S_Q, load_current, slope
from sims.transmission.dynamics import Dynamics


def test_below_the_floor_a_load_becomes_its_impedance():
    slot = np.zeros((N_SLOT, 1))
    slot[S_P], slot[S_Q] = -0.8, -0.3
    out = np.zeros(2)
    for vm in (1.0, 0.7, 0.35):
        v = vm * np.exp(0.4j)
        load_current(np.array([v.real, v.imag]), slot, 0.0, 0.7, out)
        drawn = -v * np.conj(out[0] + 1j * out[1])
        assert drawn == pytest.approx((0.8 + 0.3j) * min(1.0, (vm / 0.7) ** 2))


def test_newton_finds_what_the_plain_iteration_misses(case_of, solve):
    """Near the nose of the voltage curve, from a linearisation made far away."""
    case = case_of("kundur").with_machines(case_of("kundur").machines.classical())
    dynamics = Dynamics(case, solve(case), interfaces=[8])
    low = None
    for q_mvar in np.arange(0.0, 3000.0, 25.0):
        dynamics._relinearise()
        dynamics.set_boundary(np.zeros(1), np.array([-q_mvar]))
        try:
            low = dynamics.v_interface_pu[0]
        except ModelError:
            break
        last = q_mvar
    far = Dynamics(case, solve(case), interfaces=[8])
    far.set_boundary(np.zeros(1), np.array([-last]))
    assert far.v_interface_pu[0] == pytest.approx(low, abs=1e-6)
    assert low < 0.8


def test_slope_of_a_constant_power_load():
    """I = conj(S / V): dI = -conj(S) / conj(V)^2 conj(dV)."""
    slot = np.zeros((N_SLOT, 1))
    slot[S_P], slot[S_Q] = -0.8, -0.3
    v = 0.95 * np.exp(-0.3j)
    found = slope(np.array([v.real, v.imag]), slot, 0.0, 0.7)[:, 0]
    factor = -np.conj(-0.8 - 0.3j) / np.conj(v) ** 2
    assert found == pytest.approx([factor.real, factor.imag, factor.imag, -factor.real], abs=1e-8)
