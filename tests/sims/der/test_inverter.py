import numpy as np
import pytest

from sims.der.inverter import capped, circle, ramped


def test_active_power_first():
    p, q = circle(np.array([0.8, 1.2, 0.3]), np.array([0.9, 0.5, -0.2]), np.ones(3))
    assert p.tolist() == pytest.approx([0.8, 1.0, 0.3])
    assert q.tolist() == pytest.approx([0.6, 0.0, -0.2])


def test_reactive_power_first():
    p, q = circle(np.array([0.9, -0.9]), np.array([-0.6, 1.5]), np.ones(2), q_first=True)
    assert p.tolist() == pytest.approx([0.8, 0.0])
    assert q.tolist() == pytest.approx([-0.6, 1.0])


def test_caps_hold_both_ways_and_infinity_is_none():
    assert capped(np.array([2.0, -2.0, 2.0]), np.array([1.5, 0.5, np.inf])).tolist() == [1.5, -0.5, 2.0]


def test_ramps_reach_as_far_as_time_allows():
    assert ramped(np.zeros(3), np.array([5.0, -5.0, 0.1]), np.full(3, 0.2), 2.0).tolist() == [0.4, -0.4, 0.1]
