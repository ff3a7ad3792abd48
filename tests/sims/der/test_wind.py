import numpy as np

from sims.der.wind import available


def test_between_standstill_and_rated_power():
    assert available(np.array([2.0, 2.0, 2.0]), np.array([0.25, 1.3, -0.1])).tolist() == [0.5, 2.0, 0.0]
