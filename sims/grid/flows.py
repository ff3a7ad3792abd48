"""What follows from the voltages: branch flows, loading, losses, and the power drawn from the roots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sims.grid import kernels
from sims.grid.compiled import CompiledNet
from sims.grid.parts import FloatArray, IntArray
from sims.grid.radial import effective


@dataclass(frozen=True, eq=False)
class Flows:
    """Power entering each branch at its ends [MW, Mvar], arrays [branch, feeder]."""

    p_from_mw: FloatArray
    q_from_mvar: FloatArray
    p_to_mw: FloatArray
    q_to_mvar: FloatArray


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
        self._root_rows = [(int(h), np.nonzero(carries & (f == h))[0], np.nonzero(carries & (t == h))[0])
                           for h in heads]
        self._dead = ~net.joined & ~carries

    def flows(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> Flows:
        """Return the flows of all branches."""
        net = self._net
        out = [np.empty((net.n_branches, vr.shape[1])) for _ in range(4)]
        self._power(np.arange(net.n_branches), vr, vi, slots, out)
        return Flows(*out)

    def _power(self, rows: IntArray, vr: FloatArray, vi: FloatArray, slots: IntArray, out: list[FloatArray]) -> None:
        net = self._net
        y = self._y[:, rows]
        f, t = net.branch_from[rows], net.branch_to[rows]
        kernels.branch_power(f, t, np.ascontiguousarray(y.real), np.ascontiguousarray(y.imag), vr, vi,
                             net.base_mva, *out)
        for i, r, branch in self._moved(slots):
            at = np.nonzero(rows == branch)[0]
            if len(at):
                i_f, i_t = self._currents(i, r, branch, vr, vi, slots)
                a, b = net.branch_from[branch], net.branch_to[branch]
                s_f = (vr[a] + 1j * vi[a]) * i_f.conj() * net.base_mva
                s_t = (vr[b] + 1j * vi[b]) * i_t.conj() * net.base_mva
                for target, value in zip(out, (s_f.real, s_f.imag, s_t.real, s_t.imag), strict=True):
                    target[at[0]] = value

    def _moved(self, slots: IntArray) -> list[tuple[int, int, int]]:
        taps = self._net.taps
        return [(i, r, b) for i, r, b in self._tapped if np.any(slots[i] != taps[i].initial - taps[i].positions[0])]

    def _currents(self, i: int, r: int, branch: int, vr: FloatArray, vi: FloatArray, slots: IntArray):  # type: ignore[no-untyped-def]
        net = self._net
        y = effective(net, branch, net.taps[i].y[r][:, slots[i]])
        f, t = net.branch_from[branch], net.branch_to[branch]
        v_f, v_t = vr[f] + 1j * vi[f], vr[t] + 1j * vi[t]
        return y[0] * v_f + y[1] * v_t, y[2] * v_f + y[3] * v_t

    def loading_percent(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> FloatArray:
        """Return the loading of all branches [%], 0 where a branch carries nothing."""
        net = self._net
        out = np.empty((net.n_branches, vr.shape[1]))
        kernels.branch_loading(
            net.branch_from, net.branch_to, np.ascontiguousarray(self._y.real), np.ascontiguousarray(self._y.imag),
            net.rating_from, net.rating_to, vr, vi, out)
        for i, r, branch in self._moved(slots):
            i_f, i_t = self._currents(i, r, branch, vr, vi, slots)
            out[branch] = 100.0 * np.maximum(np.abs(i_f) / net.rating_from[branch],
                                             np.abs(i_t) / net.rating_to[branch])
        return out

    def into_grid(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return power flowing from each root node into branches and its shunts [MW, Mvar], [head, feeder]."""
        net = self._net
        p, q = np.zeros((len(self._root_rows), vr.shape[1])), np.zeros((len(self._root_rows), vr.shape[1]))
        shunt = np.zeros(net.n_nodes, dtype=np.complex128)
        np.add.at(shunt, net.rep, np.where(net.live, net.shunt_y, 0.0))
        for h, (head, out_rows, in_rows) in enumerate(self._root_rows):
            rows = np.concatenate((out_rows, in_rows))
            power = [np.empty((len(rows), vr.shape[1])) for _ in range(4)]
            self._power(rows, vr, vi, slots, power)
            n = len(out_rows)
            u2 = vr[head] ** 2 + vi[head] ** 2
            p[h] = power[0][:n].sum(axis=0) + power[2][n:].sum(axis=0) + shunt[head].real * u2 * net.base_mva
            q[h] = power[1][:n].sum(axis=0) + power[3][n:].sum(axis=0) - shunt[head].imag * u2 * net.base_mva
        return p, q

    def loss_mw(self, vr: FloatArray, vi: FloatArray, slots: IntArray) -> FloatArray:
        """Return active losses in branches and shunts [MW] by feeder, from the flows alone."""
        net = self._net
        flows = self.flows(vr, vi, slots)
        u2 = vr**2 + vi**2
        shunt = np.where(net.live, net.shunt_y.real, 0.0) @ u2 * net.base_mva
        return np.asarray((flows.p_from_mw + flows.p_to_mw).sum(axis=0) + shunt)
