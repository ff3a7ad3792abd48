"""Vector groups: the multiples of 30 degrees by which transformers turn the voltages below them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order

from sims.grid.compiled import CompiledNet

STEP_RAD = np.pi / 6


def upright(grid: CompiledNet, roots: NDArray[np.int64], used: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Return the branch admittances as if every transformer had vector group 0, array [4, branch] [pu].

    Each node is told in its own frame, turned against that of `roots` by the transformers between; magnitudes,
    powers and currents stay as they are.

    Parameters
    ----------
    roots : int array
        Nodes whose frame is kept.
    used : bool array [branch]
        Branches along which frames are passed on.
    """
    own = _clock(grid)
    if not own.any():
        return grid.y_raw
    n, rows = grid.n_nodes, np.flatnonzero(used)
    f, t = grid.branch_from, grid.branch_to
    joined = grid.switches.branch < 0
    joined &= grid.switches.far_node >= 0
    a = np.concatenate((f[rows], grid.switches.node[joined], np.full(len(roots), n)))
    b = np.concatenate((t[rows], grid.switches.far_node[joined], roots))
    order, before = breadth_first_order(coo_matrix((np.ones(len(a)), (a, b)), shape=(n + 1, n + 1)), n, directed=False)
    turn = {(int(f[r]), int(t[r])): int(own[r]) for r in rows}
    clock = np.zeros(n + 1, dtype=np.int64)
    for node in order[1:].tolist():
        up = int(before[node])
        clock[node] = clock[up] + turn.get((up, node), -turn.get((node, up), 0))
    unit = np.exp(1j * STEP_RAD * (clock % 12))
    out = grid.y_raw.copy()
    out[1] *= np.conj(unit[f]) * unit[t]
    out[2] *= np.conj(unit[t]) * unit[f]
    return out


def _clock(grid: CompiledNet) -> NDArray[np.int64]:
    """Return by how many steps of 30 degrees each branch turns the voltage at its to-end, at no load."""
    y = grid.y_raw
    known = (y[2] != 0) & (y[3] != 0)
    ratio = np.where(known, -y[2] / np.where(known, y[3], 1.0), 1.0)
    return np.rint(np.angle(ratio) / STEP_RAD).astype(np.int64)
