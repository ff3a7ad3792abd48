"""Congestion management: the cheapest change of active power that brings a feeder back within its limits.

min sum c_i |dP_i| subject to Umin <= U0 + S dP <= Umax and |F0 + T dP| <= Fmax at both ends of every branch,
on sensitivities at the estimated state; rows are added until the power flow shows no violation left. The
transformers that feed the busbars are metered themselves: what they draw is held in its range by the sum of
the changes below them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.feeder_file import Picture
from controllers.dms.network import Bools, Complexes, Floats, Ints, Topology
from controllers.dms.optimiser import solve
from controllers.dms.sensitivity import current_rows, voltage_rows

ROUNDS = 8
ROWS_A_ROUND = 8
"""Worst violations that become constraints in one round; their neighbours mostly follow."""
FINE = 1e-3
"""Change of the optimum, of the largest lever, that is not worth another round."""
SLACK_PU, SLACK_PERCENT, SLACK_MW = 2e-4, 0.1, 0.01
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

    def part(self, here: slice) -> Lever:
        """Return the levers `here`, as views."""
        return Lever(self.node[here], self.p_mw[here], self.lower_mw[here], self.upper_mw[here],
                     self.preferred_mw[here], self.cost[here])


@dataclass(frozen=True)
class Limits:
    """Bounds with the margin for estimation error already taken off."""

    v_min_pu: float
    v_max_pu: float
    loading_max_percent: float


@dataclass(frozen=True, eq=False)
class Supply:
    """What each busbar's transformers draw at the levers' present injections, and may draw [anchor] [MW]."""

    drawn_mw: Floats
    lowest_mw: Floats
    highest_mw: Floats

    def at(self, anchors: slice) -> Supply:
        """Return that of some of the busbars, as views."""
        return Supply(self.drawn_mw[anchors], self.lowest_mw[anchors], self.highest_mw[anchors])

    def violated(self, given_mw: Floats) -> Bools:
        """Return which busbars draw too much or too little after `given_mw` more was injected below each [anchor]."""
        drawn = self.drawn_mw - given_mw
        return (drawn > self.highest_mw + SLACK_MW) | (drawn < self.lowest_mw - SLACK_MW)


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


def violations(
    topology: Topology, v: Complexes, limits: Limits, loading: Floats | None = None
) -> tuple[Bools, Bools]:
    """Return which nodes [node] and branches [branch] are outside their limits; `loading` [%] where it is known."""
    size = np.abs(v)
    nodes = (size > limits.v_max_pu + SLACK_PU) | (size < limits.v_min_pu - SLACK_PU)
    nodes &= topology.at >= 0
    loading = topology.loading(v) if loading is None else loading
    return nodes, loading > limits.loading_max_percent + SLACK_PERCENT


def violated(picture: Picture, limits: Limits) -> tuple[bool, bool]:
    """Tell whether any node and whether any branch is outside its limits."""
    low, high = picture.extremes_pu
    off = low < limits.v_min_pu - SLACK_PU or high > limits.v_max_pu + SLACK_PU
    return off, picture.fullest_percent > limits.loading_max_percent + SLACK_PERCENT


def unlimited(anchors: int) -> Supply:
    """Return a supply that draws whatever is wanted."""
    return Supply(np.zeros(anchors), np.full(anchors, -np.inf), np.full(anchors, np.inf))


def relieve(
    topology: Topology, v: Complexes, s: Complexes, v_anchor: Complexes, levers: Lever, limits: Limits,
    supply: Supply | None = None,
) -> Relief:
    """Return the cheapest injections within the limits.

    Parameters
    ----------
    v, s : complex array [node]
        Estimated voltage and injection, the levers' present injections included [pu].
    v_anchor : complex array [anchor]
    supply : Supply, optional
    """
    base = topology.net.grid.base_mva
    supply = unlimited(len(topology.net.anchor)) if supply is None else supply
    below = below_anchors(topology, levers.node)
    usable = (below > 0).any(axis=0)
    # Starting from what the levers would do unasked also finds out which of them may return to it.
    p = by_merit(levers, supply, below)
    inner = topology.at[levers.node] >= 0
    size_mw, moved = float(np.abs(levers.p_mw[inner]).max(initial=1e-3)), np.inf
    seen_v, seen_b = np.zeros(len(v), dtype=bool), np.zeros(len(topology.closed), dtype=bool)
    seen_a = np.zeros(len(below), dtype=bool)
    free = np.flatnonzero(usable)
    state = v
    best = Relief(p, v, False)
    for _ in range(ROUNDS):
        state = topology.flow(_moved(s, levers, p, base), v_anchor, state)
        if not np.isfinite(state).all():
            break
        bad_v, bad_b = violations(topology, state, limits)
        bad_a = supply.violated(below @ (p - levers.p_mw))
        secure = not (bad_v.any() or bad_b.any() or bad_a.any())
        if secure or not best.secure:
            best = Relief(p, state, secure)  # each round is linearised nearer to the optimum
        if not (bad_v.any() or bad_b.any() or seen_v.any() or seen_b.any()):
            break  # what transformers draw is a sum: the order of merit is the optimum already
        # A first long step overshoots: the rows it was made for are linearised again where it ended.
        known = seen_v.any() or seen_b.any() or seen_a.any()
        if not len(free) or (secure and (moved < FINE * size_mw or not known)):
            break
        size = np.abs(state)
        beyond = np.maximum(size - limits.v_max_pu, limits.v_min_pu - size)
        grown = _add_worst(seen_v, bad_v, beyond)
        grown |= _add_worst(seen_b, bad_b, topology.loading(state))
        grown |= bool((bad_a & ~seen_a).any())
        seen_a |= bad_a
        new = _optimum(topology, state, levers, free, p, limits, seen_v, seen_b, supply, below, seen_a)
        if new is None:
            break
        moved = float(np.abs(new - p).max())
        p = new
        if moved < FINE * size_mw and not grown and not secure:
            break
    return best


def by_merit(levers: Lever, supply: Supply, below: Floats) -> Floats:
    """Return the preferred injections, moved in order of cost as far as the transformers' ranges ask for [MW]."""
    p = np.clip(levers.preferred_mw, levers.lower_mw, levers.upper_mw)
    for a, (lowest, highest) in enumerate(zip(supply.lowest_mw.tolist(), supply.highest_mw.tolist(), strict=True)):
        drawn = float(supply.drawn_mw[a]) - float(below[a] @ (p - levers.p_mw))
        if lowest <= drawn <= highest:
            continue
        order = np.argsort(levers.cost, kind="stable")
        for excess, room, sign in ((drawn - highest, levers.upper_mw - p, 1.0),
                                   (lowest - drawn, p - levers.lower_mw, -1.0)):
            if excess > 0:
                part = (np.maximum(room, 0.0) * below[a])[order]
                used = np.clip(excess - (np.cumsum(part) - part), 0.0, part)
                p[order] += sign * used / np.maximum(below[a][order], 1e-9)
    return p


def below_anchors(topology: Topology, node: Ints) -> Floats:
    """Return how much of an injection at `node` each anchor sees, array [anchor, lever]."""
    anchor, at = topology.anchor, topology.at[node]
    inside = np.where((at >= 0)[None, :], topology.share.T[:, at], 0.0) if len(topology.free) else 0.0
    out: Floats = np.where(topology.rep[node][None, :] == anchor[:, None], 1.0, inside)
    return out


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
    rows_v: Bools, rows_b: Bools, supply: Supply, below: Floats, rows_a: Bools,
) -> Floats | None:
    """Solve the linear programme around the state `v` with the rows given; None without an optimum."""
    base = topology.net.grid.base_mva
    nodes, back = np.unique(levers.node[free], return_inverse=True)
    inside = topology.at[nodes] >= 0  # a lever at a busbar moves what is drawn, but no voltage
    A = np.zeros((len(topology.free), len(nodes)), dtype=complex)
    A[:, inside] = topology.moves(v, nodes[inside]) / base
    at = topology.at[np.flatnonzero(rows_v & (topology.at >= 0))]
    bent, carried = current_rows(topology, v, A, np.flatnonzero(rows_b))
    top = limits.loading_max_percent / 100
    table = np.vstack((voltage_rows(topology, v, A, at), bent / top))[:, back]
    table = np.vstack((table, -below[np.ix_(rows_a, free)] / base))
    drawn = (supply.drawn_mw - below @ (p - levers.p_mw))[rows_a]
    level = np.concatenate((np.abs(v[topology.free[at]]), carried / top, drawn / base))
    ceiling = np.concatenate((
        np.full(len(at), limits.v_max_pu), np.ones(len(carried)), supply.highest_mw[rows_a] / base))
    floor = np.concatenate((
        np.full(len(at), limits.v_min_pu), np.full(len(carried), -np.inf), supply.lowest_mw[rows_a] / base))
    m, k = len(level), len(free)
    prefer = np.clip(levers.preferred_mw[free], levers.lower_mw[free], levers.upper_mw[free])
    rest = level + table @ (prefer - p[free])
    # Variables: above and below the preferred injection, then shortfalls at the floors and ceilings.
    # The tie-break makes the optimum unique where several levers cost and help the same.
    tie = 1e-5 * np.arange(k) / max(k, 1)
    price = levers.cost[free] + tie
    cost = np.concatenate((price, price, np.full(2 * m, SHORTFALL_COST)))
    room = np.concatenate((levers.upper_mw[free] - prefer, prefer - levers.lower_mw[free], np.full(2 * m, np.inf)))
    used = np.flatnonzero(room > 0.0)
    a = np.hstack((table, -table, np.eye(m), -np.eye(m)))[:, used]
    found = solve(cost[used], a, floor - rest, ceiling - rest, np.zeros(len(used)), room[used])
    if found is None:
        return None
    change = np.zeros(len(room))
    change[used] = found
    out = p.copy()
    out[free] = prefer + change[:k] - change[k : 2 * k]
    return out
