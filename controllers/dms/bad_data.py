"""Gross errors among measurements, found one at a time by the largest normalised residual.

The chi-square test asks whether all residuals together are too large, and one gross error among hundreds of good
measurements passes it. So the largest normalised residual is tested by itself, against the value that the largest of
so many normal residuals exceeds in one clean set out of twenty (Bonferroni), instead of the usual 3.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from controllers.dms.state_estimation import Branches, Complexes, Estimate, Ints, Measurements, wls

FALSE_ALARMS = 0.05
"""Share of clean measurement sets in which something is suspected."""


@lru_cache(maxsize=256)
def residual_limit(measurements: int, false_alarms: float = FALSE_ALARMS) -> float:
    """Return the normalised residual that the largest of so many exceeds in a share `false_alarms` of clean sets."""
    return float(-ndtri(false_alarms / (2 * max(measurements, 1))))


def identify(
    net: Branches, measured: Measurements, reference: int = 0, most: int = 5, false_alarms: float = FALSE_ALARMS
) -> tuple[Estimate, Ints]:
    """Estimate the state without the measurements found bad.

    Parameters
    ----------
    net, measured, reference
        As for `wls`.
    most : int
        So many are taken out at most.

    Returns
    -------
    (estimate, indices of the measurements taken out, in that order)
        A measurement without redundancy cannot be found bad: its residual is always zero.
    """
    index = np.arange(len(measured.value))
    removed: list[int] = []
    start: Complexes | None = None
    while True:
        some = Measurements(measured.kind[index], measured.place[index], measured.value[index], measured.sigma[index])
        found = wls(net, some, reference, start)
        worst = int(found.normalised.argmax())
        if len(removed) >= most or found.normalised[worst] <= residual_limit(len(index), false_alarms):
            return found, np.array(removed, dtype=np.int64)
        removed.append(int(index[worst]))
        index = np.delete(index, worst)
        start = found.v
