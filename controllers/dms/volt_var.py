"""Volt/VAr: tap steps by enumeration, reactive power by a linear programme on sensitivities.

Taps:  choose n per busbar minimising  sum beyond(U + n step)^2 + limits + wear |n|
DER Q: min  sum outside(U0 + S_Q dq) + sum (effort + w_loss dlosses/dq) |dq|   subject to |I0 + T_Q dq| <= I_max
and each inverter's capability, where beyond() is the deviation outside the band aimed at and outside() the
deviation outside the limits. Reactive power moves for limits only: the voltage band first, losses as the
price that picks among the ways to hold it. No branch may be loaded beyond its limit by it, and a plan that
the power flow at the believed state does not confirm is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms import decision_kernels
from controllers.dms.network import Bools, Complexes, Floats, Ints, Topology
from controllers.dms.optimiser import solve
from controllers.dms.sensitivity import current_rows, voltage_rows

LIMIT_WEIGHT = 50.0
WEAR = 4e-6
"""What one tap step must at least improve, as mean squared deviation [pu^2]: 2 mm^2 of contact life."""
MOST_STEPS = 3
"""By how many positions a tap changer is moved at once, either way."""
ROUNDS = 5
ROWS_A_ROUND = 8
LOSS_WEIGHT = 0.02
"""Per pu of losses against per pu of voltage outside the limits."""
SCALES = (1.0, 0.5, 0.25)
GAIN = 0.2
"""Part of the believed violation that a whole plan must at least take away to be worth its orders."""


@dataclass(frozen=True)
class Band:
    """Voltages aimed at (`low`, `high`) and not to be left (`v_min`, `v_max`) [pu], for all nodes or by node [free]."""

    low: Floats | float
    high: Floats | float
    v_min: Floats | float
    v_max: Floats | float

    def outside(self, v: Floats) -> Floats:
        """Return how far each voltage is outside the limits [pu]."""
        return np.maximum(np.maximum(v - self.v_max, self.v_min - v), 0.0)

    def at(self, nodes: Bools) -> Band:
        """Return the band of some of the nodes."""
        every = (self.low, self.high, self.v_min, self.v_max)
        return Band(*(np.broadcast_to(bound, nodes.shape)[nodes] for bound in every))


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
    out = np.zeros(len(step_pu), dtype=np.int64)
    if step_pu.any():
        bounds = np.empty((4, len(topology.free)))
        for bound, value in zip(bounds, (band.low, band.high, band.v_min, band.v_max), strict=True):
            bound[:] = value
        decision_kernels.tap_steps(
            topology.share, topology.free, v, step_pu, room, bounds, MOST_STEPS, LIMIT_WEIGHT, WEAR, out
        )
    return out


@dataclass(frozen=True, eq=False)
class Sources:
    """Devices that can give reactive power: node, present, lowest and highest Q [Mvar]."""

    node: Ints
    q_mvar: Floats
    lower_mvar: Floats
    upper_mvar: Floats


def best_q(
    topology: Topology, v: Complexes, s: Complexes, sources: Sources, band: Band, rise: Floats, loading_max: float
) -> Floats | None:
    """Return the reactive power of each source [Mvar] that holds the limits; None where none helps.

    The busbars are let move with the transformers' reactance: a tap changer takes that back later, and the
    next cycle sees it, whereas ignoring it makes the inverters and the tap changer chase each other.

    Parameters
    ----------
    v, s : complex array [node]
        Estimated voltages and injections, the sources' present ones included [pu].
    rise : array [anchor]
        Rise of the busbars that the taps will bring [pu].
    loading_max : float
        What branches may be loaded with at most [%]; one that is above already must not get worse.
    """
    base = topology.net.grid.base_mva
    usable = np.flatnonzero(topology.at[sources.node] >= 0)
    if not len(usable):
        return None
    nodes, back = np.unique(sources.node[usable], return_inverse=True)
    q_now = np.bincount(back, sources.q_mvar[usable]) / base
    low = np.bincount(back, sources.lower_mvar[usable]) / base
    high = np.bincount(back, sources.upper_mvar[usable]) / base
    every = np.arange(len(topology.free))
    dv = voltage_rows(topology, v, topology.moves(v, nodes, with_feed=True) * -1j, every)
    move = topology.moves(v, nodes) * -1j
    start = np.abs(v[topology.free]) + topology.share @ rise
    slope = 2 * LOSS_WEIGHT * (topology.z.real[topology.at[nodes]] @ topology.gathered(s)[topology.free].imag)
    before = topology.loading(v)
    ceiling = np.maximum(before, loading_max)
    rows, full = np.zeros(len(every), dtype=bool), np.zeros(len(before), dtype=bool)
    dq, moved = np.zeros(len(nodes)), v
    for _ in range(ROUNDS):
        after = start + dv @ dq
        off = band.outside(after)
        new = np.flatnonzero((off > 1e-5) & ~rows)
        rows[new[np.argsort(-off[new], kind="stable")[:ROWS_A_ROUND]]] = True
        over = topology.loading(moved) > ceiling + 0.1
        if not len(new) and not (over & ~full).any():
            break
        full |= over
        found = _optimum(
            dv[rows], start[rows], band.at(rows), low - q_now, high - q_now, slope,
            *_ceilings(topology, v, move, full, ceiling),
        )
        if found is None:
            break
        dq = found
        moved = v.copy()
        moved[topology.free] += move @ dq
    scale = _confirmed(topology, v, s, nodes, dq, band, topology.share @ rise, ceiling)
    if scale == 0.0:
        return None
    dq = scale * dq
    # A node's change goes to its sources by what each may still give.
    out = sources.q_mvar.copy()
    up = sources.upper_mvar[usable] - sources.q_mvar[usable]
    down = sources.q_mvar[usable] - sources.lower_mvar[usable]
    room = np.maximum(np.where(dq[back] >= 0, up, down), 0.0)
    share = room / np.maximum(np.bincount(back, room)[back], 1e-12)
    out[usable] = np.clip(out[usable] + dq[back] * base * share, sources.lower_mvar[usable], sources.upper_mvar[usable])
    return out


def settled(topology: Topology, v: Complexes, s: Complexes, ds: Complexes) -> Complexes:
    """Return the voltages [node] with injections changed by `ds` [node] [pu], busbars moving, taps at rest."""
    return topology.flow(s + ds, v[topology.net.anchor] + topology.lift(v, ds), v)


def _confirmed(
    topology: Topology, v: Complexes, s: Complexes, nodes: Ints, dq: Floats, band: Band, lift: Floats, ceiling: Floats
) -> float:
    """Return the largest part of a linear plan that the power flow confirms; 0 where none is worth its orders."""
    was = float(band.outside(np.abs(v[topology.free]) + lift).sum())
    for scale in SCALES:
        there = np.zeros(len(s), dtype=complex)
        there[nodes] = 1j * scale * dq
        flown = settled(topology, v, s, there)
        if not np.isfinite(flown).all() or (topology.loading(flown) > ceiling + 1.0).any():
            continue
        if float(band.outside(np.abs(flown[topology.free]) + lift).sum()) < (1.0 - GAIN * scale) * was:
            return scale
    return 0.0


def _ceilings(
    topology: Topology, v: Complexes, move: Complexes, full: Bools, ceiling: Floats
) -> tuple[Floats, Floats]:
    """Return what currents gain per lever, and how much they may still gain, for the branches `full`."""
    branches = np.flatnonzero(full)
    table, level = current_rows(topology, v, move, branches)
    rows = topology.currents(v)[0]
    top = np.tile(ceiling[rows[np.isin(rows, branches)]] / 100.0, 2)
    return table, np.maximum(top - level, 0.0)


def _optimum(
    dv: Floats, level: Floats, band: Band, low: Floats, high: Floats, slope: Floats, di: Floats, spare: Floats
) -> Floats | None:
    """Solve for the change of q with soft voltage limits and hard current limits on the rows given."""
    m, k = len(level), len(low)
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    # Columns: q given, q taken, then above and below the limits.
    a = np.vstack((
        np.hstack((dv, -dv, -np.eye(m), np.eye(m))),
        np.hstack((di, -di, np.zeros((len(spare), 2 * m)))),
    ))
    floor, ceiling = np.asarray(band.v_min) - level, np.asarray(band.v_max) - level
    effort = float(np.abs(slope).max(initial=0.0)) + 1e-6
    cost = np.concatenate((effort + slope, effort - slope, np.ones(2 * m)))
    upper = np.concatenate((high, -low, np.full(2 * m, np.inf)))
    found = solve(cost, a, np.concatenate((floor, np.full(len(spare), -np.inf))), np.concatenate((ceiling, spare)),
                  np.zeros(len(upper)), upper)
    return None if found is None else found[:k] - found[k : 2 * k]
