"""Photovoltaic units: what the sun offers at the inverter's terminals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def available(p_rated_mw: Array, share: Array, s_rated_mva: Array) -> Array:
    """Return available active power [MW], shape [device].

    `p_rated_mw` is the installed module power (kWp / 1000), `share` the profile. The inverter clips at its
    apparent power, so that an oversized generator shows the flat noon it has in the field.
    """
    return np.minimum(np.maximum(p_rated_mw * share, 0.0), s_rated_mva)
