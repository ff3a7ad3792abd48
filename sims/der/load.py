"""Inflexible demand: profile times rating, reactive power from its own series or a power factor."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def demand(p_rated_mw: Array, share_p: Array, share_q: Array, tan_phi: Array) -> tuple[Array, Array]:
    """Return the injection of loads [MW, Mvar], negative where they draw; shape [device].

    Parameters
    ----------
    p_rated_mw : ndarray
        Peak demand, positive [MW].
    share_p, share_q : ndarray
        Profile values in shares of rated active and of rated reactive power; nan where a load has no series
        for reactive power, which then follows active power.
    tan_phi : ndarray
        Q/P at rated demand.

    Notes
    -----
    Reactive series are normalised to the largest reactive power, as SimBench does: Q = q(t) P_rated tan(phi).
    """
    p = -p_rated_mw * share_p
    return p, np.where(np.isnan(share_q), p * tan_phi, -p_rated_mw * tan_phi * share_q)
