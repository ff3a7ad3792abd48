"""Storage kept for the hours in which its transformer is short of capacity, and filled while that has room."""

from __future__ import annotations

import numpy as np

from controllers.belief import FeederBelief
from controllers.dms.charging import EV_WEIGHT
from controllers.dms.network import Bools, Floats, Network

TIGHT_SHARE = 0.9
"""Peak by nameplate, as share of the transformers' rating, from which storage below is kept for it."""
FILL_SHARE = 0.75
"""Share of what its transformer may draw up to which a kept storage is filled for the peak to come."""


def tight(belief: FeederBelief, net: Network, below: Floats) -> Bools:
    """Return which busbars' transformers may be overloaded by what is connected below them [anchor].

    Parameters
    ----------
    below : array [anchor, node]
        How much of an injection at each node each busbar sees.
    """
    devices, base = belief.devices, belief.grid.base_mva
    vehicles = np.where(devices.kind == "ev", devices.p_rated_mw, 0.0)
    peak = np.asarray(belief.load_mw) + EV_WEIGHT * np.bincount(devices.node, vehicles, belief.grid.n_nodes)
    rating = np.bincount(net.feed_anchor, net.limit[net.feed] * base, len(net.anchor))
    out: Bools = (rating > 0) & (below @ peak > TIGHT_SHARE * rating)
    return out


def filling(room_mw: Floats, charge_mw: Floats, below: Floats) -> Floats:
    """Return the power at which storages fill while there is room (charging negative) [storage] [MW].

    Parameters
    ----------
    room_mw : array [anchor]
        What may still be drawn through each busbar's transformers.
    charge_mw : array [storage]
        Lowest power of each, <= 0.
    below : array [anchor, storage]
    """
    most = below @ -charge_mw
    share = np.clip(room_mw / np.maximum(most, 1e-9), 0.0, 1.0)
    # A storage below several busbars fills by the tightest.
    mine = np.where(below > 0.01, share[:, None], np.inf).min(axis=0)
    out: Floats = np.where(np.isfinite(mine), mine, 0.0) * charge_mw
    return out
