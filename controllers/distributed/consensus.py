"""Agreement among neighbours: weights, one step, and how much delay it bears."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Neighbours = Sequence[Sequence[int]]


def metropolis_weights(neighbours: Neighbours) -> Floats:
    """Return weights under which every agent's value tends to the mean of all.

    w_ij = 1 / (1 + max(d_i, d_j)) for neighbours, the rest of each row on the diagonal: doubly stochastic,
    and each agent needs its neighbours' degrees only (Xiao, Boyd and Lall, IPSN 2005).

    Parameters
    ----------
    neighbours : sequence of sequence of int
        Neighbours of each agent; must be symmetric.

    Returns
    -------
    ndarray [agent, agent]

    Raises
    ------
    ValueError
        One agent names another as neighbour that does not name it back.
    """
    weights = np.zeros((len(neighbours), len(neighbours)))
    for i, others in enumerate(neighbours):
        for j in others:
            if i not in neighbours[j]:
                raise ValueError(f"agent {i} has neighbour {j}, but agent {j} does not have neighbour {i}")
            weights[i, j] = own_weight(len(others), len(neighbours[j]))
    np.fill_diagonal(weights, 1.0 - weights.sum(axis=1))
    return weights


def own_weight(degree: int, other_degree: int) -> float:
    """Return the Metropolis weight of one neighbour, from both degrees."""
    return 1.0 / (1.0 + max(degree, other_degree))


def step(u: Floats, weights: Floats, push: Floats | float = 0.0) -> Floats:
    """Return the agents' values after one round, u(k+1) = W u(k) + push.

    Parameters
    ----------
    u : ndarray [agent]
    weights : ndarray [agent, agent]
    push : ndarray [agent] or float
        eps e: what the agents that see a deviation add.
    """
    return weights @ u + push


def laplacian(neighbours: Neighbours) -> Floats:
    """Return degree matrix minus adjacency of the graph of agents, shape [agent, agent]."""
    matrix = np.zeros((len(neighbours), len(neighbours)))
    for i, others in enumerate(neighbours):
        matrix[i, list(others)] = -1.0
        matrix[i, i] = len(others)
    return matrix


def lambda_max(neighbours: Neighbours) -> float:
    """Return the largest eigenvalue of the graph's Laplacian."""
    return float(np.linalg.eigvalsh(laplacian(neighbours))[-1])


def delay_margin_s(neighbours: Neighbours, rate_per_s: float = 1.0) -> float:
    """Return the largest delay under which u' = -rate L u(t - tau) still agrees [s].

    tau* = pi / (2 rate lambda_max), the agent's own value being as old as its neighbours' (Olfati-Saber and
    Murray, IEEE Trans. Automatic Control 49(9), 2004, theorem 10).
    """
    return math.pi / (2.0 * rate_per_s * lambda_max(neighbours))


def integrator_bound(delay_cycles: int) -> float:
    """Return the loop gain at which x(k+1) = x(k) - a x(k-d) starts to grow.

    2 cos(d pi / (2 d + 1)) for a delay of d cycles (Levin and May, Theoretical Population Biology 9, 1976);
    a volt/VAr integrator whose step times sensitivity stays below it is stable.
    """
    if delay_cycles < 0:
        raise ValueError(f"a delay of {delay_cycles} cycles is none")
    return 2.0 * math.cos(delay_cycles * math.pi / (2 * delay_cycles + 1))
