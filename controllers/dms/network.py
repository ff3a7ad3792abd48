"""A feeder as its operator knows it: one electrical model, many switch states, a quick power flow.

The model is anchored at the medium-voltage busbars, whose voltage is metered: what lies above them (the
HV/MV transformers, the subtransmission grid) reaches the feeder only through that voltage.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from controllers.dms import kernels
from controllers.dms.factors import factors
from controllers.dms.vector_groups import upright
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.parts import TapTable
from sims.grid.supply import trace

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TOLERANCE_PU = 1e-7
MAX_SWEEPS = 60
REMEMBERED = 32


class Network:
    """The static part: branches, ratings, busbars; `topology` adds switch states.

    Parameters
    ----------
    grid : CompiledNet

    Attributes
    ----------
    feed : int array [feed]
        Branch rows of the transformers that connect a root to a busbar; empty where the roots are the
        busbars themselves.
    feed_trafo, feed_busbar, feed_root : int array [feed]
        pandapower index of each, the node of its busbar and of its root.
    anchor : int array [anchor]
        Nodes whose voltage is given to the power flow.
    feed_anchor : int array [feed]
        Position in `anchor` of each feed's busbar.
    z_feed : complex array [anchor]
        Series impedance of the transformers behind each busbar, in parallel [pu]; 0 where there are none.
    normal : bool array [branch]
        Branches in service and closed at both ends in the net as compiled, feeds left out.
    y : complex array [4, branch]
        ff, ft, tf and tt of the branches [pu], with the transformers' vector groups taken out: all voltages are
        told in the busbars' frame, so that a magnitude answers to R and X alike at every voltage level.
    limit : float array [branch]
        Current at 100 % loading [pu], the smaller of both ends; inf where there is none.
    """

    def __init__(self, grid: CompiledNet) -> None:
        self.grid = grid
        root = np.zeros(grid.n_nodes, dtype=bool)
        root[grid.roots] = True
        f, t = grid.branch_from, grid.branch_to
        is_feed = (grid.branch_kind == "trafo") & (root[f] ^ root[t]) & grid.branch_in_service
        self.feed: Ints = np.flatnonzero(is_feed)
        self.feed_trafo = grid.branch_element[self.feed]
        self.feed_root = np.where(root[f[self.feed]], f[self.feed], t[self.feed])
        self.feed_busbar = np.where(root[f[self.feed]], t[self.feed], f[self.feed])
        beside = np.flatnonzero((root[f] | root[t]) & ~is_feed & ~(root[f] & root[t]))
        direct = np.intersect1d(grid.roots, np.concatenate((f[beside], t[beside])))
        anchor = np.unique(np.concatenate((self.feed_busbar, direct)))
        self.anchor: Ints = anchor if len(anchor) else grid.roots.astype(np.int64)
        self.feed_anchor = np.searchsorted(self.anchor, self.feed_busbar)
        self.z_feed: Complexes = self._feed_impedance()
        table = grid.switches
        shut = np.ones(grid.n_branches, dtype=bool)
        opened = (table.branch >= 0) & ~grid.switch_closed
        shut[table.branch[opened]] = False
        self.normal: Bools = grid.branch_in_service & shut & ~is_feed
        self.y: Complexes = upright(grid, self.anchor, grid.branch_in_service & ~is_feed)
        limit = np.fmin(grid.rating_from, grid.rating_to)
        self.limit: Floats = np.where(np.isfinite(limit) & (limit > 0), limit, np.inf)
        joined = (table.branch < 0) & grid.switch_closed & (table.far_node >= 0)
        joined &= table.node != table.far_node
        self._fused = np.stack((table.node[joined], table.far_node[joined]), axis=1)
        self._line_row = {int(e): int(r) for r, e in enumerate(grid.branch_element)
                          if grid.branch_kind[r] == "line"}
        self._known: dict[bytes, Topology] = {}
        self._admittances: dict[bytes, Complexes] = {}

    @cached_property
    def _feed_taps(self) -> list[TapTable]:
        tables = {tap.element: tap for tap in self.grid.taps if tap.kind == "trafo"}
        return [tables[int(trafo)] for trafo in self.feed_trafo]

    @cached_property
    def tied(self) -> bool:
        """Tell whether a line is normally open, so that load can be moved by switching."""
        return bool(((self.grid.branch_kind == "line") & ~self.normal).any())

    @cached_property
    def feed_initial(self) -> Ints:
        """Tap positions of the feeds as compiled, int array [feed]."""
        return np.array([tap.initial for tap in self._feed_taps], dtype=np.int64)

    @cached_property
    def feed_range(self) -> Ints:
        """Lowest and highest tap position of the feeds, int array [2, feed]."""
        ends = [(tap.positions[0], tap.positions[-1]) for tap in self._feed_taps]
        return np.array(ends, dtype=np.int64).reshape(-1, 2).T

    @cached_property
    def feed_step(self) -> Floats:
        """Rise of the busbar by a position more of each feed [feed] [pu]; negative with taps at the hv side."""
        steps = [tap.step_percent / 100.0 * (len(tap.positions) > 1) for tap in self._feed_taps]
        hv = [tap.side == "hv" for tap in self._feed_taps]
        return np.where(hv, -1.0, 1.0) * np.array(steps, dtype=np.float64)

    def feed_admittance(self, taps: Ints) -> Complexes:
        """Return hv-hv, hv-mv, mv-hv and mv-mv of the feeds at tap positions `taps`, array [4, feed] [pu]."""
        found = self._admittances.get(key := taps.tobytes())
        if found is None:
            found = np.zeros((4, len(self.feed)), dtype=complex)
            for i, tap in enumerate(self._feed_taps):
                found[:, i] = tap.y[0, :, int(tap.slot(taps[i]))]
                if self.grid.branch_from[self.feed[i]] != self.feed_root[i]:
                    found[:, i] = found[[3, 2, 1, 0], i]
            self._admittances[key] = found
        return found

    def _feed_impedance(self) -> Complexes:
        grid = self.grid
        at_to = grid.branch_to[self.feed] == self.feed_busbar
        y = np.where(at_to, grid.y_raw[3, self.feed], grid.y_raw[0, self.feed])
        total = np.zeros(len(self.anchor), dtype=complex)
        np.add.at(total, self.feed_anchor, y)
        return np.where(total != 0, 1.0 / np.where(total != 0, total, 1.0), 0.0)

    def line(self, element: int) -> int:
        """Return the branch row of a line's pandapower index.

        Raises
        ------
        GridError
            There is no such line.
        """
        try:
            return self._line_row[int(element)]
        except KeyError:
            raise GridError(f"net {self.grid.name}: line {element} does not exist") from None

    def topology(self, closed: Bools) -> Topology:
        """Return the grid under switch states `closed` [branch]; recent ones are remembered."""
        key = np.packbits(closed).tobytes()
        found = self._known.get(key)
        if found is None:
            while len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            found = self._known[key] = Topology(self, closed.copy())
        return found

    def fused(self) -> Ints:
        """Return pairs of nodes joined by closed bus switches, int array [pair, 2]."""
        return self._fused


class Topology:
    """One feeder under one set of switch states.

    Attributes
    ----------
    closed, joined : bool array [branch]
        As asked for; and what of it carries current.
    live : bool array [node]
    radial : bool
    free : int array [free]
        Live nodes that are no anchor, each electrical node once.
    anchor : int array [anchor]
        The nodes that stand for the anchors.
    at : int array [node]
        Position in `free` of the node that stands for this one; -1 at anchors and in the dark.
    share : float array [free, anchor]
        How much of a node's injection each anchor sees; 1 for the only one in a radial grid.
    """

    def __init__(self, net: Network, closed: Bools) -> None:
        grid = net.grid
        n = grid.n_nodes
        self.net, self.closed = net, closed
        supply = trace(n, net.anchor, grid.branch_from, grid.branch_to, closed, grid.node_in_service,
                       net.fused())
        self.live, self.rep, self.joined = supply.live, supply.rep, supply.joined
        self.radial, self.order = supply.radial, supply.order
        self.parent, self.parent_branch = supply.parent, supply.parent_branch
        self.plain = bool((self.rep == np.arange(n)).all())
        self.anchor: Ints = self.rep[net.anchor]
        is_anchor = np.zeros(n, dtype=bool)
        is_anchor[net.anchor] = True
        self.free: Ints = np.flatnonzero(self.live & ~is_anchor & (self.rep == np.arange(n)))
        at = np.full(n, -1, dtype=np.int64)
        at[self.free] = np.arange(len(self.free))
        self.at = np.where(self.live, at[self.rep], -1)
        self._admittances()

    def _admittances(self) -> None:
        grid, n = self.net.grid, self.net.grid.n_nodes
        rows = np.flatnonzero(self.joined)
        f, t = self.rep[grid.branch_from[rows]], self.rep[grid.branch_to[rows]]
        y: Complexes = np.ascontiguousarray(self.net.y[:, rows])
        # A line open at one end only still charges: known for the state the net was compiled in.
        stubs = np.flatnonzero(~self.closed & ~self.net.normal & self.live[grid.branch_from])
        stubs_t = np.flatnonzero(~self.closed & ~self.net.normal & self.live[grid.branch_to])
        feed = np.isin(stubs, self.net.feed), np.isin(stubs_t, self.net.feed)
        stubs, stubs_t = stubs[~feed[0]], stubs_t[~feed[1]]
        sf, st = self.rep[grid.branch_from[stubs]], self.rep[grid.branch_to[stubs_t]]
        node = np.arange(n)
        i = np.concatenate((f, f, t, t, sf, st, self.rep))
        j = np.concatenate((f, t, f, t, sf, st, self.rep))
        value = np.concatenate((y[0], y[1], y[2], y[3], grid.y_ff[stubs], grid.y_tt[stubs_t],
                                grid.shunt_y[node]))
        Y = csc_matrix((value, (i, j)), shape=(n, n))
        free, anchor = self.free, self.anchor
        self.y_aa: Complexes = Y[anchor][:, anchor].toarray()
        self.y_af: Complexes = Y[anchor][:, free].toarray()
        self.lu = factors(Y[free][:, free].tocsc())
        at_anchor = -Y[free][:, anchor].toarray()
        self.w: Complexes = np.zeros((len(free), len(anchor)), dtype=complex)
        for a in range(len(anchor)):
            self.w[:, a] = self._solved(at_anchor[:, a])
        self.share: Floats = np.ascontiguousarray(self.w.real)
        self._ends = (rows, f, t, y)

    def _solved(self, current: Complexes) -> Complexes:
        """Return Z times injected currents [free] [pu]."""
        out = np.empty(len(self.free), dtype=complex)
        kernels.solve(self.lu, current, out)
        return out

    @cached_property
    def z(self) -> Complexes:
        """Nodal impedance matrix of the free nodes, complex array [free, free] [pu]."""
        n = len(self.free)
        columns = [self._solved(one) for one in np.eye(n, dtype=complex)]
        return np.array(columns, dtype=complex).reshape(n, n).T.copy()

    @cached_property
    def z_squared(self) -> tuple[Floats, Floats]:
        """Squares of resistance and reactance in `z` [pu^2]."""
        return self.z.real**2, self.z.imag**2

    def gathered(self, s: Complexes) -> Complexes:
        """Return injections [node] summed onto the nodes that stand for others."""
        if self.plain:
            return s
        out = np.zeros(len(s), dtype=complex)
        np.add.at(out, self.rep, s)
        return out

    def flow(self, s: Complexes, v_anchor: Complexes | Floats, start: Complexes | None = None) -> Complexes:
        """Solve the power flow by fixed point on the nodal equations, V = w V_a + Z conj(S/V).

        Parameters
        ----------
        s : complex array [node]
            Injections [pu].
        v_anchor : array [anchor]
            Voltage at the busbars [pu].
        start : complex array [node], optional
            Where to begin.

        Returns
        -------
        complex array [node]
            Voltage [pu]; 0 in the dark, NaN everywhere where there is no solution.
        """
        v_a = np.asarray(v_anchor, dtype=complex)
        s_free, idle = self.gathered(s)[self.free], self.w @ v_a
        v = idle.copy() if start is None else start[self.free]
        if kernels.flow(self.lu, idle, s_free, v, TOLERANCE_PU, MAX_SWEEPS):
            return self.spread(v, v_a)
        return np.full(len(s), np.nan, dtype=complex)

    def spread(self, v_free: Complexes, v_anchor: Complexes) -> Complexes:
        """Return voltages [node] from those of the free nodes and anchors; 0 in the dark."""
        v = np.zeros(self.net.grid.n_nodes, dtype=complex)
        v[self.anchor] = v_anchor
        v[self.free] = v_free
        return v if self.plain else v[self.rep] * self.live

    def rows_of(self, table: Complexes, nodes: Ints) -> Complexes:
        """Return the rows of a table [free, column] that belong to `nodes`, zero at anchors and in the dark."""
        at = self.at[nodes]
        out: Complexes = np.where((at >= 0)[:, None], table[at], 0.0)
        return out

    def drawn(self, v: Complexes) -> Complexes:
        """Return the complex current each anchor feeds into the network [anchor] [pu]."""
        out: Complexes = self.y_aa @ v[self.anchor] + self.y_af @ v[self.free]
        return out

    def currents(self, v: Complexes) -> tuple[Ints, Complexes, Complexes]:
        """Return the rows of the joined branches and the currents into them at both ends [pu]."""
        rows, f, t, y = self._ends
        return rows, y[0] * v[f] + y[1] * v[t], y[2] * v[f] + y[3] * v[t]

    def loading(self, v: Complexes) -> Floats:
        """Return the loading of every branch [%], the larger of both ends; 0 where nothing flows."""
        out = np.zeros(len(self.closed))
        kernels.loading(*self._ends, self.net.limit, v, out)
        return out

    def losses(self, v: Complexes, s: Complexes) -> float:
        """Return the active losses of the live part [pu]."""
        i_a = self.drawn(v)
        into = float((v[self.anchor] * np.conj(i_a)).real.sum())
        return into + float(self.gathered(s)[self.free].real.sum())

    def lift(self, v: Complexes, ds: Complexes) -> Complexes:
        """Return the change of the busbars' voltage that injections `ds` [node] bring, taps at rest [anchor] [pu]."""
        anchor = self.net.anchor
        current = np.conj(ds[self.free] / v[self.free])
        out: Complexes = self.net.z_feed * (self.w.T @ current + np.conj(ds[anchor] / v[anchor]))
        return out

    def moves(self, v: Complexes, nodes: Ints, with_feed: bool = False) -> Complexes:
        """Return dV/dP as complex array [free, nodes] [pu/pu]; dV/dQ is -1j times it.

        The linearisation holds the injected current's own voltage fixed: V = w V_a + Z conj(S/V). With
        `with_feed` the busbars move too, by the transformers behind them, as they do until a tap changer
        answers.
        """
        at = self.at[nodes]
        if (at < 0).any():
            raise GridError(f"net {self.net.grid.name}: node {nodes[at < 0][0]} cannot be moved: no free node")
        z = self.z[:, at]
        if with_feed:
            z = z + (self.w * self.net.z_feed) @ self.w[at].T
        out: Complexes = z / np.conj(v[self.rep[nodes]])
        return out
