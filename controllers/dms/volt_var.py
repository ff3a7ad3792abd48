"""Volt/VAr: tap steps by enumeration, reactive power by a linear programme on sensitivities.

Taps:  choose n per busbar minimising  sum beyond(U + n step)^2 + limits + wear |n|
DER Q: min  sum beyond(U0 + S_Q (q - q0)) + w_loss losses(q)          within each inverter's capability,
where beyond() is the deviation outside the band. Losses made by reactive current are q' R q around U = 1;
their slope at the present state prices each inverter's Mvar, so that of all ways to hold the band the one
with the least marginal losses is taken, and no Mvar moves for losses alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.network import Complexes, Floats, Ints, Topology
from controllers.dms.optimiser import solve

LIMIT_WEIGHT = 50.0
WEAR = 4e-6
"""What one tap step must at least improve, as mean squared deviation [pu^2]: 2 mm^2 of contact life."""
STEPS = (-3, -2, -1, 0, 1, 2, 3)
ROUNDS = 4
ROWS_A_ROUND = 8
LOSS_WEIGHT = 0.02
"""Per pu of losses against per pu of voltage beyond the band."""


@dataclass(frozen=True)
class Band:
    """Voltages aimed at (`low`, `high`) and not to be left (`v_min`, `v_max`) [pu]."""

    low: float
    high: float
    v_min: float
    v_max: float

    def beyond(self, v: Floats) -> Floats:
        """Return how far each voltage is outside the band [pu]."""
        return np.maximum(np.maximum(v - self.high, self.low - v), 0.0)

    def outside(self, v: Floats) -> Floats:
        """Return how far each voltage is outside the limits [pu]."""
        return np.maximum(np.maximum(v - self.v_max, self.v_min - v), 0.0)


def best_steps(topology: Topology, v: Complexes, step_pu: Floats, band: Band, room: Ints) -> Ints:
    """Return by how many steps to raise (+) or lower (-) each busbar.

    Parameters
    ----------
    v : complex array [node]
    step_pu : array [anchor]
        Rise of the busbar per step; 0 where there is no tap changer.
    room : int array [2, anchor]
        Steps left downwards and upwards.
    """
    size = np.abs(v[topology.free])
    out = np.zeros(len(step_pu), dtype=np.int64)
    for a, step in enumerate(step_pu):
        mine = topology.share[:, a] > 0.5
        if step == 0.0 or not mine.any():
            continue
        steps = np.array([n for n in STEPS if -room[0, a] <= n <= room[1, a]])
        after = size[mine][None, :] + (steps * step)[:, None] * topology.share[mine, a][None, :]
        cost = (band.beyond(after) ** 2 + LIMIT_WEIGHT * band.outside(after) ** 2).mean(axis=1)
        cost = cost + WEAR * np.abs(steps)
        order = np.lexsort((np.abs(steps), np.round(cost, 12)))
        out[a] = steps[order[0]]
    return out


@dataclass(frozen=True, eq=False)
class Sources:
    """Devices that can give reactive power: node, present, lowest and highest Q [Mvar]."""

    node: Ints
    q_mvar: Floats
    lower_mvar: Floats
    upper_mvar: Floats


def best_q(topology: Topology, v: Complexes, s: Complexes, sources: Sources, band: Band, rise: Floats) -> Floats:
    """Return the reactive power of each source [Mvar].

    The busbars are let move with the transformers' reactance: a tap changer takes that back later, and the
    next cycle sees it, whereas ignoring it makes the inverters and the tap changer chase each other.

    Parameters
    ----------
    v, s : complex array [node]
        Estimated voltages and injections [pu].
    rise : array [anchor]
        Rise of the busbars that the taps will bring [pu].
    """
    base = topology.net.grid.base_mva
    usable = np.flatnonzero(topology.at[sources.node] >= 0)
    if not len(usable):
        return sources.q_mvar
    nodes, back = np.unique(sources.node[usable], return_inverse=True)
    q_now = np.bincount(back, sources.q_mvar[usable]) / base
    low = np.bincount(back, sources.lower_mvar[usable]) / base
    high = np.bincount(back, sources.upper_mvar[usable]) / base
    size = np.abs(v[topology.free])
    dv = (np.conj(v[topology.free] / size)[:, None] * topology.moves(v, nodes, with_feed=True) * -1j).real
    start = size + topology.share @ rise
    at = topology.at[nodes]
    net_q = topology.gathered(s)[topology.free].imag
    slope = 2 * LOSS_WEIGHT * (topology.z.real[at] @ net_q)
    rows = np.zeros(len(size), dtype=bool)
    q = np.clip(q_now, low, high)
    for _ in range(ROUNDS):
        after = start + dv @ (q - q_now)
        off = band.beyond(after) + LIMIT_WEIGHT * band.outside(after)
        new = np.flatnonzero((off > 1e-5) & ~rows)
        if rows.any() and not len(new):
            break
        rows[new[np.argsort(-off[new], kind="stable")[:ROWS_A_ROUND]]] = True
        found = _optimum(dv[rows], start[rows] - dv[rows] @ q_now, band, low, high, slope)
        if found is None:
            break
        q = found
        if not len(new):
            break
    # A node's optimum goes to its sources by what each may give.
    out = sources.q_mvar.copy()
    span_up, span_dn = sources.upper_mvar[usable], -sources.lower_mvar[usable]
    total = np.where(q[back] >= 0, np.bincount(back, span_up)[back], np.bincount(back, span_dn)[back])
    share = np.where(q[back] >= 0, span_up, span_dn) / np.maximum(total, 1e-12)
    out[usable] = np.clip(q[back] * base * share, sources.lower_mvar[usable], sources.upper_mvar[usable])
    return out


def _optimum(dv: Floats, level: Floats, band: Band, low: Floats, high: Floats, slope: Floats) -> Floats | None:
    """Solve for q with soft band and dearer limits on the rows given."""
    m = len(level)
    eye, none = np.eye(m), np.zeros((m, m))
    # Columns: q given, q taken, then above and below the band, then above and below the limits.
    a = np.vstack((
        np.hstack((dv, -dv, -eye, eye, none, none)),
        np.hstack((dv, -dv, none, none, -eye, eye)),
    ))
    row_low = np.concatenate((band.low - level, band.v_min - level))
    row_high = np.concatenate((band.high - level, band.v_max - level))
    effort = float(np.abs(slope).max(initial=0.0)) + 1e-6
    cost = np.concatenate((effort + slope, effort - slope, np.ones(2 * m), np.full(2 * m, LIMIT_WEIGHT)))
    upper = np.concatenate((np.maximum(high, 0.0), np.maximum(-low, 0.0), np.full(4 * m, np.inf)))
    found = solve(cost, a, row_low, row_high, np.zeros(len(upper)), upper)
    k = len(low)
    return None if found is None else found[:k] - found[k : 2 * k]
