"""How old what a site had heard from each of its sources was at each of its decisions: the compiled loop."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@njit(cache=True)  # type: ignore[untyped-decorator]
def add_ages(
    decided_ms: Floats, of_site: Numbers, site: Numbers, cuts: Numbers, came_ms: Floats, made_ms: Floats,
    total_ms: Floats, sources: Numbers,
) -> None:  # fmt: skip
    """Add to each decision the age of the newest news it had from each source that it had heard of.

    Parameters
    ----------
    decided_ms, total_ms, sources : array, shape (decisions,)
        Times of the decisions by site and time; sum of the ages, and how many they are, added to in place.
    of_site : int array, shape (sites + 1,)
        Where each site's decisions begin.
    site, cuts : int arrays, shapes (sources,) and (sources + 1,)
        Whom each source tells, and where its telegrams begin.
    came_ms, made_ms : array, shape (telegrams,)
        When they arrived, ascending for each source, and when they were sent.
    """
    for source in range(len(site)):
        k, newest_ms = cuts[source], -np.inf
        for decision in range(of_site[site[source]], of_site[site[source] + 1]):
            while k < cuts[source + 1] and came_ms[k] <= decided_ms[decision]:
                newest_ms = max(newest_ms, made_ms[k])
                k += 1
            if k > cuts[source]:
                total_ms[decision] += decided_ms[decision] - newest_ms
                sources[decision] += 1
