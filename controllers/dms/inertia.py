"""Inertia accounting of cells: what each owns, needs, can hand on and can take.

Stored energy E [MWs] at nominal frequency; a converter with dP = -K df/dt counts as E = K f0 / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """The disturbance that inertia is planned for.

    Parameters
    ----------
    f0_hz : float
    rocof_max_hz_per_s : float
        Steepest slope that may occur.
    rocof_ref_hz_per_s : float
        Slope for which headroom of converters and ties is valued.
    df_max_hz : float
        Deviation that stored energy must last for.
    """

    f0_hz: float = 50.0
    rocof_max_hz_per_s: float = 1.0
    rocof_ref_hz_per_s: float = 1.0
    df_max_hz: float = 0.8


def machines_mws(running: Floats, h_s: Floats, s_mva: Floats) -> float:
    """Return the kinetic energy of synchronous machines, sum u H S [MWs]."""
    return float((running * h_s * s_mva).sum())


def converters_mws(k_in: Floats, headroom_mw: Floats, energy_mws: Floats, ref: Reference) -> Floats:
    """Return what each converter counts for [MWs].

    Parameters
    ----------
    k_in : array
        Gain [MW per Hz/s].
    headroom_mw : array
        Power it can add at once.
    energy_mws : array
        Energy it can spend; below K df_max it counts for nothing.
    """
    by_gain = k_in * ref.f0_hz / 2
    by_power = ref.f0_hz * np.maximum(headroom_mw, 0.0) / (2 * ref.rocof_ref_hz_per_s)
    return np.where(energy_mws >= k_in * ref.df_max_hz, np.minimum(by_gain, by_power), 0.0)


def needed_mws(p_ref_mw: float, ref: Reference) -> float:
    """Return the energy that keeps the slope after losing `p_ref_mw` below the maximum [MWs]."""
    return p_ref_mw * ref.f0_hz / (2 * ref.rocof_max_hz_per_s)


def assigned_gains(missing_mws: float, headroom_mw: Floats, energy_mws: Floats, ref: Reference) -> Floats:
    """Return gains K that add up to the missing inertia, shared in proportion to what each can do [MW s/Hz]."""
    by_power = np.maximum(headroom_mw, 0.0) / ref.rocof_ref_hz_per_s
    most = np.minimum(by_power, np.maximum(energy_mws, 0.0) / ref.df_max_hz)
    wanted = max(0.0, missing_mws) * 2 / ref.f0_hz
    whole = float(most.sum())
    return most * (min(wanted, whole) / whole) if whole > 0 else np.zeros(len(most))


@dataclass(frozen=True, eq=False)
class Trade:
    """Who lends inertia to whom.

    Parameters
    ----------
    lent_mws : array [from cell, to cell]
    deliverable_mws, receivable_mws : array [cell]
        Most that each could hand on and take.
    """

    lent_mws: Floats
    deliverable_mws: Floats
    receivable_mws: Floats


def trade(own_mws: Floats, min_mws: Floats, atc_mw: Floats, ref: Reference) -> Trade:
    """Share surplus inertia over the ties.

    Parameters
    ----------
    own_mws, min_mws : array [cell]
    atc_mw : array [from cell, to cell]
        Available transfer capacity; a cell without any is an island, and neither lends nor borrows.

    Returns
    -------
    Trade
        Every MWs is lent once, none that is not owned beyond the own need, and no more than a tie carries.
    """
    value = ref.f0_hz / (2 * ref.rocof_ref_hz_per_s)
    atc = np.where(np.eye(len(own_mws), dtype=bool), 0.0, np.maximum(atc_mw, 0.0))
    surplus = np.maximum(0.0, own_mws - min_mws)
    deliverable = np.minimum(surplus, value * atc.sum(axis=1))
    missing = np.maximum(0.0, min_mws - own_mws)
    lent = np.zeros_like(atc)
    left, room = deliverable.copy(), value * atc
    # The neediest first; it takes from each neighbour in proportion to what that one has left.
    for c in np.argsort(-missing, kind="stable"):
        offer = np.minimum(left, room[:, c])
        whole = float(offer.sum())
        if missing[c] <= 0 or whole <= 0:
            continue
        taken = offer * min(1.0, missing[c] / whole)
        lent[:, c] = taken
        left -= taken
    receivable = np.minimum(deliverable[:, None], room).sum(axis=0)
    return Trade(lent, deliverable, receivable)
