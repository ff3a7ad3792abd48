"""Load management: moving load from an overloaded infeed to a neighbouring one by switching.

Overload comes first, losses second: as long as a rating is exceeded the switching that relieves most is taken
whatever it costs in losses; otherwise one that saves enough losses to be worth its operations. Nothing is closed
whose switches could not break a short circuit there afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.loops import Loops
from controllers.dms.network import Bools, Complexes, Floats, Ints, Network
from controllers.dms.reconfiguration import Reconfiguration, reconfigure
from controllers.dms.short_circuit import breakable
from sims.core.errors import GridError

WORTH_MW = 0.005
"""Losses that one switching operation must at least save [MW]."""

WORTH_EXCESS = 0.01
"""Share of a rating that another exchange must take off the overloads."""


@dataclass(frozen=True, eq=False)
class Relief:
    """A switching and what it does to the infeeds.

    Parameters
    ----------
    plan : Reconfiguration
        Its `opened` and `closed` are empty where nothing is worth doing.
    busbar : int array [infeed]
        Node of each infeed's busbar.
    load_mva, rating_mva : array [state, infeed] and array [infeed]
        What each supplies before and after; inf where it has no rating.
    """

    plan: Reconfiguration
    busbar: Ints
    load_mva: Floats
    rating_mva: Floats

    @property
    def overloaded(self) -> Bools:
        """Tell which infeeds are overloaded before and after, bool array [state, infeed]."""
        return self.load_mva > self.rating_mva * (1 + 1e-9)


def relieve(
    net: Network, closed: Bools, s: Complexes, rating_mva: Floats | None = None, v_min_pu: float = 0.9,
    v_anchor: Complexes | Floats | None = None, loading_max: float = 1.0, worth_mw: float = WORTH_MW,
    exchanges: int | None = None,
) -> Relief:
    """Return the switching that ends overloads, or else saves losses.

    Parameters
    ----------
    net, closed : Network, bool array [branch]
        The grid and its present states.
    s : complex array [node]
        Injections [pu].
    rating_mva : array [anchor], optional
        What each infeed may supply at nominal voltage; that of its transformers by default.
    worth_mw : float
        Losses each operation must save where nothing is overloaded.
    exchanges : int, optional
        At most so many pairs of an opened and a closed branch, and no more of them than end the overload; by
        default whatever is best.

    Raises
    ------
    GridError
        A single infeed and no tie: there is nothing to move load to.
    """
    base = net.grid.base_mva
    limit = None if rating_mva is None else np.asarray(rating_mva, float) / base
    loops = Loops(net, closed, v_anchor, limit, loading_max=loading_max)
    if not len(loops.ties):
        raise GridError(f"net {net.grid.name}: has no tie to another infeed; load can only be shed, not moved")
    plan = _fewest(loops, s, v_min_pu, exchanges)
    saved = plan.losses_mw[0] - plan.losses_mw[1]
    if plan.operations and plan.excess[0] <= 1e-9 and saved < worth_mw * plan.operations:
        plan = _nothing(plan)
    after = closed.copy()
    after[list(plan.opened)], after[list(plan.closed)] = False, True
    if plan.operations and not breakable(net.topology(after), plan.closed):
        plan = _nothing(plan)
    heads = np.flatnonzero(loops.row == -1)
    opened = loops.ties.copy()
    state = _state(loops, plan, opened)
    found = loops.solve(s, np.stack((loops.ties, state)))
    load = np.abs(found.current[:, heads]) * base
    return Relief(plan, loops.nodes[heads], load, loops.limit[heads] * base)


def _fewest(loops: Loops, s: Complexes, v_min_pu: float, exchanges: int | None) -> Reconfiguration:
    """Return the best switching, or the one of fewest exchanges beyond which the overload falls no further."""
    plan = reconfigure(loops, s, v_min_pu, exchanges=None if exchanges is None else 1)
    for most in range(2, (exchanges or 0) + 1):
        if plan.excess[1] <= 1e-9:
            break
        more = reconfigure(loops, s, v_min_pu, exchanges=most)
        if more.excess[1] > plan.excess[1] - WORTH_EXCESS:
            break
        plan = more
    return plan


def _nothing(plan: Reconfiguration) -> Reconfiguration:
    def same(pair: tuple[float, float]) -> tuple[float, float]:
        return pair[0], pair[0]

    return Reconfiguration((), (), same(plan.excess), same(plan.losses_mw), same(plan.v_min_pu),
                           same(plan.loading_percent), plan.complete, plan.states)


def _state(loops: Loops, plan: Reconfiguration, opened: Ints) -> Ints:
    """Return the edges that are open after a plan."""
    stay = [int(e) for e in opened if int(loops.row[e]) not in plan.closed]
    return np.array([*stay, *(loops.edge(row) for row in plan.opened)], dtype=np.int64)
