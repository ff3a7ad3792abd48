"""One radial topology, any number of feeders: coefficients of the tree and calls of the kernels."""

from __future__ import annotations

import numpy as np

from sims.grid import kernels, newton_kernels
from sims.grid.compiled import CompiledNet
from sims.grid.injections import Injections
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray

SWEEPS = 60
FULL_STEPS = 8
NEWTON_STEPS = 100


class RadialSolver:
    """Solves feeders of one radial grid.

    Parameters
    ----------
    compiled : CompiledNet
        A radial grid or variant.
    n_feeders : int
    """

    def __init__(self, compiled: CompiledNet, n_feeders: int) -> None:
        self._net = compiled
        self._width = n_feeders
        order = compiled.order
        heads = np.unique(compiled.rep[compiled.roots])
        rank = np.isin(order, heads)
        self._order = np.concatenate((order[rank], order[~rank]))
        self._n_roots = len(heads)
        place = np.full(compiled.n_nodes, -1, dtype=np.int64)
        place[self._order] = np.arange(len(self._order))
        self._place = place
        self._up = place[compiled.parent[self._order]]
        self._up[: self._n_roots] = -1
        self._link = compiled.parent_branch[self._order]
        # Where the child is the branch's from end, y_pk is y_tf; otherwise y_ft.
        child_from = compiled.rep[compiled.branch_from[self._link]] == self._order
        self._child_from = child_from
        self._tapped: dict[int, int] = {
            int(branch): i for i, tap in enumerate(compiled.taps) for branch in tap.branches
        }
        self._vary = np.full(len(self._order), -1, dtype=np.int64)
        self._slots: IntArray | None = None
        self._shared()

    def _diagonal(self) -> ComplexArray:
        net = self._net
        diag = np.zeros(net.n_nodes, dtype=np.complex128)
        np.add.at(diag, net.rep, np.where(net.live, net.shunt_y, 0.0))
        np.add.at(diag, net.rep[net.branch_from], net.y_ff)
        np.add.at(diag, net.rep[net.branch_to], net.y_tt)
        return diag[self._order]

    def _shared(self) -> None:
        """Eliminate the tree once with the taps of the net as compiled."""
        net, link = self._net, self._link
        self._diag = self._diagonal()
        up = np.where(self._child_from, net.y_tf[link], net.y_ft[link])
        down = np.where(self._child_from, net.y_ft[link], net.y_tf[link])
        up[: self._n_roots] = down[: self._n_roots] = 0.0
        self._y_up, self._y_down = up, down
        d = self._diag.copy()
        for k in range(len(d) - 1, self._n_roots - 1, -1):
            d[self._up[k]] -= up[k] * down[k] / d[k]
        d[: self._n_roots] = 1.0
        self._a, self._b, self._g = up / d, down / d, 1.0 / d
        self._d = d
        self._per_feeder: list[ComplexArray] = [np.zeros((1, 1), dtype=np.complex128)] * 6
        self._refresh_parts()

    def _refresh_parts(self) -> None:
        self._sweep_parts = _parts(self._a, self._b, self._g) + _parts(*self._per_feeder[:3])
        self._newton_parts = _parts(self._diag, self._y_up, self._y_down) + _parts(*self._per_feeder[3:])

    def set_slots(self, slots: IntArray) -> None:
        """Take the tap slots [transformer, feeder]; only what changes is eliminated again."""
        if self._slots is not None and np.array_equal(slots, self._slots):
            return
        self._slots = slots.copy()
        net = self._net
        moved = [i for i, tap in enumerate(net.taps)
                 if len(tap.positions) > 1 and np.any(slots[i] != tap.initial - tap.positions[0])]
        touched: set[int] = set()
        for i in moved:
            tap = net.taps[i]
            for branch in tap.branches:
                for node in (net.branch_from[branch], net.branch_to[branch]):
                    k = int(self._place[net.rep[node]])
                    while k >= self._n_roots:
                        touched.add(k)
                        k = int(self._up[k])
        self._vary[:] = -1
        rows = np.array(sorted(touched), dtype=np.int64)
        self._vary[rows] = np.arange(len(rows))
        if not len(rows):
            self._shared()
            return
        shape = (len(rows), self._width)
        diag = np.broadcast_to(self._diag[rows, None], shape).copy()
        up = np.broadcast_to(self._y_up[rows, None], shape).copy()
        down = np.broadcast_to(self._y_down[rows, None], shape).copy()
        for i in moved:
            self._apply_tap(i, slots[i], diag, up, down)
        d = diag.copy()
        for v in range(len(rows) - 1, -1, -1):
            k = rows[v]
            for c in np.nonzero(self._up == k)[0]:
                w = self._vary[c]
                d[v] -= self._y_up[c] * self._y_down[c] / self._d[c] if w < 0 else up[w] * down[w] / d[w]
        self._per_feeder = [up / d, down / d, 1.0 / d, diag, up, down]
        self._refresh_parts()

    def _apply_tap(self, i: int, slots: IntArray, diag: ComplexArray, up: ComplexArray, down: ComplexArray) -> None:
        net, tap = self._net, self._net.taps[i]
        for r, branch in enumerate(tap.branches):
            f, t = net.rep[net.branch_from[branch]], net.rep[net.branch_to[branch]]
            y_ff, y_ft, y_tf, y_tt = effective(net, int(branch), tap.y[r][:, slots])
            for node, new, old in ((f, y_ff, net.y_ff[branch]), (t, y_tt, net.y_tt[branch])):
                k = self._place[node]
                if k >= self._n_roots:
                    diag[self._vary[k]] += new - old
            if net.joined[branch]:
                k = self._place[f] if net.parent_branch[f] == branch else self._place[t]
                v = self._vary[k]
                up[v], down[v] = (y_tf, y_ft) if self._child_from[k] else (y_ft, y_tf)

    def solve(
        self, inj: Injections, root_v: ComplexArray, vr: FloatArray, vi: FloatArray, tol: float
    ) -> tuple[BoolArray, IntArray]:
        """Solve in place from the start in vr, vi [node, feeder]; returns converged, iterations per feeder.

        Parameters
        ----------
        root_v : ndarray of complex [root node of this topology, feeder]
        """
        n = inj.p.shape[1]
        ok, steps = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
        root_r, root_i = np.ascontiguousarray(root_v.real), np.ascontiguousarray(root_v.imag)
        terms = inj.kernel_zip
        if not inj.has_curves:
            kernels.sweep(self._order, self._up, self._vary, *self._sweep_parts, self._n_roots, inj.p, inj.q, *terms,
                          root_r, root_i, vr, vi, tol, SWEEPS, ok, steps)
        parts = self._newton_parts
        rest = (inj.p, inj.q, *terms, inj.curves.x, inj.curves.slope, inj.curves.start, inj.active, inj.p_amp,
                inj.q_amp, root_r, root_i, vr, vi, tol)
        if inj.has_curves:
            newton_kernels.newton_block(self._order, self._up, *parts, self._vary, self._n_roots, *rest, FULL_STEPS,
                                        ok, steps)
        pick = np.nonzero(~ok)[0]
        if len(pick):
            start = self._no_load()
            vr[np.ix_(self._order, pick)] = start.real[:, None]
            vi[np.ix_(self._order, pick)] = start.imag[:, None]
            newton_kernels.newton(self._order, self._up, pick, *parts, self._vary, self._n_roots, *rest, NEWTON_STEPS,
                                  ok, steps)
        return ok, steps

    def _no_load(self) -> ComplexArray:
        """Voltage without injections: the start from which a lost solution is sought again."""
        v = np.ones(len(self._order), dtype=np.complex128)
        v[: self._n_roots] = self._net.root_v[0]
        for k in range(self._n_roots, len(v)):
            v[k] = -self._b[k] * v[self._up[k]]
        return v

    @property
    def heads(self) -> IntArray:
        """Nodes held at the slack voltage, in the order of the rows of `root_v`."""
        return self._order[: self._n_roots]


def effective(net: CompiledNet, branch: int, y: ComplexArray) -> ComplexArray:
    """Return a branch's admittances [4, ...] as switched in `net`: as they are, one end open, or nothing."""
    if net.joined[branch]:
        return y
    out = np.zeros_like(y)
    if net.y_ff[branch] != 0:
        out[0] = y[0] - y[1] * y[2] / y[3]
    elif net.y_tt[branch] != 0:
        out[3] = y[3] - y[1] * y[2] / y[0]
    return out


def _parts(*values: ComplexArray) -> list[FloatArray]:
    out: list[FloatArray] = []
    for value in values:
        out += [np.ascontiguousarray(value.real), np.ascontiguousarray(value.imag)]
    return out
