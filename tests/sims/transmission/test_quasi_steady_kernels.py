import numpy as np
import pytest

from sims.transmission import quasi_steady_kernels as kernels

K = np.array([100.0, 50.0, 80.0, 40.0])
FCR = np.array([20.0, 5.0, 30.0, 30.0])
MOST = np.array([200.0, 200.0, 110.0, 200.0])
SET = np.array([100.0, 100.0, 100.0, 100.0])
ON = np.array([True, True, True, False])


def test_machines_give_droop_up_to_their_reserve_and_their_limit_and_only_what_is_free_is_stiff():
    # at -0.15 Hz the droops ask for 15, 7.5 (of 5), 12 (of 10 left) and 6 (off)
    assert kernels.power(K, FCR, MOST, SET, -0.15, ON) == pytest.approx([115.0, 105.0, 110.0, 0.0])
    assert kernels.slope(K, FCR, MOST, SET, -0.15, ON) == 100.0
    assert kernels.slope(K, FCR, MOST, SET, -0.05, ON) == 230.0
    # down to nothing, not below
    assert kernels.power(K, FCR, MOST, np.full(4, 8.0), 0.15, ON) == pytest.approx([0.0, 3.0, 0.0, 0.0])


def test_what_is_drawn_is_summed_by_node():
    found = kernels.consumed(
        np.array([2, 0, 2]), np.array([1 + 2j, 3j, 4.0 + 0j]), np.array([1]), np.array([5 - 1j]),
        np.array([0.5 + 0j, 0.0, 0.25j]))
    np.testing.assert_allclose(found, [[0.5, 5.0, 5.0], [3.0, -1.0, 2.25]])


def test_a_newton_step_solves_two_interfaces_and_the_balance_that_are_linear():
    rng = np.random.default_rng(3)
    by_p, by_q = rng.normal(size=(2, 2, 2)) * 1e-4
    by_hz, excess_p, excess_q = rng.normal(size=(3, 2)) * 1e-2
    per_pu, per_hz = rng.normal(size=(2, 2)) * 30 + 1j * rng.normal(size=(2, 2)) * 50
    v, stiffness = np.array([1.01, 0.99]), 900.0
    change = np.array([3 + 1j, -2 + 4j])
    found, excess = kernels.answered(by_p, by_q, excess_p, excess_q, change, v, np.array([1e-4, -2e-4, 0.5]))
    np.testing.assert_allclose(found, v + by_p @ change.real + by_q @ change.imag + [1e-4, -2e-4])
    assert excess == pytest.approx(0.5 + excess_p @ change.real + excess_q @ change.imag)
    step = kernels.newton(by_p, by_q, by_hz, excess_p, excess_q, per_pu, per_hz, stiffness, v, found, excess)
    dv, df = step[:2], step[2]
    drawn = per_pu * dv + per_hz * df
    grid = found + by_p @ drawn.real + by_q @ drawn.imag + by_hz * df
    np.testing.assert_allclose(v + dv, grid, atol=1e-12)  # the grid gives the voltages at which was drawn
    left = excess + excess_p @ drawn.real + excess_q @ drawn.imag + (stiffness - per_hz.real.sum()) * df
    assert left == pytest.approx(0.0, abs=1e-9)  # and nothing is left over
