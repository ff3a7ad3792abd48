import numpy as np
import pytest

from sims.transmission.boundary import Boundary, Held
from sims.transmission.quasi_steady import Response


def test_between_two_solutions_a_line_over_voltage_less_what_devices_answer():
    held = Held(np.array([50 + 10j]), np.array([100 + 40j]), np.array([1.0]), np.array([3.0]))
    # 50 - 3 + 100 x -0.02 = 45 MW, 10 + 40 x -0.02 = 9.2 Mvar, whatever the frequency
    assert held.expected(np.array([0.98]), -0.3) == pytest.approx(np.array([45 + 9.2j]))
    assert held.per_hz == pytest.approx([0.0])


def test_contraction_is_the_largest_factor_of_a_round_over_the_boundary():
    boundary = Boundary(2, 50.0)
    zeros = np.zeros(2)
    response = Response(np.diag([-1e-4, -2e-4]), np.diag([-5e-4, -1e-3]), zeros, zeros, zeros)
    boundary.per_pu = np.array([200 + 100j, 300 + 50j])
    # 1e-4 x 200 + 5e-4 x 100 = 0.07; 2e-4 x 300 + 1e-3 x 50 = 0.11
    assert boundary.contraction(response) == pytest.approx(0.11)
