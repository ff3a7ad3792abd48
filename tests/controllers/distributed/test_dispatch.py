"""Wood and Wollenberg's three units, 850 MW: 393.17, 334.60, 122.23 MW at 9.14826."""

import numpy as np
import pytest

from controllers.distributed.dispatch import by_admm, by_consensus

B = np.array([7.92, 7.85, 7.97])
C = np.array([0.001562, 0.00194, 0.00482])


@pytest.mark.parametrize("graph", [[[1], [0, 2], [1]], [[1, 2], [0, 2], [0, 1]]])
def test_consensus_finds_the_published_dispatch(graph):
    p_mw, price, rounds = by_consensus(B, C, 850.0, graph)
    assert p_mw == pytest.approx([393.17, 334.60, 122.23], abs=0.005)
    assert price == pytest.approx(9.14826, abs=5e-6)
    assert 1 < rounds < 2000


def test_admm_finds_the_published_dispatch():
    p_mw, price, _ = by_admm(B, C, 850.0)
    assert p_mw == pytest.approx([393.17, 334.60, 122.23], abs=0.005)
    assert price == pytest.approx(9.14826, abs=5e-6)
    assert p_mw.sum() == pytest.approx(850, abs=1e-5)


def test_too_large_a_gain_is_named():
    with pytest.raises(ValueError, match="smaller eps"):
        by_consensus(B, C, 850.0, [[1], [0, 2], [1]], eps=0.1, max_rounds=200)
    with pytest.raises(ValueError, match="rho"):
        by_admm(B, C, 850.0, rho=1e6, max_rounds=50)
