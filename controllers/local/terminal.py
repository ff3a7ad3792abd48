"""What a law inside a device is given: its own terminals and nothing else."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Terminal(Protocol):
    """Columns of shape [device]; injections positive.

    `p_up_mw` and `p_dn_mw` (>= 0) are how far active power can rise and fall; `droop_mw_per_hz` and
    `inertia_mw_s_per_hz` are an ordered droop and an ordered gain against the slope of frequency, nan where none is.
    """

    v_pu: Array
    f_hz: Array
    rocof_hz_s: Array
    p_mw: Array
    q_mvar: Array
    p_avail_mw: Array
    p_rated_mw: Array
    s_rated_mva: Array
    soc: Array
    p_up_mw: Array
    p_dn_mw: Array
    droop_mw_per_hz: Array
    inertia_mw_s_per_hz: Array
