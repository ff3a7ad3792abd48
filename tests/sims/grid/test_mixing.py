"""The mixing of rounds: a linear problem is solved once all its directions are known."""

import numpy as np
import pytest

from sims.grid.mixing import MOST, Mixing

RNG = np.random.default_rng(7)
N = 4
SLOPE = 0.4 * RNG.normal(size=(2 * N, 2 * N))
"""Of y over x, real and imaginary parts one after the other; plain repetition runs away."""


def _y(x, at):
    flat = SLOPE @ np.concatenate((x.real, x.imag)) + np.concatenate((at.real, at.imag))
    return flat[:N] + 1j * flat[N:]


def _solved(at):
    flat = np.linalg.solve(np.eye(2 * N) - SLOPE, np.concatenate((at.real, at.imag)))
    return flat[:N] + 1j * flat[N:]


def _rounds(mixing, at):
    """Return how many rounds it takes to 1e-9 and check where it ends."""
    x = np.ones(N, complex)
    mixing.begin()
    for k in range(1, 40):
        y = _y(x, at)
        if np.abs(y - x).max() < 1e-9:
            np.testing.assert_allclose(x, _solved(at), rtol=0, atol=1e-7)
            return k
        x = mixing.next(x, y)
    raise AssertionError("did not settle")


def test_a_linear_problem_takes_as_many_rounds_as_it_has_directions_and_the_next_of_its_kind_two():
    assert np.abs(np.linalg.eigvals(SLOPE)).max() > 1
    mixing, at = Mixing(N), RNG.normal(size=N) + 1j
    assert _rounds(mixing, at) <= 2 * N + 3
    assert _rounds(mixing, 1.1 * at + 0.05j) <= 4


def test_what_is_forgotten_is_learnt_again():
    mixing, at = Mixing(N), RNG.normal(size=N) + 1j
    assert not mixing.forget()
    first = _rounds(mixing, at)
    assert mixing.forget()
    assert not mixing.forget()
    assert _rounds(mixing, at) == first


@pytest.mark.parametrize("size", [1, 3, 100])
def test_it_looks_back_on_a_bounded_number_of_rounds(size):
    mixing = Mixing(size)
    for _ in range(60):
        mixing.next(RNG.normal(size=size) + 0j, RNG.normal(size=size) + 0j)
    assert len(mixing._steps) == min(max(6, 2 * size), MOST)
