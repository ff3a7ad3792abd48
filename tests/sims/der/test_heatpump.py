import numpy as np
import pytest

from sims.der.heatpump import HeatPumps


def pump(fill=0.75):
    return HeatPumps(np.array([1.0]), np.array([1.0]), np.array([fill]))


def test_it_follows_demand_with_a_full_buffer():
    assert pump().wish(np.array([0.4]))[0] == pytest.approx(0.4)


def test_a_cap_is_lived_through_from_the_buffer_until_it_is_empty():
    pumps = pump()
    drawn = []
    for _ in range(12):
        pumps.wish(np.array([0.5]))
        p = pumps.bounded(np.array([0.0]), 900.0)
        pumps.advance(p, 900_000)
        drawn.append(p[0])
    assert drawn[:6] == [0.0] * 6
    assert drawn[-1] == pytest.approx(0.5)
    assert sum(drawn) * 0.25 == pytest.approx(12 * 0.5 * 0.25 - 0.75)


def test_it_recovers_afterwards_and_does_not_overfill():
    pumps = pump(0.0)
    assert pumps.wish(np.array([0.2]))[0] == pytest.approx(0.95)
    pumps = pump(0.99)
    pumps.wish(np.array([0.2]))
    assert pumps.bounded(np.array([1.0]), 900.0)[0] == pytest.approx(0.2 + 0.01 / 0.25)
