"""Load estimation: the load of every substation from what the busbars give and what meters tell.

    P_i = (P_busbar - sum P_metered - losses) w_i / sum w

over what each busbar supplies, for substations without a meter; weights are ratings or last year's energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.dms.network import Complexes, Floats, Ints, Topology
from sims.core.errors import GridError

ROUNDS = 20
TOLERANCE_PU = 1e-9


@dataclass(frozen=True, eq=False)
class Allocation:
    """Loads that add up to what the busbars give.

    Parameters
    ----------
    s : complex array [node]
        Injections [pu], the metered ones as metered.
    losses_mw : array [anchor]
        Below each busbar.
    share : complex array [anchor]
        What an unmetered substation draws, per unit of its weight and base power.
    """

    s: Complexes
    losses_mw: Floats
    share: Complexes


def supplied_by(topology: Topology) -> Ints:
    """Return the busbar that supplies each node, or most of it [node]; 0 in the dark."""
    first = np.zeros(len(topology.rep), dtype=np.int64)
    first[topology.anchor] = np.arange(len(topology.anchor))
    at = topology.at
    return np.where(at >= 0, topology.share.argmax(axis=1)[at] if len(topology.free) else 0, first[topology.rep])


def allocate(
    topology: Topology, drawn: Complexes, metered: Complexes, weight: Floats, v_anchor: Complexes | Floats,
) -> Allocation:
    """Spread what each busbar gives over the nodes below it that have no meter.

    Parameters
    ----------
    topology : Topology
    drawn : complex array [anchor]
        Power drawn from the busbars, by the meters of the substation [pu].
    metered : complex array [node]
        Injections by IED, RTU and smart meters [pu]; nan where there is none.
    weight : array [node]
        Weight of each unmetered node: kVA of its transformer, or energy billed; 0 where nothing is connected.
    v_anchor : array [anchor]

    Raises
    ------
    GridError
        No weight where something has to be spread, or the feeder has no power flow solution.
    """
    name, count = topology.net.grid.name, len(topology.anchor)
    known = np.isfinite(metered)
    w = np.where(known | ~topology.live, 0.0, np.maximum(weight, 0.0))
    fixed = np.where(known & topology.live, metered, 0.0)
    below = supplied_by(topology)
    total, metered_sum = np.bincount(below, w, count), _sums(below, fixed, count)
    if not total.any():
        raise GridError(f"net {name}: every node is metered or has no weight; there is nothing to spread loads over")
    share, losses = np.zeros((2, count), dtype=complex)
    for _ in range(ROUNDS):
        new = np.where(total > 0, -(drawn + metered_sum - losses) / np.maximum(total, 1e-300), 0.0)
        s = fixed + new[below] * w
        v = topology.flow(s, v_anchor)
        if not np.isfinite(v).all():
            raise GridError(f"net {name}: the feeder's power cannot be carried; look at its meter")
        # At the busbars enters what the grid takes and what hangs on the busbars themselves.
        entering = v[topology.anchor] * np.conj(topology.drawn(v)) - topology.gathered(s)[topology.anchor]
        losses = entering + _sums(below, s, count)
        if (np.abs(new - share) * total).max() < TOLERANCE_PU:
            break
        share = new
    return Allocation(s, losses.real * topology.net.grid.base_mva, -new)


def _sums(below: Ints, s: Complexes, count: int) -> Complexes:
    """Return the sum of `s` below each busbar [anchor]."""
    found: Complexes = np.bincount(below, s.real, count) + 1j * np.bincount(below, s.imag, count)
    return found


def profile_share(load: NDArray[np.float64], weight: Floats) -> Floats:
    """Return weights [node] from readings of some past weeks [time, node], those without readings by `weight`.

    Smart meters tell energy with a day's delay: their mean is a better weight than a nameplate. Nodes that never
    reported keep their nameplate, scaled to the level of those that did.
    """
    seen = np.isfinite(load).any(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(np.where(seen, load, 0.0), axis=0)
    base = float(weight[seen].sum())
    level = float(mean[seen].sum()) / base if base > 0 else 1.0
    return np.where(seen, mean, weight * level)
