"""Load estimation: the load of every substation from what the feeder draws and what meters tell.

    P_i = (P_feeder - sum P_metered - losses) w_i / sum w

for substations without a meter, with weights from the transformers' ratings or last year's energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.dms.network import Complexes, Floats, Topology
from sims.core.errors import GridError

ROUNDS = 20
TOLERANCE_PU = 1e-9


@dataclass(frozen=True, eq=False)
class Allocation:
    """Loads that add up to what the feeder draws.

    Parameters
    ----------
    s : complex array [node]
        Injections [pu], the metered ones as metered.
    losses_mw : float
    share : float
        What an unmetered substation draws, per unit of its weight and base power.
    """

    s: Complexes
    losses_mw: float
    share: complex


def allocate(
    topology: Topology, drawn: complex, metered: Complexes, weight: Floats, v_anchor: Complexes | Floats,
) -> Allocation:
    """Spread what a feeder draws over the nodes without a meter.

    Parameters
    ----------
    topology : Topology
    drawn : complex
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
    name = topology.net.grid.name
    known = np.isfinite(metered)
    w = np.where(known | ~topology.live, 0.0, np.maximum(weight, 0.0))
    fixed = np.where(known & topology.live, metered, 0.0)
    total = float(w.sum())
    if total <= 0:
        raise GridError(f"net {name}: every node is metered or has no weight; there is nothing to spread loads over")
    anchor = topology.rep[topology.net.anchor]
    share, losses = 0j, 0j
    for _ in range(ROUNDS):
        new = -(drawn + fixed.sum() - losses) / total
        s = fixed + new * w
        v = topology.flow(s, v_anchor)
        if not np.isfinite(v).all():
            raise GridError(f"net {name}: the feeder's power cannot be carried; look at its meter")
        # At the busbars enters what the grid takes and what hangs on the busbars themselves.
        entering = (v[anchor] * np.conj(topology.drawn(v))).sum() - topology.gathered(s)[anchor].sum()
        losses = complex(entering + s.sum())
        if abs(new - share) * total < TOLERANCE_PU:
            break
        share = new
    return Allocation(s, losses.real * topology.net.grid.base_mva, -new)


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
