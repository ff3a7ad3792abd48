import numpy as np
import pytest

from sims.distribution.feeders import Drawn
from sims.distribution.upstream import Upstream
from sims.grid.exchange import Offer

BY_P = np.array([[-1e-4, -2e-5], [-2e-5, -1e-4]])
BY_Q = np.array([[-6e-4, -1e-4], [-1e-4, -5e-4]])
TURN = np.exp([0.2j, -0.1j])


def grid_above(behind, s_mva, f_hz=50.0):
    """What is offered by a grid that holds `behind` where nothing is drawn."""
    s = np.asarray(s_mva, complex)
    return Offer((behind + BY_P @ s.real + BY_Q @ s.imag) * TURN, f_hz, s, 1e-5, BY_P, BY_Q)


def test_what_drifts_goes_on_and_own_power_is_reckoned_with():
    above = Upstream()
    assert not above.known
    above.hear(grid_above(np.array([1.02, 1.03]), [20 + 5j, 10 + 2j], 50.01), 0)
    above.hear(grid_above(np.array([1.0201, 1.0299]), [24 + 4j, 9 + 2j], 50.012), 60_000)
    v_pu, f_hz = above.begin()
    assert f_hz == pytest.approx(50.014)
    now = np.array([26 + 8j, 12 + 1j])
    slope = np.array([3 + 40j, -2 + 60j])
    before = Drawn(now + slope * 1e-3, slope, 0 * slope)  # what 1e-3 pu more would draw
    found = above.answer(v_pu, Drawn(before.s_mva, slope, before.per_hz))
    truth = np.array([1.0202, 1.0298])
    s = before.s_mva + slope * (np.abs(found) - np.abs(v_pu))
    np.testing.assert_allclose(np.abs(found), truth + BY_P @ s.real + BY_Q @ s.imag, atol=1e-12)
    np.testing.assert_allclose(np.angle(found), [0.2, -0.1])


def test_a_jump_is_not_taken_for_a_trend():
    above = Upstream()
    above.hear(grid_above(np.array([1.02, 1.03]), [20, 10]), 0)
    above.hear(grid_above(np.array([1.0325, 1.03]), [20, 10], 50.2), 60_000)
    v_pu, f_hz = above.begin()
    np.testing.assert_allclose(v_pu, above._offers[-1].v_pu)
    assert f_hz == 50.2


def test_a_further_offer_of_an_instant_replaces_the_first():
    one, two = Upstream(), Upstream()
    offers = [grid_above(np.array([1.02 + d, 1.03]), [20, 10]) for d in (0.0, 5e-4, 1e-4)]
    for offer, t_ms in zip(offers, (0, 60_000, 60_000), strict=True):
        one.hear(offer, t_ms)
    two.set_state(one.get_state())
    assert two.known
    for above in (one, two):
        np.testing.assert_allclose(np.abs(above.begin()[0]) - np.abs(offers[2].v_pu), [1e-4, 0.0], atol=1e-12)
