"""Compiled loops of decisions on short arrays: the steps of tap changers, the filling of storages."""

from __future__ import annotations

import numpy as np
from numba import njit

_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def filling(room, most, charge, below, out):  # type: ignore[no-untyped-def]
    """Write into `out` [storage] at which power storages charge while there is room.

    Busbars [anchor] have `room` for that of the `most` the storages below them would take; a storage below several
    busbars fills by the tightest.
    """
    for k in range(charge.shape[0]):
        share = np.inf
        for a in range(room.shape[0]):
            if below[a, k] > 0.01:
                share = min(share, max(room[a] / max(most[a], 1e-9), 0.0))
        out[k] = min(share, 1.0) * charge[k] if share < np.inf else 0.0


@njit(**_JIT)
def tap_steps(share, free, v, step, room, bounds, most, limit_weight, wear, out):  # type: ignore[no-untyped-def]
    """Write into `out` [anchor] by how many steps to move each busbar, `most` either way.

    `bounds` [4, free] are the band's ends and the limits that hold at each node; of equal costs the fewest steps win.
    """
    nf, na = share.shape
    size = np.empty(nf)
    for i in range(nf):
        size[i] = np.abs(v[free[i]])
    for a in range(na):
        out[a] = 0
        count = 0
        for i in range(nf):
            count += share[i, a] > 0.5
        if step[a] == 0.0 or count == 0:
            continue
        best = np.inf
        for n in range(-most, most + 1):
            if n < -room[0, a] or n > room[1, a]:
                continue
            total = 0.0
            for i in range(nf):
                if share[i, a] > 0.5:
                    after = size[i] + n * step[a] * share[i, a]
                    beyond = max(after - bounds[1, i], bounds[0, i] - after, 0.0)
                    outside = max(after - bounds[3, i], bounds[2, i] - after, 0.0)
                    total += beyond * beyond + limit_weight * outside * outside
            cost = np.rint((total / count + wear * abs(n)) * 1e12)
            if cost < best or (cost == best and abs(n) < abs(out[a])):
                best, out[a] = cost, n
