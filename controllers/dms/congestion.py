"""Congestion management: the cheapest change of active power that brings a feeder back within its limits.

min sum c_i |dP_i| subject to Umin <= U0 + S dP <= Umax and |F0 + T dP| <= Fmax at both ends of every branch,
on sensitivities at the estimated state; rows are added until the power flow shows no violation left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.network import Bools, Complexes, Floats, Ints, Topology
from controllers.dms.optimiser import solve

ROUNDS = 8
ROWS_A_ROUND = 8
"""Worst violations that become constraints in one round; their neighbours mostly follow."""
FINE = 1e-3
"""Change of the optimum, of the largest lever, that is not worth another round."""
SLACK_PU, SLACK_PERCENT = 2e-4, 0.1
"""What the linearisation may leave behind; the margin of the limits is larger."""
SHORTFALL_COST = 1e4
"""Per pu of voltage or of current that cannot be brought back: far above any cost of power."""
STEPS = (1.0, 0.6, 0.3, 0.0)
"""Feed-in as share of the installed power that a ripple control can ask for (EEG 2012, section 6)."""


@dataclass(frozen=True, eq=False)
class Lever:
    """What may be moved, one row a lever.

    Parameters
    ----------
    node : int array
    p_mw : array
        Injection at present.
    lower_mw, upper_mw : array
        Bounds of the injection.
    preferred_mw : array
        What it would inject if nobody asked; staying there costs nothing.
    cost : array
        Per MW away from the preferred value.
    """

    node: Ints
    p_mw: Floats
    lower_mw: Floats
    upper_mw: Floats
    preferred_mw: Floats
    cost: Floats


@dataclass(frozen=True)
class Limits:
    """Bounds with the margin for estimation error already taken off."""

    v_min_pu: float
    v_max_pu: float
    loading_max_percent: float


@dataclass(frozen=True, eq=False)
class Relief:
    """The outcome: injections asked for, and what is left of the violations.

    Parameters
    ----------
    p_mw : array [lever]
    v : complex array [node]
        Expected voltages.
    secure : bool
        No violation is expected to remain.
    """

    p_mw: Floats
    v: Complexes
    secure: bool


def violations(topology: Topology, v: Complexes, limits: Limits) -> tuple[Bools, Bools]:
    """Return which nodes [node] and branches [branch] are outside their limits."""
    size = np.abs(v)
    nodes = (size > limits.v_max_pu + SLACK_PU) | (size < limits.v_min_pu - SLACK_PU)
    nodes &= topology.at >= 0
    return nodes, topology.loading(v) > limits.loading_max_percent + SLACK_PERCENT


def relieve(
    topology: Topology, v: Complexes, s: Complexes, v_anchor: Complexes, levers: Lever, limits: Limits
) -> Relief:
    """Return the cheapest injections within the limits.

    Parameters
    ----------
    v, s : complex array [node]
        Estimated voltage and injection, the levers' present injections included [pu].
    v_anchor : complex array [anchor]
    """
    base = topology.net.grid.base_mva
    usable = topology.at[levers.node] >= 0
    # Starting from what the levers would do unasked also finds out which of them may return to it.
    # A lever at a busbar cannot help and is let go.
    p = np.clip(levers.preferred_mw, levers.lower_mw, levers.upper_mw)
    size_mw, moved = float(np.abs(levers.p_mw[usable]).max(initial=1e-3)), np.inf
    seen_v, seen_b = np.zeros(len(v), dtype=bool), np.zeros(len(topology.closed), dtype=bool)
    free = np.flatnonzero(usable)
    state = v
    best, cheapest = Relief(p, v, False), np.inf
    for _ in range(ROUNDS):
        state = topology.flow(_moved(s, levers, p, base), v_anchor, state)
        if not np.isfinite(state).all():
            break
        bad_v, bad_b = violations(topology, state, limits)
        secure = not (bad_v.any() or bad_b.any())
        price = float((levers.cost * np.abs(p - levers.preferred_mw)).sum())
        if not best.secure or (secure and price < cheapest):
            best, cheapest = Relief(p, state, secure), price
        # A first long step overshoots: the rows it was made for are linearised again where it ended.
        if not len(free) or (secure and (moved < FINE * size_mw or not (seen_v.any() or seen_b.any()))):
            break
        size = np.abs(state)
        beyond = np.maximum(size - limits.v_max_pu, limits.v_min_pu - size)
        grown = _add_worst(seen_v, bad_v, beyond)
        grown |= _add_worst(seen_b, bad_b, topology.loading(state))
        new = _optimum(topology, state, levers, free, p, limits, seen_v, seen_b)
        if new is None:
            break
        moved = float(np.abs(new - p).max())
        p = new
        if moved < FINE * size_mw and not grown and not secure:
            break
    return best


def quantised(p_mw: Floats, rated_mw: Floats, steps: tuple[float, ...] = STEPS) -> Floats:
    """Return caps rounded down to the steps that the receivers know [MW]."""
    share = np.where(rated_mw > 0, p_mw / np.maximum(rated_mw, 1e-12), 0.0)
    ladder = np.sort(np.asarray(steps))
    rung = np.searchsorted(ladder, share + 1e-9, side="right") - 1
    return ladder[np.maximum(rung, 0)] * rated_mw


def _add_worst(seen: Bools, bad: Bools, size: Floats) -> bool:
    """Mark the worst of the new violations in `seen`; tell whether there was one."""
    new = np.flatnonzero(bad & ~seen)
    seen[new[np.argsort(-size[new], kind="stable")[:ROWS_A_ROUND]]] = True
    return len(new) > 0


def _moved(s: Complexes, levers: Lever, p: Floats, base: float) -> Complexes:
    out = s.copy()
    np.add.at(out, levers.node, (p - levers.p_mw) / base)
    return out


def _optimum(
    topology: Topology, v: Complexes, levers: Lever, free: Ints, p: Floats, limits: Limits,
    rows_v: Bools, rows_b: Bools,
) -> Floats | None:
    """Solve the linear programme around the state `v` with the rows given; None without an optimum."""
    base, net = topology.net.grid.base_mva, topology.net
    nodes, back = np.unique(levers.node[free], return_inverse=True)
    A = topology.moves(v, nodes) / base
    at = topology.at[np.flatnonzero(rows_v & (topology.at >= 0))]
    size = np.abs(v[topology.free])
    dv = (np.conj(v[topology.free[at]] / size[at])[:, None] * A[at]).real
    full = topology.spread_rows(A)
    rows, i_f, i_t = topology.currents(v)
    hit = np.flatnonzero(rows_b[rows])
    f, t = net.grid.branch_from[rows[hit]], net.grid.branch_to[rows[hit]]
    y = net.grid.y_raw[:, rows[hit]]
    tables, levels, ceilings = [dv], [size[at]], [np.full(len(at), limits.v_max_pu)]
    floors = [np.full(len(at), limits.v_min_pu)]
    for i, (a, b) in ((i_f[hit], (y[0], y[1])), (i_t[hit], (y[2], y[3]))):
        amount = np.maximum(np.abs(i), 1e-9)
        di = (np.conj(i / amount)[:, None] * (a[:, None] * full[f] + b[:, None] * full[t])).real
        top = net.limit[rows[hit]] * limits.loading_max_percent / 100
        tables.append(di / top[:, None])
        levels.append(amount / top)
        ceilings.append(np.ones(len(hit)))
        floors.append(np.full(len(hit), -np.inf))
    table, level = np.vstack(tables)[:, back], np.concatenate(levels)
    m, k = len(level), len(free)
    prefer = np.clip(levers.preferred_mw[free], levers.lower_mw[free], levers.upper_mw[free])
    rest = level + table @ (prefer - p[free])
    # Variables: above and below the preferred injection, then shortfalls at the floors and ceilings.
    a = np.hstack((table, -table, np.eye(m), -np.eye(m)))
    # The tie-break makes the optimum unique where several levers cost and help the same.
    tie = 1e-5 * np.arange(k) / max(k, 1)
    price = levers.cost[free] + tie
    cost = np.concatenate((price, price, np.full(2 * m, SHORTFALL_COST)))
    room = np.concatenate((levers.upper_mw[free] - prefer, prefer - levers.lower_mw[free]))
    upper = np.concatenate((np.maximum(room, 0.0), np.full(2 * m, np.inf)))
    found = solve(cost, a, np.concatenate(floors) - rest, np.concatenate(ceilings) - rest,
                  np.zeros(2 * k + 2 * m), upper)
    if found is None:
        return None
    out = p.copy()
    out[free] = prefer + found[:k] - found[k : 2 * k]
    return out
