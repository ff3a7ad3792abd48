"""Vehicles as a reserve: which share of those plugged in takes part, and what may be counted on.

Participating share = sum min(P_up, P_dn) / sum P_plugged: what a cluster can give both ways, over what is plugged in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from controllers.dms.network import Floats
from sims.core.errors import GridError

PLUGGED, HELD, THEIRS = 0.2, 0.5, 0.25
"""What is believed of vehicles nobody meters: share plugged in, what they hold of their batteries, and what of
that is their drivers'."""


@dataclass(frozen=True, eq=False)
class Reserve:
    """What clusters of vehicles offer.

    Parameters
    ----------
    plugged_mw : array [cluster]
        Power of the plugs in use.
    up_mw, down_mw : array [cluster]
        Power that can be fed in more, and taken more.
    hold_h : float
        How long the offer upward can be held; inf where nothing is offered.
    """

    plugged_mw: Floats
    up_mw: Floats
    down_mw: Floats
    hold_h: float

    @property
    def symmetric_mw(self) -> Floats:
        """Offered both ways [cluster]: all that droop may count on."""
        return np.minimum(self.up_mw, self.down_mw)

    @property
    def share(self) -> float:
        """Participating share [1]; 0 where nothing is plugged in."""
        plugged = float(self.plugged_mw.sum())
        return float(self.symmetric_mw.sum()) / plugged if plugged > 0 else 0.0


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
    offered = float(most_out.sum())
    hold = float((spare * efficiency).sum()) / offered if offered > 1e-12 else np.inf
    return Reserve(plugged_mw, up, down, hold)


def believed_reserve(rated_mw: Floats, drawn_mw: Floats, settings: Mapping[str, Any]) -> Reserve:
    """Return what clusters that are believed to draw `drawn_mw` have in reserve, by what is known of vehicles.

    Parameters
    ----------
    rated_mw, drawn_mw : array [cluster]
        All plugs of a cluster, and what it charges with.
    settings : mapping
        `plugged_share` (`PLUGGED`; where more is drawn, more is plugged in), `v2g_share` of vehicles that feed back
        (0.3), `vehicle_h`, energy of a battery over the power of its plug (60/11).
    """
    plugged = np.maximum(float(settings.get("plugged_share", PLUGGED)) * rated_mw, drawn_mw)
    energy = float(settings.get("vehicle_h", 60 / 11)) * plugged
    share = np.full(len(plugged), float(settings.get("v2g_share", 0.3)))
    return reserve(-drawn_mw, plugged, HELD * energy, THEIRS * energy, energy, share)
