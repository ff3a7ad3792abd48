"""What a change of injections does to voltages and currents, linearised at a believed state."""

from __future__ import annotations

import numpy as np

from controllers.dms.network import Complexes, Floats, Ints, Topology


def voltage_rows(topology: Topology, v: Complexes, moves: Complexes, at: Ints) -> Floats:
    """Return d|V| of the free nodes `at` per lever, array [at, lever].

    Parameters
    ----------
    v : complex array [node]
    moves : complex array [free, lever]
        Change of the complex voltage per unit of each lever (`Topology.moves`).
    at : int array
        Positions among the free nodes.
    """
    v_at = v[topology.free[at]]
    out: Floats = (np.conj(v_at / np.abs(v_at))[:, None] * moves[at]).real
    return out


def current_rows(topology: Topology, v: Complexes, moves: Complexes, branches: Ints) -> tuple[Floats, Floats]:
    """Return the change per lever and the present value of currents, in shares of their limits.

    Parameters
    ----------
    branches : int array
        Branch rows; those that carry nothing are left out.

    Returns
    -------
    table : array [2 x branch, lever]
        From-ends first, then to-ends.
    level : array [2 x branch]
        1 at 100 % loading.
    """
    net = topology.net
    rows, i_f, i_t = topology.currents(v)
    hit = np.flatnonzero(np.isin(rows, branches))
    f, t = net.grid.branch_from[rows[hit]], net.grid.branch_to[rows[hit]]
    y, top = net.y[:, rows[hit]], net.limit[rows[hit]]
    at_f, at_t = topology.rows_of(moves, f), topology.rows_of(moves, t)
    tables, levels = [], []
    for i, a, b in ((i_f[hit], y[0], y[1]), (i_t[hit], y[2], y[3])):
        amount = np.maximum(np.abs(i), 1e-9)
        di = (np.conj(i / amount)[:, None] * (a[:, None] * at_f + b[:, None] * at_t)).real
        tables.append(di / top[:, None])
        levels.append(amount / top)
    return np.vstack(tables), np.concatenate(levels)
