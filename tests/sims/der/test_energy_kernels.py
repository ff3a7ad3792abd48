import numpy as np
import pytest

from sims.der.energy_kernels import bear, fill, steer, store, tenable

RNG = np.random.default_rng(3)
N = 400


def test_batteries_give_what_their_energy_and_their_promise_leave():
    rated, e_rated = RNG.uniform(0.0, 2.0, (2, N))
    e, kept = e_rated * RNG.uniform(0.0, 1.0, N), rated * RNG.uniform(0.0, 1.2, N)
    low, high = np.zeros((2, N))
    tenable(rated, kept, 0.5, e, e_rated, 0.05, 0.95, 0.9, 0.8, 0.25, low, high)
    power = np.clip(rated - kept, 0.0, None)
    np.testing.assert_allclose(high, np.minimum(power, np.clip(e - 0.05 * e_rated - kept * 0.5 / 0.8, 0, None) * 3.2))
    np.testing.assert_allclose(
        low, -np.minimum(power, np.clip(0.95 * e_rated - kept * 0.45 - e, 0, None) / 0.225), atol=1e-15
    )
    assert (high < power).any()
    assert (low > -power).any()


def test_at_an_instant_only_the_ends_of_the_window_limit():
    low, high = np.zeros((2, 3))
    ones = np.ones(3)
    tenable(ones, 0 * ones, 0.5, np.array([0.05, 0.5, 0.95]), ones, 0.05, 0.95, 0.9, 0.9, 0.0, low, high)
    assert (low.tolist(), high.tolist()) == ([-1.0, -1.0, 0.0], [0.0, 1.0, 1.0])


def test_what_goes_in_and_out_is_booked_with_its_losses():
    e, given = np.array([0.5, 0.5, 0.0]), np.zeros(3)
    store(np.array([-1.0, 0.8, 0.0]), 0.25, np.ones(3), np.ones(3), 0.004, 0.9, 0.8, e, given)
    assert e == pytest.approx([0.5 + 0.225 - 0.001, 0.5 - 0.25 - 0.001, 0.0])
    assert given == pytest.approx([0.0, 0.2, 0.0])


def test_buffers_steer_to_their_target_within_the_rating():
    wish, e_buffer = np.zeros(3), np.full(3, 2.0)
    steer(np.array([0.4, 0.4, 0.4]), np.array([1.0, 2.0, 1.0]), 0.5, 1.0, np.array([1.0, 0.8, 0.0]), e_buffer,
          np.full(3, 1.2), wish)
    assert wish == pytest.approx([0.4, (0.4 + 0.2) / 2, 1.2])


def test_no_buffer_is_emptied_or_overfilled():
    demand, worth, e_buffer, rated, p = RNG.uniform(0.1, 1.0, (5, N))
    rated += 1.0  # what must be drawn can be drawn
    e, out = e_buffer * RNG.uniform(0.0, 1.0, N), np.zeros(N)
    bear(p, demand, worth + 1.0, 0.5, e, e_buffer, rated, out)
    after = e + (out * (worth + 1.0) - demand) * 0.5
    assert (after > -1e-12).all()
    assert (after < e_buffer + 1e-12).all()
    bound = np.abs(out - p) > 1e-12
    assert 20 < bound.sum() < N
    edge = np.minimum(np.abs(after), np.abs(after - e_buffer))
    assert edge[bound] == pytest.approx(0.0, abs=1e-9)
    fill(out, demand, worth + 1.0, 0.5, e_buffer, e)
    np.testing.assert_allclose(e, after, atol=1e-12)
