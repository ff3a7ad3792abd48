"""Fault location, isolation and supply restoration, as plain functions on the believed grid.

Locate: the faulted section runs from the last fault indicator that saw the current to the first that did
not; an indicator sits at the sending end of each line, so that is the last line on. Isolate: open it at both
ends. Restore: reclose the tripped head if the fault lies beyond it, then choose ties for what is still
dark: most power first, then fewest operations, then least losses; radial, within ratings, voltage and what the
switches can break.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from controllers.dms.network import Bools, Complexes, Floats, Ints, Network, Topology
from controllers.dms.short_circuit import breakable

Moves = tuple[tuple[int, ...], tuple[int, ...]]
"""Rows to open and rows to close."""
MOST_PAIRS = 400
"""Combinations of two ties and one cut that are tried at most."""


@dataclass(frozen=True)
class Plan:
    """A switching sequence: everything in `opened` before anything in `closed` (branch rows).

    `restored_mw` is the load of the dark part that gets supply, `dark_mw` what stays without;
    `v_min_pu`, `loading_percent` and `losses_mw` are those expected for the whole feeder afterwards.
    """

    opened: tuple[int, ...]
    closed: tuple[int, ...]
    restored_mw: float
    dark_mw: float
    v_min_pu: float
    loading_percent: float
    losses_mw: float

    @property
    def operations(self) -> int:
        """Number of switches moved."""
        return len(self.opened) + len(self.closed)


@dataclass(frozen=True, eq=False)
class Case:
    """What a plan is made for.

    Parameters
    ----------
    net : Network
    closed : bool array [branch]
        States with the breaker tripped.
    s : complex array [node]
        Injections to be supplied once they are supplied [pu].
    v_anchor : complex array [anchor]
    v_min_pu, loading_max_percent : float
    blocked : frozenset of int
        Branch rows that must stay open: known faults.
    capacity_ka : array [node], optional
        What switches at each node can break; by default what is usual at its voltage.
    """

    net: Network
    closed: Bools
    s: Complexes
    v_anchor: Complexes
    v_min_pu: float
    loading_max_percent: float
    blocked: frozenset[int] = frozenset()
    capacity_ka: Floats | None = None


def locate(topology: Topology, tripped: int, passed: Iterable[int]) -> int:
    """Return the faulted branch row.

    Parameters
    ----------
    topology : Topology
        As it was when the fault struck; radial.
    tripped : int
        Row of the head line whose breaker opened.
    passed : iterable of int
        Rows whose indicators saw the fault current, in any order; lines not below the tripped head count
        for nothing.
    """
    depth, below = _depths(topology), _below(topology)
    deepest, at = tripped, -1
    for row in passed:
        node = below.get(int(row), -1)
        if node < 0 or not _under(topology, node, tripped):
            continue
        if depth[node] > at:
            deepest, at = int(row), int(depth[node])
    return deepest


def plan(case: Case, tripped: int, faulted: int) -> Plan:
    """Return the best sequence that isolates `faulted` and restores what can be restored."""
    net = case.net
    closed = case.closed.copy()
    opened: list[int] = [faulted] if closed[faulted] else []
    closed[faulted] = False
    shut: list[int] = []
    if tripped != faulted and tripped not in case.blocked and not closed[tripped]:
        closed[tripped] = True
        shut.append(tripped)
    case = replace(case, closed=closed, blocked=case.blocked | {faulted})
    load = np.maximum(-case.s.real, 0.0)
    before = net.topology(case.closed if not shut else _without(closed, shut))
    best = _judged(case, closed, tuple(opened), tuple(shut), load, before)
    # Islands are taken largest first; each choice stands for the ones after it.
    for island in _islands(case, closed, load):
        better = _best_for(case, best, island, load, before)
        if better is not None:
            best = better
    return best


def _without(closed: Bools, rows: Sequence[int]) -> Bools:
    out = closed.copy()
    out[list(rows)] = False
    return out


def _states(case: Case, opened: Sequence[int], shut: Sequence[int]) -> Bools:
    closed = case.closed.copy()
    closed[list(opened)] = False
    closed[list(shut)] = True
    return closed


def _best_for(case: Case, base: Plan, island: Bools, load: Floats, before: Topology) -> Plan | None:
    """Return the best plan for one dark island on top of `base`, or None where nothing helps."""
    live = case.net.topology(_states(case, base.opened, base.closed)).live
    ties = _ties(case, base, island, live)
    whole = _feasible(case, base, [((), (tie,)) for tie in ties], load, before)
    preferred = _preferred(case, whole)
    if preferred is not None:
        return preferred
    cuts = _inner(case, base, island)
    pairs: list[Moves] = [((cut,), (a, b)) for i, a in enumerate(ties) for b in ties[i + 1 :] for cut in cuts]
    found = _feasible(case, base, _evenly(pairs, MOST_PAIRS), load, before)
    found += _feasible(case, base, [((cut,), (tie,)) for tie in ties for cut in cuts], load, before)
    preferred = _preferred(case, found)
    if preferred is not None:
        return preferred
    # Heavily loaded: shed from the far end of each tie, one line after another, until it holds.
    return _preferred(case, _shed(case, base, ties, cuts, load, before))


def _feasible(
    case: Case, base: Plan, moves: Iterable[Moves], load: Floats, before: Topology
) -> list[Plan]:
    found = []
    for opened, shut in moves:
        closed = _states(case, (*base.opened, *opened), (*base.closed, *shut))
        trial = _judged(case, closed, (*base.opened, *opened), (*base.closed, *shut), load, before)
        if _holds(case, trial) and trial.restored_mw > base.restored_mw + 1e-9:
            found.append(trial)
    return found


def _shed(
    case: Case, base: Plan, ties: Sequence[int], cuts: Sequence[int], load: Floats, before: Topology
) -> list[Plan]:
    found = []
    for tie in ties:
        opened: tuple[int, ...] = ()
        for _ in range(len(cuts)):
            trials = []
            for cut in cuts:
                if cut in opened:
                    continue
                out = (*base.opened, *opened, cut)
                closed = _states(case, out, (*base.closed, tie))
                trials.append((cut, _judged(case, closed, out, (*base.closed, tie), load, before)))
            trials = [t for t in trials if np.isfinite(t[1].v_min_pu)]
            if not trials:
                break
            # Of all single cuts, the one that leaves most supplied per relief of the worst limit.
            cut, trial = min(trials, key=lambda t: (_excess(case, t[1]), -t[1].restored_mw))
            if _holds(case, trial):
                if trial.restored_mw > base.restored_mw + 1e-9:
                    found.append(trial)
                break
            opened = (*opened, cut)
    return found


def _judged(
    case: Case, closed: Bools, opened: tuple[int, ...], shut: tuple[int, ...], load: Floats, before: Topology
) -> Plan:
    """Work out what a set of states would lead to; a meshed or unsolvable one has a voltage of nan."""
    net = case.net
    base = net.grid.base_mva
    topology = net.topology(closed)
    restored = float(load[topology.live & ~before.live].sum()) * base
    dark = float(load[~topology.live].sum()) * base
    if not topology.radial:
        return Plan(opened, shut, restored, dark, np.nan, np.nan, np.nan)
    s = np.where(topology.live, case.s, 0.0)
    v = topology.flow(s, case.v_anchor)
    if not np.isfinite(v).all():
        return Plan(opened, shut, restored, dark, np.nan, np.nan, np.nan)
    lowest = float(np.abs(v[topology.free]).min(initial=2.0))
    return Plan(opened, shut, restored, dark, lowest, _heaviest(topology, v, s), topology.losses(v, s) * base)


def _heaviest(topology: Topology, v: Complexes, s: Complexes) -> float:
    """Return the largest loading of lines and of the transformers feeding the busbars [%]."""
    net = topology.net
    worst = float(topology.loading(v).max(initial=0.0))
    if len(net.feed):
        rep = topology.rep[net.anchor]
        current = np.abs(topology.drawn(v) - np.conj(topology.gathered(s)[rep] / v[rep]))
        room = np.bincount(net.feed_anchor, net.limit[net.feed], len(net.anchor))
        worst = max(worst, float((100 * current / room).max()))
    return worst


def _holds(case: Case, plan: Plan) -> bool:
    return bool(plan.v_min_pu >= case.v_min_pu and plan.loading_percent <= case.loading_max_percent)


def _excess(case: Case, plan: Plan) -> float:
    low = max(0.0, case.v_min_pu - plan.v_min_pu) / 0.01
    return low + max(0.0, plan.loading_percent / case.loading_max_percent - 1.0) * 10


def _preferred(case: Case, plans: Sequence[Plan]) -> Plan | None:
    """Return the best plan whose switches can break a fault that strikes after it, or None."""
    order = sorted(plans, key=lambda p: (-round(p.restored_mw, 6), p.operations, p.losses_mw, p.closed, p.opened))
    for found in order:
        topology = case.net.topology(_states(case, found.opened, found.closed))
        if breakable(topology, found.closed, case.capacity_ka):
            return found
    return None


def _islands(case: Case, closed: Bools, load: Floats) -> list[Bools]:
    """Return the dark parts that have load, largest first, as masks [node]."""
    grid, topology = case.net.grid, case.net.topology(closed)
    label = np.arange(grid.n_nodes)
    rows = np.flatnonzero(closed & (grid.branch_kind != "trafo3w"))
    fused = case.net.fused()
    a = np.concatenate((grid.branch_from[rows], fused[:, 0]))
    b = np.concatenate((grid.branch_to[rows], fused[:, 1]))
    while True:
        low = np.minimum(label[a], label[b])
        new = label.copy()
        np.minimum.at(new, a, low)
        np.minimum.at(new, b, low)
        if (new == label).all():
            break
        label = new
    dark = ~topology.live & grid.node_in_service
    masks = [dark & (label == k) for k in np.unique(label[dark])]
    masks = [m for m in masks if load[m].sum() > 0]
    return sorted(masks, key=lambda m: -float(load[m].sum()))


def _ties(case: Case, base: Plan, island: Bools, live: Bools) -> list[int]:
    """Return open lines between the island and the live grid that may be closed."""
    grid = case.net.grid
    state = _states(case, base.opened, base.closed)
    f, t = grid.branch_from, grid.branch_to
    across = (island[f] & live[t]) | (island[t] & live[f])
    rows = np.flatnonzero(across & ~state & (grid.branch_kind == "line"))
    return [int(r) for r in rows if int(r) not in case.blocked]


def _inner(case: Case, base: Plan, island: Bools) -> list[int]:
    """Return closed lines within the island."""
    grid = case.net.grid
    state = _states(case, base.opened, base.closed)
    inside = island[grid.branch_from] & island[grid.branch_to] & state & (grid.branch_kind == "line")
    return [int(r) for r in np.flatnonzero(inside)]


def _evenly(moves: list[Moves], most: int) -> list[Moves]:
    if len(moves) <= most:
        return moves
    return [moves[i] for i in np.unique(np.linspace(0, len(moves) - 1, most).astype(int))]


def _depths(topology: Topology) -> Ints:
    depth = np.zeros(len(topology.live), dtype=np.int64)
    for node in topology.order:
        up = topology.parent[node]
        if up >= 0:
            depth[node] = depth[up] + 1
    return depth


def _below(topology: Topology) -> dict[int, int]:
    """Return branch row -> the node it supplies."""
    return {int(r): int(n) for n, r in enumerate(topology.parent_branch) if r >= 0}


def _under(topology: Topology, node: int, row: int) -> bool:
    """Tell whether branch `row` lies between `node` and its busbar."""
    while node >= 0:
        if int(topology.parent_branch[node]) == row:
            return True
        node = int(topology.parent[node])
    return False
