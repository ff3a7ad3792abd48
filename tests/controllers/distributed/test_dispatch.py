"""The agents' consensus finds the dispatch of Wood and Wollenberg's three units at 850 MW."""

import numpy as np
import pytest

from controllers.distributed.consensus import metropolis_weights, step

B = np.array([7.92, 7.85, 7.97])
C = np.array([0.001562, 0.00194, 0.00482])


def by_consensus(b, c, demand_mw, neighbours, *, gain=0.0, max_rounds=20_000):
    """Return outputs, price and rounds of the cheapest dispatch among units that talk to their neighbours only.

    The costs are averaged by the agents' own consensus, the shares of the mismatch too, and what a unit changes in
    output it takes off its share, so that the sum of the shares is the true mismatch at every round (Yang, Tan and
    Xu, IEEE Trans. Power Systems 28(4), 2013).
    """
    weights = metropolis_weights(neighbours)
    gain = gain or 0.5 / float(np.sum(1.0 / (2.0 * c)))
    price, p_mw, share = b.astype(float), np.zeros(len(b)), np.full(len(b), demand_mw / len(b))
    for rounds in range(1, max_rounds + 1):
        price = step(price, weights, gain * share)
        moved = (price - b) / (2.0 * c)
        share = step(share, weights) - (moved - p_mw)
        p_mw = moved
        if np.abs(share).max() < 1e-6 and np.ptp(price) < 1e-9:
            return p_mw, float(price.mean()), rounds
    return None


def by_admm(b, c, demand_mw, *, rho=0.0, max_rounds=20_000):
    """Return outputs, price and rounds of the cheapest dispatch by ADMM in its sharing form.

    Each unit minimises its own cost plus rho/2 (P - (P_old - mean mismatch - scaled price))^2; only the mean mismatch
    is shared (Boyd et al., Foundations and Trends in Machine Learning 3(1), 2011, section 7.3).
    """
    rho = rho or float(np.exp(np.mean(np.log(2.0 * c))))
    part_mw = demand_mw / len(b)
    p_mw, scaled = np.full(len(b), part_mw), 0.0
    for rounds in range(1, max_rounds + 1):
        centre = p_mw - (p_mw.mean() - part_mw) - scaled
        moved = (rho * centre - b) / (2.0 * c + rho)
        mismatch = moved.mean() - part_mw
        scaled += mismatch
        still = np.abs(moved - p_mw).max()
        p_mw = moved
        if abs(mismatch) * len(b) < 1e-6 and still < 1e-6:
            return p_mw, -rho * scaled, rounds
    return None


@pytest.mark.parametrize("graph", [[[1], [0, 2], [1]], [[1, 2], [0, 2], [0, 1]]])
def test_consensus_finds_the_published_dispatch(graph):
    p_mw, price, rounds = by_consensus(B, C, 850.0, graph)
    assert p_mw == pytest.approx([393.17, 334.60, 122.23], abs=0.005)
    assert price == pytest.approx(9.14826, abs=5e-6)
    assert 1 < rounds < 2000


def test_admm_finds_the_published_dispatch():
    p_mw, price, rounds = by_admm(B, C, 850.0)
    assert p_mw == pytest.approx([393.17, 334.60, 122.23], abs=0.005)
    assert price == pytest.approx(9.14826, abs=5e-6)
    assert p_mw.sum() == pytest.approx(850, abs=1e-5)
    assert rounds == 37


def test_too_large_a_gain_or_penalty_never_agrees():
    assert by_admm(B, C, 850.0, rho=1e6, max_rounds=50) is None
    assert by_consensus(B, C, 850.0, [[1], [0, 2], [1]], gain=0.1, max_rounds=200) is None
