import numpy as np

from sims.der.pv import available


def test_the_inverter_clips_and_nights_are_zero():
    got = available(np.array([1.2, 1.0, 1.0]), np.array([0.9, 0.5, -0.01]), np.array([1.0, 1.0, 1.0]))
    assert got.tolist() == [1.0, 0.5, 0.0]
