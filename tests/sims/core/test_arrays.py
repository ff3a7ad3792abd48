import numpy as np
import pytest

from sims.core.arrays import summed


def test_sums_by_index_by_hand():
    out = summed(np.array([2, 0, 2, 3]), np.array([1.0, 2.0, 4.0, -8.0]), 5)
    assert out.tolist() == [2.0, 0.0, 5.0, -8.0, 0.0]


def test_of_nothing_is_zero_everywhere_and_still_a_float():
    out = summed(np.zeros(0, np.int64), np.zeros(0), 3)
    assert out.tolist() == [0.0, 0.0, 0.0]
    assert out.dtype == np.float64


def test_integers_and_truth_values_are_summed_as_numbers():
    assert summed(np.array([0, 0, 1]), np.array([True, True, False]), 2).tolist() == [2.0, 0.0]


def test_an_index_below_zero_is_refused():
    with pytest.raises(ValueError, match="negative"):
        summed(np.array([-1]), np.array([1.0]), 2)


def test_equals_addition_in_place():
    rng = np.random.default_rng(1)
    index, values = rng.integers(0, 40, 1000), rng.standard_normal(1000)
    expected = np.zeros(40)
    np.add.at(expected, index, values)
    assert summed(index, values, 40) == pytest.approx(expected, abs=1e-12)
