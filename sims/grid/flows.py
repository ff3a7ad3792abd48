"""What follows from the voltages: branch flows, loading, losses, and the power drawn from the roots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sims.grid import kernels
from sims.grid.compiled import CompiledNet
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray
from sims.grid.radial import effective


@dataclass(frozen=True, eq=False)
class Flows:
    """Power entering each branch at its ends [MW, Mvar], arrays [branch, feeder]."""

    p_from_mw: FloatArray
    q_from_mvar: FloatArray
    p_to_mw: FloatArray
    q_to_mvar: FloatArray


class _Root:
    """A root node, and the admittances of the branches and shunts that leave it, by feeder."""

    def __init__(self, net: CompiledNet, node: int, out: BoolArray, into: BoolArray) -> None:
        self.node = node
        self._out, self._in = np.nonzero(out)[0], np.nonzero(into)[0]
        self.far = np.concatenate((net.branch_to[self._out], net.branch_from[self._in]))
        self._shunt = complex(np.where(net.live & (net.rep == node), net.shunt_y, 0.0).sum())
        self._near_y = np.concatenate((net.y_ff[self._out], net.y_tt[self._in]))
        self._far_y = np.concatenate((net.y_ft[self._out], net.y_tf[self._in]))
        self.take([], 1)

    def take(self, moved: list[tuple[int, int, int, ComplexArray]], width: int) -> None:
        """Take the admittances of transformers off their compiled position."""
        near = np.repeat(self._near_y[:, None], width, axis=1)
        self.far_y = np.repeat(self._far_y[:, None], width, axis=1)
        for _, _, branch, y in moved:
            for k in np.nonzero(self._out == branch)[0]:
                near[k], self.far_y[k] = y[0], y[1]
            for k in np.nonzero(self._in == branch)[0] + len(self._out):
                near[k], self.far_y[k] = y[3], y[2]
        self.own_y = near.sum(axis=0) + self._shunt


class FlowReader:
    """Reads flows of one topology from voltages [node, feeder] and tap slots [transformer, feeder]."""

    def __init__(self, compiled: CompiledNet) -> None:
        net = self._net = compiled
        self._y = np.array([net.y_ff, net.y_ft, net.y_tf, net.y_tt])
        self._tapped = [(i, r, int(b)) for i, tap in enumerate(net.taps) if len(tap.positions) > 1
                        for r, b in enumerate(tap.branches)]
        heads = np.unique(net.rep[net.roots])
        f, t = net.rep[net.branch_from], net.rep[net.branch_to]
        carries = np.abs(self._y).sum(axis=0) > 0
        self._roots = [_Root(net, int(h), carries & (f == h), carries & (t == h)) for h in heads]
        self._slots: IntArray | None = None
        self._changed: list[tuple[int, int, int, ComplexArray]] = []
        self._yr, self._yi = np.ascontiguousarray(self._y.real), np.ascontiguousarray(self._y.imag)
        self._lossy_shunts = bool(np.any(net.shunt_y.real))

    def flows(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> Flows:
        """Return the flows of all branches."""
        net = self._net
        out = [np.empty((net.n_branches, vr.shape[1])) for _ in range(4)]
        self._power(np.arange(net.n_branches), vr, vi, slots, out)
        return Flows(*out)

    def _power(self, rows: IntArray, vr: FloatArray, vi: FloatArray, slots: IntArray, out: list[FloatArray]) -> None:
        net = self._net
        f, t = net.branch_from[rows], net.branch_to[rows]
        moved = self._moved(slots)
        yr, yi = np.ascontiguousarray(self._yr[:, rows]), np.ascontiguousarray(self._yi[:, rows])
        kernels.branch_power(f, t, yr, yi, vr, vi, net.base_mva, *out)
        for _, _, branch, y_moved in moved:
            at = np.nonzero(rows == branch)[0]
            if len(at):
                v_f, v_t = (vr[n] + 1j * vi[n] for n in (net.branch_from[branch], net.branch_to[branch]))
                s_f = v_f * (y_moved[0] * v_f + y_moved[1] * v_t).conj() * net.base_mva
                s_t = v_t * (y_moved[2] * v_f + y_moved[3] * v_t).conj() * net.base_mva
                for target, value in zip(out, (s_f.real, s_f.imag, s_t.real, s_t.imag), strict=True):
                    target[at[0]] = value

    def _moved(self, slots: IntArray) -> list[tuple[int, int, int, ComplexArray]]:
        """Return (transformer, row, branch, admittances [4, feeder]) of what the present admittances leave out.

        That is what is off its compiled position, where feeders stand side by side and differ in it.
        """
        if self._slots is None or not np.array_equal(slots, self._slots):
            taps = self._net.taps
            self._slots = slots.copy()
            self._changed = [
                (i, r, b, effective(self._net, b, taps[i].y[r][:, slots[i]]))
                for i, r, b in self._tapped if np.any(slots[i] != taps[i].initial - taps[i].positions[0])
            ]
            for root in self._roots:
                root.take(self._changed, slots.shape[1])
            if slots.shape[1] == 1:  # alike for all feeders: what has moved is an admittance like any other
                present = self._y.copy()
                for _, _, b, y in self._changed:
                    present[:, b] = y[:, 0]
                self._yr, self._yi = np.ascontiguousarray(present.real), np.ascontiguousarray(present.imag)
                self._changed = []
        return self._changed

    def loading_percent(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> FloatArray:
        """Return the loading of all branches [%], 0 where a branch carries nothing."""
        n = self._net.n_branches
        return self.readings(vr, vi, slots)[2 * n : 3 * n]

    def readings(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> FloatArray:
        """Return p_from_mw, q_from_mvar and loading_percent of all branches and loss_mw, stacked in one pass."""
        net, n = self._net, self._net.n_branches
        out = np.zeros((3 * n + 1, vr.shape[1]))
        p, q, loading, loss = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n]
        moved = self._moved(slots)
        kernels.branch_readings(
            net.branch_from, net.branch_to, self._yr, self._yi, net.rating_from, net.rating_to, vr, vi,
            net.base_mva, p, q, loading, loss)
        for _, _, b, y in moved:
            v_f, v_t = (vr[k] + 1j * vi[k] for k in (net.branch_from[b], net.branch_to[b]))
            old_f, old_t = self._y[0, b] * v_f + self._y[1, b] * v_t, self._y[2, b] * v_f + self._y[3, b] * v_t
            i_f, i_t = y[0] * v_f + y[1] * v_t, y[2] * v_f + y[3] * v_t
            s_f = v_f * i_f.conj() * net.base_mva
            p[b], q[b] = s_f.real, s_f.imag
            loss += ((v_f * (i_f - old_f).conj()).real + (v_t * (i_t - old_t).conj()).real) * net.base_mva
            loading[b] = 100.0 * np.maximum(np.abs(i_f) / net.rating_from[b], np.abs(i_t) / net.rating_to[b])
        if self._lossy_shunts:
            loss += np.where(net.live, net.shunt_y.real, 0.0) @ (vr**2 + vi**2) * net.base_mva
        return out

    def into_grid(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return power flowing from each root node into branches and its shunts [MW, Mvar], [head, feeder]."""
        self._moved(slots)
        p, q = np.empty((2, len(self._roots), vr.shape[1]))
        for h, root in enumerate(self._roots):
            kernels.root_power(root.node, root.far, root.far_y, root.own_y, vr, vi, self._net.base_mva, p[h], q[h])
        return p, q

    def loss_mw(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> FloatArray:
        """Return active losses in branches and shunts [MW] by feeder, from the flows alone."""
        return np.asarray(self.readings(vr, vi, slots)[-1])
