"""What passes between the transmission grid and a distribution grid until they agree at an instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Offer:
    """What the transmission grid came to, for one distribution grid; arrays [interface].

    Parameters
    ----------
    v_pu : complex array
        Voltages of the busbars.
    f_hz : float
    drawn_mva : complex array
        What the interfaces were taken to draw.
    within_mva : float
        By how much that may be wrong, all interfaces together; beyond it the distribution grid has to say so.
    by_p, by_q : float array [interface, interface]
        How these voltages follow what is drawn [pu/MW, pu/Mvar].
    """

    v_pu: Complexes
    f_hz: float
    drawn_mva: Complexes
    within_mva: float
    by_p: Floats
    by_q: Floats


@dataclass(frozen=True)
class Exchange:
    """What the interfaces of one distribution grid draw at given voltages and frequency; arrays [interface].

    Parameters
    ----------
    dso : str
    s_mva, per_pu, per_hz : complex array
        Power, and how it follows the magnitude of its voltage [MVA/pu] and the frequency [MVA/Hz].
    v_pu : float array
        The magnitudes at which it holds.
    f_hz : float
        The frequency at which it holds.
    """

    dso: str
    s_mva: Complexes
    per_pu: Complexes
    per_hz: Complexes
    v_pu: Floats
    f_hz: float
