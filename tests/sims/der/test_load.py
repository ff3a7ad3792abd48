import numpy as np
import pytest

from sims.der.load import demand


def test_draws_what_its_profile_says_with_own_reactive_series_or_power_factor():
    p, q = demand(np.array([2.0, 2.0]), np.array([0.5, 0.5]), np.array([np.nan, -0.1]), np.array([0.75, 0.75]))
    assert p.tolist() == [-1.0, -1.0]
    assert q.tolist() == pytest.approx([-0.75, 0.15])
