"""Economic dispatch without a centre: the incremental cost agreed by consensus, or by ADMM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controllers.distributed.consensus import Neighbours, metropolis_weights, step

Floats = NDArray[np.float64]


def by_consensus(
    b: Floats, c: Floats, demand_mw: float, neighbours: Neighbours, *,
    eps: float = 0.0, tolerance_mw: float = 1e-6, max_rounds: int = 20_000,
) -> tuple[Floats, float, int]:
    """Return the cheapest dispatch, found by units that talk to their neighbours only.

    Each unit keeps its view of the incremental cost and its share of the mismatch. The costs are averaged,
    the shares too, and what a unit changes in output it takes off its share, so that the sum of the shares
    is the true mismatch at every round (Yang, Tan and Xu, IEEE Trans. Power Systems 28(4), 2013).

    Parameters
    ----------
    b, c : ndarray [unit]
        Cost a + b P + c P^2 [1/MW, 1/MW^2].
    demand_mw : float
    neighbours : sequence of sequence of int
    eps : float
        Gain of the mismatch on the incremental cost; 0 takes one that suits the units' costs.

    Returns
    -------
    p_mw : ndarray [unit]
    price : float
        Incremental cost.
    rounds : int

    Raises
    ------
    ValueError
        No agreement within `max_rounds`.
    """
    weights = metropolis_weights(neighbours)
    gain = eps or 0.5 / float(np.sum(1.0 / (2.0 * c)))
    price = b.astype(float)
    p_mw = np.zeros(len(b))
    share = np.full(len(b), demand_mw / len(b))
    for rounds in range(1, max_rounds + 1):
        price = step(price, weights, gain * share)
        moved = (price - b) / (2.0 * c)
        share = step(share, weights) - (moved - p_mw)
        p_mw = moved
        if np.abs(share).max() < tolerance_mw and np.ptp(price) < 1e-9:
            return p_mw, float(price.mean()), rounds
    raise ValueError(f"no agreement on the price after {max_rounds} rounds; choose a smaller eps than {gain:g}")


def by_admm(
    b: Floats, c: Floats, demand_mw: float, *, rho: float = 0.0, tolerance_mw: float = 1e-6,
    max_rounds: int = 20_000,
) -> tuple[Floats, float, int]:
    """Return the cheapest dispatch by ADMM in its sharing form.

    Each unit minimises its own cost plus rho/2 (P - (P_old - mean mismatch - scaled price))^2; only the mean
    mismatch is shared (Boyd et al., Foundations and Trends in Machine Learning 3(1), 2011, section 7.3).

    Parameters
    ----------
    rho : float
        Penalty; 0 takes the geometric mean of the units' curvatures.

    Returns
    -------
    p_mw : ndarray [unit]
    price : float
        Incremental cost.
    rounds : int

    Raises
    ------
    ValueError
        No agreement within `max_rounds`.
    """
    penalty = rho or float(np.exp(np.mean(np.log(2.0 * c))))
    p_mw = np.full(len(b), demand_mw / len(b))
    scaled = 0.0
    for rounds in range(1, max_rounds + 1):
        centre = p_mw - (p_mw.mean() - demand_mw / len(b)) - scaled
        moved = (penalty * centre - b) / (2.0 * c + penalty)
        mismatch = moved.mean() - demand_mw / len(b)
        scaled += mismatch
        still = np.abs(moved - p_mw).max()
        p_mw = moved
        if abs(mismatch) * len(b) < tolerance_mw and still < tolerance_mw:
            return p_mw, -penalty * scaled, rounds
    raise ValueError(f"no agreement after {max_rounds} rounds; choose another rho than {penalty:g}")
