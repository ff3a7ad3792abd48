"""Storage kept for the hours in which its transformer is short of capacity: filled, or emptied, while that has room."""

from __future__ import annotations

import numpy as np

from controllers.belief import FeederBelief
from controllers.dms import decision_kernels
from controllers.dms.charging import EV_WEIGHT
from controllers.dms.network import Bools, Floats, Network

TIGHT_SHARE = 0.9
"""Peak by nameplate, as share of the transformers' rating, from which storage below is kept for it."""
FILL_SHARE = 0.75
"""Share of what its transformer may carry up to which a kept storage is filled or emptied for the peak to come."""


def peak_mw(belief: FeederBelief) -> Floats:
    """Return what each node draws in the evening peak by nameplate [node]."""
    devices = belief.devices
    vehicles = np.where(devices.kind == "ev", devices.p_rated_mw, 0.0)
    found: Floats = np.asarray(belief.load_mw) + EV_WEIGHT * np.bincount(devices.node, vehicles, belief.grid.n_nodes)
    return found


def ratings_mw(belief: FeederBelief, net: Network) -> Floats:
    """Return what the transformers above each busbar carry together [anchor]; 0 where there are none."""
    rating = np.bincount(net.feed_anchor, net.limit[net.feed] * belief.grid.base_mva, len(net.anchor))
    return rating.astype(np.float64)


def tight(belief: FeederBelief, net: Network, below: Floats) -> Bools:
    """Return which busbars' transformers may be overloaded by what is connected below them [anchor].

    Parameters
    ----------
    below : array [anchor, node]
        How much of an injection at each node each busbar sees.
    """
    rating = ratings_mw(belief, net)
    out: Bools = (rating > 0) & (below @ peak_mw(belief) > TIGHT_SHARE * rating)
    return out


def next_need(forecast_mw: Floats, limit_mw: Floats, step_h: float) -> Floats:
    """Return the energy that will lack in the next spell beyond the limits [busbar] [MWh].

    Positive where storage has to discharge in it, negative where it has to take in what flows back; the spell ends
    where the flow is beyond the limit the other way.

    Parameters
    ----------
    forecast_mw : array [time, busbar]
        What is drawn through its transformers.
    limit_mw : array [busbar]
        0 where there is none.
    """
    beyond = np.where(limit_mw > 0, np.sign(forecast_mw) * np.maximum(np.abs(forecast_mw) - limit_mw, 0.0), 0.0)
    first = np.take_along_axis(beyond, (beyond != 0).argmax(axis=0)[None], axis=0)
    over = np.logical_or.accumulate(beyond * first < 0, axis=0)
    found: Floats = np.where(over, 0.0, beyond).sum(axis=0) * step_h
    return found


def level(need_mwh: Floats, usable_mwh: Floats, efficiency: float) -> Floats:
    """Return how full the storages below each busbar have to be for what is to come [busbar], of their usable range.

    For a peak they are filled whatever it asks for: a forecast errs, and energy that is left over costs little. For
    what flows back they leave the room it asks for, and no more: the evening after it needs the rest.

    Parameters
    ----------
    need_mwh : array [busbar]
        As from `next_need`: what has to be given, or negative what has to be taken in.
    usable_mwh : array [busbar]
        Range of the energy that may be stored.
    """
    usable = np.maximum(usable_mwh, 1e-9)
    room = np.maximum(-need_mwh, 0.0) * efficiency / usable
    return 1.0 - np.clip(room, 0.0, 1.0)


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
    out = np.empty(len(charge_mw))
    decision_kernels.filling(room_mw, below @ -charge_mw, charge_mw, below, out)
    return out
