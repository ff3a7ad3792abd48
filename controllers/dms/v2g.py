"""Vehicles as a reserve: which share of those plugged in takes part, and what may be counted on.

Participating share = sum min(P_up, P_dn) / sum P_plugged: what a cluster can give both ways, over what is plugged in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.network import Floats
from sims.core.errors import GridError


@dataclass(frozen=True)
class Reserve:
    """What a fleet of vehicles offers.

    Parameters
    ----------
    share : float
        Participating share [1]; 0 where nothing is plugged in.
    up_mw, down_mw : float
        Power that can be fed in more, and taken more.
    symmetric_mw : float
        Offered both ways.
    hold_h : float
        How long the offer upward can be held; inf where nothing is offered.
    """

    share: float
    up_mw: float
    down_mw: float
    symmetric_mw: float
    hold_h: float


def reserve(
    p_mw: Floats, plugged_mw: Floats, energy_mwh: Floats, floor_mwh: Floats, ceiling_mwh: Floats, v2g_share: Floats,
    for_h: float = 0.25, efficiency: float = 0.92,
) -> Reserve:
    """Return the reserve of clusters of vehicles, arrays [cluster].

    Parameters
    ----------
    p_mw : array
        Present power, feeding in positive: charging is negative.
    plugged_mw : array
        Power of the plugs in use.
    energy_mwh, floor_mwh, ceiling_mwh : array
        Energy in the batteries plugged in; what their drivers need kept, and what fits.
    v2g_share : array
        Share of the plugs that can feed back; the others can only charge less.
    for_h : float
        How long an activation must last.

    Raises
    ------
    GridError
        Shares outside 0 to 1, or a floor above the ceiling.
    """
    if ((v2g_share < 0) | (v2g_share > 1)).any():
        raise GridError(f"shares of vehicles that feed back lie between 0 and 1, not {v2g_share.min()} to "
                        f"{v2g_share.max()}")
    if (floor_mwh > ceiling_mwh + 1e-12).any():
        raise GridError("the energy drivers need is above what the batteries hold")
    spare = np.maximum(energy_mwh - floor_mwh, 0.0)
    fits = np.maximum(ceiling_mwh - energy_mwh, 0.0)
    most_out = np.minimum(v2g_share * plugged_mw, spare * efficiency / for_h)
    # Charging can stop where the driver's energy is there already; who still needs it keeps on charging.
    stoppable = np.where(spare > 0, np.maximum(-p_mw, 0.0), 0.0)
    up = np.maximum(most_out + stoppable - np.maximum(p_mw, 0.0), 0.0)
    most_in = np.minimum(plugged_mw, fits / efficiency / for_h)
    down = np.maximum(most_in + p_mw, 0.0)
    both = np.minimum(up, down)
    plugged = float(plugged_mw.sum())
    given = float(both.sum())
    hold = float((spare * efficiency).sum() / most_out.sum()) if most_out.sum() > 0 else np.inf
    return Reserve(given / plugged if plugged > 0 else 0.0, float(up.sum()), float(down.sum()), given, hold)
