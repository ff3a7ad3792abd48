import networkx as nx
import numpy as np
import pytest

from controllers.distributed.consensus import (
    delay_margin_s,
    integrator_bound,
    lambda_max,
    laplacian,
    metropolis_weights,
    own_weight,
    step,
)


def neighbours(graph):
    return [sorted(near) for near in graph.adj.values()]


RING, PATH = neighbours(nx.cycle_graph(10)), neighbours(nx.path_graph(10))
STAR, COMPLETE = neighbours(nx.star_graph(9)), neighbours(nx.complete_graph(5))


@pytest.mark.parametrize(("graph", "margin"), [
    (RING, 0.3927), (PATH, 0.4026), (COMPLETE, 0.3142), (STAR, 0.1571),
])
def test_delay_margins_of_known_graphs(graph, margin):
    assert delay_margin_s(graph) == pytest.approx(margin, abs=5e-5)


def test_twice_the_rate_halves_the_margin():
    assert delay_margin_s(RING, 2.0) == pytest.approx(delay_margin_s(RING) / 2)


def test_star_has_the_number_of_agents_as_largest_eigenvalue():
    assert lambda_max(STAR) == pytest.approx(10)
    assert np.allclose(laplacian(STAR).sum(axis=1), 0)


@pytest.mark.parametrize("graph", [RING, PATH, COMPLETE, STAR])
@pytest.mark.parametrize(("share", "grows"), [(0.97, False), (1.03, True)])
def test_delayed_consensus_decays_below_the_margin_and_grows_above(graph, share, grows):
    tau = share * delay_margin_s(graph)
    per_delay = 100
    dt, matrix = tau / per_delay, laplacian(graph)
    # The mode of the largest eigenvalue is the one that turns unstable.
    mode = np.linalg.eigh(matrix)[1][:, -1]
    past = [mode.copy() for _ in range(per_delay + 1)]
    sizes = []
    for _ in range(60 * per_delay):
        past.append(past[-1] - dt * matrix @ past[-1 - per_delay])
        sizes.append(np.abs(past[-1]).max())
    early, late = max(sizes[5 * per_delay: 15 * per_delay]), max(sizes[-10 * per_delay:])
    assert bool(late > early) == grows


def test_metropolis_is_doubly_stochastic_and_keeps_the_mean():
    weights = metropolis_weights(STAR)
    assert np.allclose(weights.sum(axis=0), 1)
    assert np.allclose(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    assert weights[0, 1] == pytest.approx(0.1)
    u = np.arange(10.0)
    for _ in range(300):
        u = step(u, weights)
    assert np.allclose(u, 4.5, atol=1e-9)


def test_a_push_at_the_leader_moves_the_mean_by_its_share():
    weights = metropolis_weights(neighbours(nx.path_graph(4)))
    u = step(np.ones(4), weights, np.array([-0.4, 0, 0, 0]))
    assert u.mean() == pytest.approx(0.9)
    assert own_weight(1, 2) == pytest.approx(weights[0, 1]) == pytest.approx(1 / 3)


def test_a_one_sided_neighbourhood_is_refused():
    with pytest.raises(ValueError, match="agent 0 has neighbour 1"):
        metropolis_weights([[1], []])


@pytest.mark.parametrize(("delay", "bound"), [(0, 2.0), (1, 1.0), (2, 0.618), (3, 0.445)])
def test_integrator_bound(delay, bound):
    assert integrator_bound(delay) == pytest.approx(bound, abs=5e-4)
    for share, grows in ((0.97, False), (1.03, True)):
        a = share * integrator_bound(delay)
        # Largest root of z^(d+1) - z^d + a decides.
        roots = np.abs(np.roots([1.0, -1.0] + [0.0] * (delay - 1) + [a])) if delay else np.array([abs(1 - a)])
        assert bool(roots.max() > 1) == grows


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match="-1"):
        integrator_bound(-1)
