"""Hosting capacity: how much more a grid takes, at one node alone or at many together, before a limit is reached.

The search doubles and halves the power at every node at once: each node is one case of a batch power flow. The
limits are those of planning: the band of voltages, the ratings, and the rise of voltage that generation may bring
(2 % in medium voltage after VDE-AR-N 4110, 3 % in low voltage after VDE-AR-N 4105; both are settings).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.dms.loops import Loops, States
from controllers.dms.network import Bools, Complexes, Floats, Ints
from sims.core.errors import GridError

REASONS = ("none", "voltage band", "voltage rise", "rating", "no solution")
HALVINGS = 24


@dataclass(frozen=True)
class Limits:
    """What may not be exceeded.

    Parameters
    ----------
    v_min_pu, v_max_pu : float
    rise_pu : float
        Change of voltage from the state without the addition.
    """

    v_min_pu: float = 0.9
    v_max_pu: float = 1.1
    rise_pu: float = 0.02


@dataclass(frozen=True, eq=False)
class Hosting:
    """What each place takes.

    Parameters
    ----------
    node : int array [place]
    p_mw : array [place]
        Most that may be added; `most_mw` where no limit was met.
    reason : str array [place]
        The limit met first, one of `REASONS`.
    """

    node: Ints
    p_mw: Floats
    reason: NDArray[np.str_]


def at_each_node(
    loops: Loops, s: Complexes, limits: Limits | None = None, nodes: Ints | None = None, most_mw: float = 50.0,
    cos_phi: float = 1.0, demand: bool = False,
) -> Hosting:
    """Return what each node takes alone.

    Parameters
    ----------
    loops : Loops
        The grid as switched, with its ratings.
    s : complex array [node of the grid]
        Injections to add to [pu]: for generation those of the least load, for demand of the highest.
    nodes : int array, optional
        Where to ask; all supplied nodes by default.
    most_mw : float
        Where the search ends.
    cos_phi : float
        Of the addition; below 1 it draws reactive power, as generation does that holds the voltage down.
    demand : bool
        Ask for load (heat pumps, charging) instead of generation.

    Raises
    ------
    GridError
        The limits are violated before anything is added, or a node is not supplied.
    """
    places = loops.nodes if nodes is None else np.asarray(nodes, dtype=np.int64)
    unit = np.zeros((len(places), len(s)), dtype=complex)
    unit[np.arange(len(places)), places] = _unit(loops, cos_phi, demand)
    p_mw, reason = _searched(loops, s, unit, limits or Limits(), most_mw)
    return Hosting(places, p_mw, reason)


def together(
    loops: Loops, s: Complexes, share: Floats, limits: Limits | None = None, most_mw: float = 500.0,
    cos_phi: float = 1.0, demand: bool = False,
) -> tuple[float, str]:
    """Return what all nodes take together when the sum is spread by `share` [node], and the limit met."""
    unit = np.zeros((1, len(s)), dtype=complex)
    unit[0] = np.asarray(share, float) / np.sum(share) * _unit(loops, cos_phi, demand)
    p_mw, reason = _searched(loops, s, unit, limits or Limits(), most_mw)
    return float(p_mw[0]), str(reason[0])


def _unit(loops: Loops, cos_phi: float, demand: bool) -> complex:
    """Return the injection of one MW of addition [pu]."""
    tan = np.sqrt(1.0 / cos_phi**2 - 1.0)
    return complex(-1.0 if demand else 1.0, -tan) / loops.net.grid.base_mva


def _searched(
    loops: Loops, s: Complexes, unit: Complexes, limits: Limits, most_mw: float
) -> tuple[Floats, NDArray[np.str_]]:
    name = loops.net.grid.name
    now = loops.solve(s)
    if not now.solved[0]:
        raise GridError(f"net {name}: the present state has no power flow solution; look at the loads")
    dark = np.flatnonzero((unit != 0).any(axis=0) & (now.v_pu[0] == 0))
    if len(dark):
        bus = int(loops.net.grid.node_bus[dark[0]])
        raise GridError(f"net {name}: bus {bus} is not supplied as switched; nothing can be connected there")
    # What is wrong already counts only where the addition makes it worse.
    held = Limits(min(limits.v_min_pu, float(now.v_min_pu[0])), max(limits.v_max_pu, float(now.v_max_pu[0])),
                  limits.rise_pu)
    low, high = np.zeros(len(unit)), np.full(len(unit), float(most_mw))
    reason = np.full(len(unit), 0)
    trial = high.copy()
    for step in range(HALVINGS):
        found = loops.solve(s + trial[:, None] * unit, tolerance=1e-7)
        why = _violated(found, now, held)
        bad = why > 0
        reason = np.where(bad, why, reason)
        high, low = np.where(bad, trial, high), np.where(bad, low, trial)
        if step == 0 and not bad.any():
            break
        trial = (low + high) / 2
    return low, np.array(REASONS)[np.where(low >= most_mw, 0, reason)]


def _violated(found: States, now: States, limits: Limits) -> Ints:
    """Return the number of the limit each case violates, 0 for none."""
    supplied: Bools = now.v_pu[0] > 0
    v = found.v_pu[:, supplied]
    band = (v > limits.v_max_pu + 1e-9).any(axis=1) | (v < limits.v_min_pu - 1e-9).any(axis=1)
    rise = (np.abs(v - now.v_pu[:, supplied]) > limits.rise_pu + 1e-9).any(axis=1)
    over = found.excess > now.excess + 1e-9
    out = np.where(over, 3, 0)
    out = np.where(rise, 2, out)
    out = np.where(band, 1, out)
    broken: Ints = np.where(found.solved, out, 4)
    return broken
