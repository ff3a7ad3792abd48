"""Screening of single outages (N-1): who goes dark, and whether one tie brings them back within the limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.loops import VIRTUAL, Loops
from controllers.dms.network import Bools, Complexes, Floats, Ints
from sims.core.errors import GridError

TOLERANCE_PU = 1e-6


@dataclass(frozen=True, eq=False)
class Screening:
    """One row per outage, the most load left dark first.

    Parameters
    ----------
    row : int array [outage]
        Branch row; `loops.VIRTUAL` (-1) for the loss of a busbar's infeed.
    node : int array [outage]
        The first node behind it.
    lost_mw : array [outage]
        Load that goes dark at once.
    lost_customers : int array [outage]
    tie : int array [outage]
        Branch row of the tie that restores best, -1 where there is none.
    v_min_pu, loading_percent : array [outage]
        With that tie closed; nan where there is none.
    restorable : bool array [outage]
        That tie restores all of it within the limits.
    """

    row: Ints
    node: Ints
    lost_mw: Floats
    lost_customers: Ints
    tie: Ints
    v_min_pu: Floats
    loading_percent: Floats
    restorable: Bools

    def __len__(self) -> int:
        return len(self.row)

    @property
    def dark_mw(self) -> Floats:
        """Return the load that one switching cannot restore [MW]."""
        return np.where(self.restorable, 0.0, self.lost_mw)


def screen(loops: Loops, s: Complexes, v_min_pu: float = 0.9, customers: Ints | None = None) -> Screening:
    """Try the outage of every supplied branch and every infeed, each with every tie around it.

    Parameters
    ----------
    loops : Loops
        The grid as switched; its ratings are the limits.
    s : complex array [node of the grid]
        Injections [pu].
    v_min_pu : float
        Voltage that supply over a tie must keep.
    customers : int array [node of the grid], optional

    Raises
    ------
    GridError
        The present state has no solution.
    """
    grid, n = loops.net.grid, len(loops.nodes)
    now = loops.solve(s)
    if not now.solved[0]:
        raise GridError(f"net {grid.name}: the present state has no power flow solution; look at the loads")
    load = loops.gathered(np.maximum(-s.real, 0.0).astype(complex)).real * grid.base_mva
    heads = int((loops.row[:n] == VIRTUAL).sum())
    # The only busbar of a feeder cannot be replaced by anything inside it, but what it feeds counts.
    lost = loops.path @ load
    counted = np.zeros(n) if customers is None else loops.gathered(customers.astype(complex)).real
    lost_customers = np.rint(loops.path @ counted).astype(np.int64)
    edge, tie = np.nonzero(loops.loop[:n] != 0)
    opened = np.repeat(loops.ties[None, :], len(edge), axis=0)
    opened[np.arange(len(edge)), tie] = edge
    best = np.full(n, -1, dtype=np.int64)
    v_min, loading, good = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=bool)
    if len(edge):
        found = loops.solve(s, opened, tolerance=TOLERANCE_PU)
        low, high = found.v_min_pu, found.loading
        holds = found.solved & (low >= v_min_pu) & (found.excess <= 1e-9)
        # Of several ties the one within the limits, then the one that leaves the most room.
        worst = np.maximum(np.maximum(v_min_pu - low, 0.0) * 10, np.maximum(high - 1.0, 0.0))
        for k in np.lexsort((found.losses_pu, worst, ~holds, ~found.solved))[::-1]:
            if found.solved[k]:
                best[edge[k]], v_min[edge[k]] = loops.row[loops.ties[tie[k]]], low[k]
                loading[edge[k]], good[edge[k]] = 100.0 * high[k], holds[k]
    good |= lost < 1e-9
    shown = np.flatnonzero((np.arange(n) >= heads) | (lost > 0))
    order = shown[np.lexsort((shown, -lost[shown], good[shown]))]
    return Screening(loops.row[order], loops.nodes[order], lost[order], lost_customers[order], best[order],
                     v_min[order], loading[order], good[order])
