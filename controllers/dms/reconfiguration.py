"""Reconfiguration: which branches to leave open, so that nothing is overloaded and then the losses are least.

Small grids are searched completely. Branches in series open the same loop, so the radial states are counted by
chains: a choice of chains that leaves a tree, times the branches of each. All are ranked with the loads' present
currents, which is a good estimate of the order, and the best are solved. Larger grids take branch exchange
(Civanlar et al., IEEE Trans. Power Delivery 3(3), 1988; Baran and Wu, 4(2), 1989), from the present state and from
the state that opens the least current of the closed mesh (Shirmohammadi and Hong, 4(2), 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from controllers.dms.loops import Loops, States
from controllers.dms.network import Complexes, Floats, Ints
from sims.core.errors import GridError

MOST_STATES = 200_000
"""Radial states up to which all are looked at."""
MOST_CHOICES = 60_000
"""Choices of chains up to which they are tried."""
SOLVED_EXACTLY = 32
TRIED_A_ROUND = 8
ROUNDS = 60
BLOCK = 8192


@dataclass(frozen=True)
class Reconfiguration:
    """A better state, or the present one.

    Parameters
    ----------
    opened, closed : tuple of int
        Branch rows to switch; each closed one before its opened one, so that nobody goes dark.
    excess : tuple of float
        Sum of what exceeds the ratings [1], before and after.
    losses_mw, v_min_pu, loading_percent : tuple of float
        Before and after.
    complete : bool
        All radial states were looked at.
    states : int
        How many were.
    """

    opened: tuple[int, ...]
    closed: tuple[int, ...]
    excess: tuple[float, float]
    losses_mw: tuple[float, float]
    v_min_pu: tuple[float, float]
    loading_percent: tuple[float, float]
    complete: bool
    states: int

    @property
    def operations(self) -> int:
        """Number of switches moved."""
        return len(self.opened) + len(self.closed)


def reconfigure(
    loops: Loops, s: Complexes, v_min_pu: float = 0.0, most_states: int = MOST_STATES, exchanges: int | None = None
) -> Reconfiguration:
    """Return the switching with the least overload, then the least voltage below `v_min_pu`, then the least losses.

    Parameters
    ----------
    loops : Loops
        The grid as switched now, with the ratings that count as overload.
    s : complex array [node of the grid]
        Injections [pu].
    v_min_pu : float
        Voltage that counts before losses.
    most_states : int
        Above that many radial states branch exchange takes the place of the complete search.
    exchanges : int, optional
        Look no further than so many exchanges of an open for a closed branch from the present state: what an
        operator switches for an hour or two, rather than the best state there is.

    Raises
    ------
    GridError
        There is nothing to choose, or the present state has no solution.
    """
    name = loops.net.grid.name
    if not len(loops.ties):
        raise GridError(f"net {name}: has no tie between supplied nodes (a line out of service or open at a switch); "
                        "reconfiguration has nothing to choose")
    now = loops.solve(s)
    if not now.solved[0]:
        raise GridError(f"net {name}: the present state has no power flow solution; look at the loads")
    chains = [] if exchanges is not None else _chains(loops)
    small = exchanges is None and _choices(loops, chains) <= MOST_CHOICES
    count = _count(loops, chains) if small else most_states + 1
    if exchanges is not None:
        tried = _exchanged(loops, s, loops.ties, v_min_pu, exchanges)[None, :]
    elif count <= most_states:
        tried = _ranked(loops, chains, now, SOLVED_EXACTLY)
    else:
        tried = np.stack([_exchanged(loops, s, start, v_min_pu) for start in (loops.ties, _least_current(loops, now))])
    tried = np.concatenate((loops.ties[None, :], tried))
    found = loops.solve(s, tried)
    best = _best(loops, found, tried, v_min_pu)
    base = loops.net.grid.base_mva
    out, shut = loops.moves(tried[best])

    def both(values: Floats, factor: float = 1.0) -> tuple[float, float]:
        return float(values[0] * factor), float(values[best] * factor)

    return Reconfiguration(
        out, shut, both(found.excess), both(found.losses_pu, base), both(found.v_min_pu), both(found.loading, 100.0),
        count <= most_states, count if count <= most_states else len(tried),
    )


def _best(loops: Loops, found: States, tried: Ints, v_min_pu: float) -> int:
    """Return the best state: what is not worth a switch is left as it is."""
    low = np.maximum(v_min_pu - found.v_min_pu, 0.0)
    moved = (~np.isin(tried, loops.ties)).sum(axis=1)
    order = np.lexsort((moved, np.round(found.losses_pu, 9), np.round(low, 6), np.round(found.excess, 6),
                        ~found.solved))
    return int(order[0])


def _chains(loops: Loops) -> list[Ints]:
    """Return the switchable edges of each chain: edges that lie in the same loops."""
    edges = np.flatnonzero(loops.switchable)
    table = loops.loop[edges]
    lead = table[np.arange(len(edges)), (table != 0).argmax(axis=1)]
    _, label = np.unique(table * lead[:, None], axis=0, return_inverse=True)
    return [edges[label.ravel() == k] for k in range(int(label.max(initial=-1)) + 1)]


def _choices(loops: Loops, chains: list[Ints]) -> int:
    n, k = len(chains), len(loops.ties)
    return int(prod(range(n - k + 1, n + 1)) // prod(range(1, k + 1))) if n >= k else 0


def _trees(loops: Loops, chains: list[Ints]) -> list[tuple[int, ...]]:
    """Return the choices of one chain a loop that leave a tree when each is cut once."""
    choices = np.array(list(combinations(range(len(chains)), len(loops.ties))), dtype=np.int64)
    head = np.array([chain[0] for chain in chains])
    corner = loops.loop[head[choices]]
    good = np.abs(np.abs(np.linalg.det(corner)) - 1.0) < 1e-6
    return [tuple(row) for row in choices[good].tolist()]


def _count(loops: Loops, chains: list[Ints]) -> int:
    return sum(prod(len(chains[k]) for k in choice) for choice in _trees(loops, chains))


def _ranked(loops: Loops, chains: list[Ints], now: States, most: int) -> Ints:
    """Return the `most` best of all radial states by present load currents, int array [case, loop]."""
    flow, table, r = now.current[0], loops.loop, loops.z.real
    # Losses are a quadratic form of the loop currents: sum r |I0 + B x|^2.
    flat, linear, square = float(r @ np.abs(flow) ** 2), table.T @ (r * flow), table.T @ (r[:, None] * table)
    # No branch carries more than all loads together: only these can be overloaded.
    tight = np.flatnonzero(loops.limit < _whole(loops, flow))
    kept: list[tuple[Floats, Floats, Ints]] = []
    for choice in _trees(loops, chains):
        mine = [chains[k] for k in choice]
        inverse = np.linalg.inv(table[[chain[0] for chain in mine]])
        # Along a chain only the direction of a branch differs.
        toward = [np.sign(table[chain] @ table[chain[0]]) * flow[chain] for chain in mine]
        mesh = np.meshgrid(*[np.arange(len(chain)) for chain in mine], indexing="ij")
        x = -np.stack([part[m.ravel()] for part, m in zip(toward, mesh, strict=True)], axis=1) @ inverse.T
        losses = flat + 2 * (x.conj() @ linear).real + ((x.conj() @ square) * x).sum(axis=1).real
        excess = np.zeros(len(x))
        for start in range(0, len(x) if len(tight) else 0, BLOCK):
            part = slice(start, start + BLOCK)
            share = np.abs(flow[tight] + x[part] @ table[tight].T) / loops.limit[tight]
            excess[part] = np.round(np.maximum(share - 1.0, 0.0).sum(axis=1), 6)
        pick = np.lexsort((losses, excess))[:most]
        opened = np.stack([chain[m.ravel()[pick]] for chain, m in zip(mine, mesh, strict=True)], axis=1)
        kept.append((losses[pick], excess[pick], opened))
    losses, excess = (np.concatenate([k[i] for k in kept]) for i in (0, 1))
    states = np.concatenate([k[2] for k in kept])
    found: Ints = states[np.lexsort((losses, excess))[:most]]
    return found


def _whole(loops: Loops, flow: Complexes) -> float:
    """Return the sum of the magnitudes of all load currents [pu]."""
    n = len(loops.nodes)
    own = np.linalg.solve(loops.path, flow[:n])
    return float(np.abs(own).sum())


def _score(loops: Loops, current: Complexes) -> tuple[Floats, Floats]:
    """Return losses and overload of each state; in the order that lexsort wants, the last counts first."""
    share = np.abs(current) / loops.limit
    return np.abs(current) ** 2 @ loops.z.real, np.round(np.maximum(share - 1.0, 0.0).sum(axis=1), 6)


def _least_current(loops: Loops, now: States) -> Ints:
    """Return the state reached by closing all ties and opening, one by one, what carries least."""
    flow, table = now.current[0].copy(), loops.loop.copy()
    opened: list[int] = []
    while table.shape[1]:
        z = loops.z[:, None] * table
        flow = flow - table @ np.linalg.solve(table.T @ z, table.T @ (loops.z * flow))
        free = loops.switchable & (table != 0).any(axis=1)
        edge = int(np.flatnonzero(free)[np.abs(flow[free]).argmin()])
        k = int((table[edge] != 0).argmax())
        flow = flow - table[:, k] * flow[edge] / table[edge, k]
        # Loops that still pass the edge are led around it; the first one goes.
        table = np.delete(table - np.outer(table[:, k], table[edge] / table[edge, k]), k, axis=1)
        opened.append(edge)
    return np.array(opened, dtype=np.int64)


def _exchanged(loops: Loops, s: Complexes, start: Ints, v_min_pu: float, rounds: int = ROUNDS) -> Ints:
    """Return the state that no single exchange of an open for a closed branch betters, or so many rounds reach."""
    opened = np.array(start, dtype=np.int64)
    edges = np.flatnonzero(loops.switchable)
    for _ in range(rounds):
        flow = loops.solve(s, opened[None, :]).current[0]
        # Loops of the present tree: one for each open edge.
        table = loops.loop @ np.linalg.inv(loops.loop[opened])
        position, edge = np.nonzero(table[edges].T != 0)
        edge = edges[edge]
        new = edge != opened[position]
        position, edge = position[new], edge[new]
        if not len(edge):
            break
        current = flow[None, :] - (flow[edge] / table[edge, position])[:, None] * table[:, position].T
        pick = np.lexsort(_score(loops, current))[:TRIED_A_ROUND]
        trial = np.repeat(opened[None, :], len(pick), axis=0)
        trial[np.arange(len(pick)), position[pick]] = edge[pick]
        trial = np.concatenate((opened[None, :], trial))
        found = loops.solve(s, trial)
        best = _best(loops, found, trial, v_min_pu)
        if not _better(found, best, v_min_pu):
            break
        opened = trial[best]
    return opened


def _better(found: States, best: int, v_min_pu: float) -> bool:
    """Tell whether a state is better than the first by more than rounding, so that exchanges come to an end."""
    low = np.maximum(v_min_pu - found.v_min_pu, 0.0)
    for values, least in ((found.excess, 1e-6), (low, 1e-6), (found.losses_pu, 1e-9)):
        if abs(values[best] - values[0]) > least:
            return bool(values[best] < values[0])
    return False
