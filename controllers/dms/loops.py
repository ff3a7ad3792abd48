"""Every radial state of a grid at once: one tree, its ties, and a batch power flow over the choices of open branches.

With T ties every radial state leaves exactly T branches of tree and ties open. A state needs no matrix of its own:
its branch currents are those of the base tree plus loop currents that cancel the current in what is open,

    I = I0 + B x,    I[open] = 0,

and the voltages across what is open follow from Kirchhoff's second law around the loops,

    B' D = 0,    D = z I in closed branches,

so that a few small systems [tie, tie] and products with the tree's path matrix solve thousands of states together.
Loads of constant power are met by fixed-point iteration, as in a backward-forward sweep (Shirmohammadi et al.,
IEEE Trans. Power Systems 3(2), 1988).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from controllers.dms.network import Bools, Complexes, Floats, Ints, Network
from sims.core.errors import GridError

VIRTUAL = -1
"""Branch row of the link between the common source and a busbar; it is never opened."""
CASES_A_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class States:
    """Solved states, one row each.

    Parameters
    ----------
    v_pu : array [case, node]
        Magnitudes at the nodes of the grid; 0 in the dark.
    current : complex array [case, edge]
        Series current [pu], away from the source.
    losses_pu : array [case]
    loading : array [case]
        Highest share of a rating used [1], infeeds included.
    excess : array [case]
        Sum of what exceeds the ratings [1].
    solved : bool array [case]
    """

    v_pu: Floats
    current: Complexes
    losses_pu: Floats
    loading: Floats
    excess: Floats
    solved: Bools

    @property
    def v_min_pu(self) -> Floats:
        """Return the lowest voltage of the supplied nodes [case]."""
        found: Floats = np.where(self.v_pu > 0, self.v_pu, np.inf).min(axis=1)
        return found

    @property
    def v_max_pu(self) -> Floats:
        """Return the highest voltage [case]."""
        found: Floats = self.v_pu.max(axis=1)
        return found


class Loops:
    """The supplied part of a grid under `closed`, as a tree and the ties that could close a loop in it.

    Parameters
    ----------
    net : Network
    closed : bool array [branch]
        Present states; must be radial.
    v_anchor : complex array [anchor], optional
        Busbar voltages [pu]; 1 by default.
    infeed_pu : array [anchor], optional
        Current each busbar may draw [pu]; by default that of the transformers behind it, or no limit.
    closable : bool array [branch], optional
        Open branches that may be closed; by default all lines, in service or not.
    loading_max : float
        Share of the ratings that may be used [1].

    Attributes
    ----------
    row : int array [edge]
        Branch row; `VIRTUAL` for busbars. Tree first, ties last.
    ties : int array [loop]
        Edges of the ties.
    loop : array [edge, loop]
        +1, -1 or 0: how each edge lies in each loop.

    Raises
    ------
    GridError
        The present state is meshed.
    """

    def __init__(
        self, net: Network, closed: Bools, v_anchor: Complexes | Floats | None = None,
        infeed_pu: Floats | None = None, closable: Bools | None = None, loading_max: float = 1.0,
    ) -> None:
        grid = net.grid
        self.net, self.closed = net, closed.copy()
        top = net.topology(closed)
        if not top.radial:
            raise GridError(f"net {grid.name}: is meshed as switched; open a branch in each loop first")
        self.topology = top
        anchors = np.unique(top.rep[net.anchor])
        nodes = np.concatenate((anchors, top.free[np.argsort(_rank(top.order)[top.free], kind="stable")]))
        at = np.full(grid.n_nodes, -1, dtype=np.int64)
        at[nodes] = np.arange(len(nodes))
        self.nodes: Ints = nodes
        self._at = np.where(top.live, at[top.rep], -1)
        up_row = top.parent_branch[nodes]
        up_row[: len(anchors)] = VIRTUAL
        up = self._at[np.where(top.parent[nodes] >= 0, top.parent[nodes], nodes)]
        f, t = self._at[grid.branch_from], self._at[grid.branch_to]
        may = (grid.branch_kind == "line") if closable is None else closable
        tie = np.flatnonzero(may & ~closed & (f >= 0) & (t >= 0) & (f != t) & (np.abs(grid.y_raw[1]) > 0))
        self.row: Ints = np.concatenate((up_row, tie))
        self.ties: Ints = len(nodes) + np.arange(len(tie))
        self._paths(up, len(anchors))
        self._scale(up, len(anchors))
        self.loop: Floats = np.zeros((len(self.row), len(tie)))
        self.loop[: len(nodes)] = self.path[:, f[tie]] - self.path[:, t[tie]]
        self.loop[self.ties, np.arange(len(tie))] = 1.0
        self._electric(f, t, anchors, v_anchor)
        limit = np.full(len(self.row), np.inf)
        real = self.row >= 0
        limit[real] = net.limit[self.row[real]] * loading_max
        limit[: len(anchors)] = self._infeeds(anchors, infeed_pu) * (loading_max if infeed_pu is None else 1.0)
        self.limit: Floats = limit

    def _paths(self, up: Ints, heads: int) -> None:
        """Mark the edges on the way from the source to each node: path [tree edge, node]."""
        n = len(up)
        path = np.zeros((n, n))
        for k in range(n):
            if k >= heads:
                path[:, k] = path[:, up[k]]
            path[k, k] = 1.0
        self.path: Floats = path

    def _scale(self, up: Ints, heads: int) -> None:
        """Refer every node to the source's voltage level, so that transformers become plain impedances."""
        grid, c = self.net.grid, np.ones(len(up), dtype=complex)
        for k in range(heads, len(up)):
            row = self.row[k]
            y = grid.y_raw[:, row]
            if self._at[grid.branch_to[row]] != k:
                y = y[[3, 2, 1, 0]]
            turn = np.sqrt(np.abs(y[0] / y[3])) * np.exp(0.5j * np.angle(y[2] / y[1]))
            # Of the two square roots the one that leaves a resistance positive.
            if (-1.0 / (y[1] * turn)).real < 0:
                turn = -turn
            c[k] = c[up[k]] * turn
        self._c: Complexes = c

    def _electric(self, f: Ints, t: Ints, anchors: Ints, v_anchor: Complexes | Floats | None) -> None:
        grid, net, c = self.net.grid, self.net, self._c
        real = np.flatnonzero(self.row >= 0)
        rows = self.row[real]
        cf, ct = c[f[rows]], c[t[rows]]
        y = grid.y_raw[:, rows] * np.stack((np.abs(cf) ** 2, np.conj(cf) * ct, np.conj(ct) * cf, np.abs(ct) ** 2))
        series = -0.5 * (y[1] + y[2])
        self.z: Complexes = np.zeros(len(self.row), dtype=complex)
        self.z[real] = 1.0 / series
        n = len(self.nodes)
        self._charging = np.zeros((2, len(self.row)), dtype=complex)
        self._charging[:, real] = y[0] - series, y[3] - series
        self._ends = np.zeros((2, len(self.row)), dtype=np.int64)
        self._ends[:, real] = f[rows], t[rows]
        own = np.zeros(n, dtype=complex)
        live = np.flatnonzero(self._at >= 0)
        np.add.at(own, self._at[live], grid.shunt_y[live])
        stubs: list[Complexes] = []
        # What hangs on by one end in the net as compiled charges as long as that end is supplied.
        for end, y_end in ((f, grid.y_ff), (t, grid.y_tt)):
            stub = ~self.closed & ~net.normal & (end >= 0)
            stub[net.feed] = False
            np.add.at(own, end[stub], y_end[stub])
            stubs.append(np.where(stub, y_end, 0.0))
        own *= np.abs(c) ** 2
        tree = real[real < n]
        for at_end in (0, 1):
            np.add.at(own, self._ends[at_end, tree], self._charging[at_end, tree])
            self._charging[at_end, self.ties] -= stubs[at_end][self.row[self.ties]] * np.abs(
                c[self._ends[at_end, self.ties]]) ** 2
        self._shunt: Complexes = own
        given = np.ones(len(net.anchor), dtype=complex) if v_anchor is None else np.asarray(v_anchor, complex)
        by_node = dict(zip(self.topology.rep[net.anchor].tolist(), given.tolist(), strict=True))
        v = np.array([by_node[int(a)] for a in anchors])
        self.v_source = complex(v[0])
        self._lift: Complexes = np.zeros(len(self.row), dtype=complex)
        self._lift[: len(v)] = self.v_source - v

    def _infeeds(self, anchors: Ints, given: Floats | None) -> Floats:
        net = self.net
        if given is None:
            room = np.bincount(net.feed_anchor, net.limit[net.feed], len(net.anchor)) if len(net.feed) else np.zeros(
                len(net.anchor))
            given = np.where(room > 0, room, np.inf)
        total = np.zeros(len(anchors))
        np.add.at(total, np.searchsorted(anchors, self.topology.rep[net.anchor]), np.asarray(given, float))
        return total

    @property
    def switchable(self) -> Bools:
        """Tell which edges lie in a loop and may be opened, bool array [edge]."""
        kind = np.where(self.row >= 0, self.net.grid.branch_kind[self.row], "")
        found: Bools = (kind == "line") & (self.loop != 0).any(axis=1)
        return found

    def edge(self, row: int) -> int:
        """Return the edge of a branch row, -1 where it is neither in the tree nor a tie."""
        hit = np.flatnonzero(self.row == row)
        return int(hit[0]) if len(hit) else -1

    def gathered(self, s: Complexes) -> Complexes:
        """Return injections [..., node of the grid] as [..., node of the tree]."""
        live = np.flatnonzero(self._at >= 0)
        out = np.zeros((len(self.nodes), *s.shape[:-1]), dtype=complex)
        np.add.at(out, self._at[live], s[..., live].T)
        return out.T

    def solve(
        self, s: Complexes, opened: Ints | None = None, rounds: int = 40, tolerance: float = 1e-9
    ) -> States:
        """Solve radial states.

        Parameters
        ----------
        s : complex array [node of the grid] or [case, node of the grid]
            Injections [pu]; the same for all states where there is one row.
        opened : int array [case, loop], optional
            Edges left open in each state; the ties by default. A choice that leaves a loop or cuts nodes off is
            marked as not solved.
        """
        s = np.atleast_2d(s)
        if opened is None:
            opened = np.broadcast_to(self.ties, (len(s), len(self.ties)))
        n = len(opened)
        loads = self.gathered(s)
        parts = []
        for start in range(0, n, CASES_A_BLOCK):
            part = slice(start, min(start + CASES_A_BLOCK, n))
            own = loads if len(loads) == 1 else loads[part]
            parts.append(self._block(own, opened[part], rounds, tolerance))
        v, current, losses, solved = (np.concatenate([p[k] for p in parts]) for k in range(4))
        share = np.abs(current) / self.limit
        spread: Floats = np.where(self._at >= 0, np.abs(v)[:, self._at], 0.0)
        return States(spread, current, losses, share.max(axis=1, initial=0.0),
                      np.maximum(share - 1.0, 0.0).sum(axis=1), solved)

    def _block(self, s: Complexes, opened: Ints, rounds: int, tolerance: float) -> tuple[Any, ...]:
        n, m, k = len(self.nodes), len(opened), len(self.ties)
        cases = np.arange(m)[:, None]
        v = np.full((m, n), self.v_source, dtype=complex)
        current: Any = np.zeros((m, len(self.row)), dtype=complex)
        corner = self.loop[opened]
        proper = np.abs(np.abs(np.linalg.det(corner)) - 1.0) < 1e-6 if k else np.ones(m, dtype=bool)
        corner[~proper] = np.eye(k)
        inverse = np.linalg.inv(corner) if k else corner
        # A branch that changes its state brings or takes its charging along.
        shunt = np.broadcast_to(self._shunt, (m, n)).copy()
        for end in (0, 1):
            tie, off = self._ends[end, self.ties], self._ends[end, opened]
            np.add.at(shunt, (cases, tie[None, :]), self._charging[end, self.ties][None, :])
            np.add.at(shunt, (cases, off), -self._charging[end, opened])
        solved = np.zeros(m, dtype=bool)
        with np.errstate(all="ignore"):
            for _ in range(rounds):
                drawn = shunt * v - np.conj(s / v)
                current[:, :n] = _times(drawn, self.path.T)
                current[:, n:] = 0.0
                if k:
                    x = -(inverse @ current[cases, opened][:, :, None])[:, :, 0]
                    current = current + _times(x, self.loop.T)
                    current[cases, opened] = 0.0
                drop = current * self.z + self._lift
                if k:
                    drop[cases, opened] = 0.0
                    across = -(np.swapaxes(inverse, 1, 2) @ _times(drop, self.loop)[:, :, None])[:, :, 0]
                    drop[cases, opened] = across
                new = self.v_source - _times(drop[:, :n], self.path)
                step = np.abs(new - v).max(axis=1)
                v = new
                solved = step < tolerance
                if (solved | ~np.isfinite(step)).all():
                    break
        losses = np.abs(current) ** 2 @ self.z.real + (shunt.real * np.abs(v) ** 2).sum(axis=1)
        return v * self._c, current, losses, solved & proper

    def moves(self, opened: Ints) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the branch rows to open and to close to reach a state [loop] from the present one."""
        out = tuple(sorted(int(self.row[e]) for e in opened if e not in self.ties))
        shut = tuple(sorted(int(self.row[e]) for e in self.ties if e not in opened))
        return out, shut


def _times(a: Complexes, b: Floats) -> Complexes:
    """Return the product of a complex and a real matrix, without making the real one complex first."""
    out = np.empty((a.shape[0], b.shape[1]), dtype=complex)
    out.real = np.ascontiguousarray(a.real) @ b
    out.imag = np.ascontiguousarray(a.imag) @ b
    return out


def _rank(order: Ints) -> Ints:
    rank = np.zeros(int(order.max(initial=-1)) + 1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank
