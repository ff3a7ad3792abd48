"""One meshed topology, any number of feeders: one factorisation, all feeders as right-hand sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import bmat, coo_matrix, csc_matrix, diags
from scipy.sparse.linalg import splu

from sims.grid.compiled import CompiledNet
from sims.grid.injections import Injections
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray
from sims.grid.radial import effective

SWEEPS = 80
NEWTON_STEPS = 40


class RingSolver:
    """Solves feeders of one meshed grid by fixed point on the reduced nodal equations.

    Feeders share a factorisation as long as they share their tap positions. What the fixed point does not
    reach, and characteristics, go through Newton's method feeder by feeder.
    """

    def __init__(self, compiled: CompiledNet, n_feeders: int) -> None:
        self._net = compiled
        net = compiled
        self.heads: IntArray = np.unique(net.rep[net.roots])
        self._free = net.order[~np.isin(net.order, self.heads)]
        self._slots = np.array([[t.initial - int(t.positions[0])] * n_feeders for t in net.taps],
                               dtype=np.int64).reshape(len(net.taps), n_feeders)
        self._factors: dict[bytes, tuple[Any, Any, Any]] = {}

    def set_slots(self, slots: IntArray) -> None:
        """Take the tap slots [transformer, feeder]."""
        self._slots = slots.copy()

    def _matrices(self, slots: IntArray) -> tuple[Any, Any, Any]:
        """Y among the free nodes, Y from the roots, and the factorisation of the first."""
        key = slots.tobytes()
        if key not in self._factors:
            full = nodal_matrix(self._net, slots)
            free = full[self._free][:, self._free].tocsc()
            self._factors[key] = (free, full[self._free][:, self.heads].tocsc(), splu(free))
        return self._factors[key]

    def solve(
        self, inj: Injections, root_v: ComplexArray, vr: FloatArray, vi: FloatArray, tol: float
    ) -> tuple[BoolArray, IntArray]:
        """Solve in place; see `RadialSolver.solve`."""
        n = inj.p.shape[1]
        ok, steps = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
        _, group = np.unique(self._slots, axis=1, return_inverse=True) if len(self._slots) else (0, np.zeros(n, int))
        for g in range(int(group.max(initial=0)) + 1):
            feeders = np.nonzero(group == g)[0]
            self._solve_group(feeders, inj, root_v, vr, vi, tol, ok, steps)
        return ok, steps

    def _solve_group(
        self, feeders: IntArray, inj: Injections, root_v: ComplexArray, vr: FloatArray, vi: FloatArray, tol: float,
        ok: BoolArray, steps: IntArray,
    ) -> None:
        y, y_root, lu = self._matrices(np.ascontiguousarray(self._slots[:, feeders[0]]))
        free = self._free
        own = inj.take(feeders)
        drive = y_root @ root_v[:, feeders]
        v = vr[np.ix_(free, feeders)] + 1j * vi[np.ix_(free, feeders)]
        fine = np.zeros(len(feeders), dtype=np.bool_)
        last = np.zeros(len(feeders))
        count = 0
        if not inj.has_curves:
            while count < SWEEPS:
                count += 1
                p, q = own.at(np.abs(v), free)
                with np.errstate(all="ignore"):
                    new = lu.solve((p - 1j * q) / v.conj() - drive)
                    now = np.abs(new - v).max(axis=0, initial=0.0)
                    left = np.where(now < last, now * now / (last - now), np.inf)
                v, last = new, now
                fine = (now < 0.1 * tol) | ((now < tol) & (left < 0.5 * tol))
                if fine.all() or not np.isfinite(now).any():
                    break
        steps[feeders] = count
        start = lu.solve(np.ascontiguousarray(-drive))
        for j in np.nonzero(~fine)[0]:
            guess = start[:, j] if not inj.has_curves else v[:, j]
            v[:, j], fine[j], taken = _newton(y, drive[:, j], own.take(np.array([j])), free, guess, tol)
            steps[feeders[j]] += taken
        ok[feeders] = fine
        vr[np.ix_(free, feeders)], vi[np.ix_(free, feeders)] = v.real, v.imag
        vr[np.ix_(self.heads, feeders)] = root_v[:, feeders].real
        vi[np.ix_(self.heads, feeders)] = root_v[:, feeders].imag


def nodal_matrix(net: CompiledNet, slots: IntArray | None = None) -> csc_matrix:
    """Return Y [pu] among the electrical nodes, with the transformers on the tap slots given."""
    y = np.array([net.y_ff, net.y_ft, net.y_tf, net.y_tt])
    if slots is not None:
        for tap, slot in zip(net.taps, slots, strict=True):
            for r, branch in enumerate(tap.branches):
                y[:, branch] = effective(net, int(branch), tap.y[r][:, slot])
    f, t = net.rep[net.branch_from], net.rep[net.branch_to]
    nodes = net.rep
    rows = np.concatenate((f, f, t, t, nodes))
    cols = np.concatenate((f, t, f, t, nodes))
    data = np.concatenate((y[0], y[1], y[2], y[3], np.where(net.live, net.shunt_y, 0.0)))
    return coo_matrix((data, (rows, cols)), shape=(net.n_nodes, net.n_nodes)).tocsr()


def _newton(
    y: csc_matrix, drive: ComplexArray, inj: Injections, nodes: IntArray, v: ComplexArray, tol: float
) -> tuple[ComplexArray, bool, int]:
    """Newton's method on the current balance Y V + drive = conj(S(|V|) / V) in rectangular coordinates."""
    g, b = y.real, y.imag
    h = 1e-6

    def current(at: ComplexArray) -> ComplexArray:
        p, q = inj.at(np.abs(at)[:, None], nodes)
        return ((p - 1j * q)[:, 0]) / at.conj()

    miss = y @ v + drive - current(v)
    for step in range(1, NEWTON_STEPS + 1):
        # Across a kink a central difference gives the mean slope, which is a valid generalised derivative.
        d_re = (current(v + h) - current(v - h)) / (2 * h)
        d_im = (current(v + 1j * h) - current(v - 1j * h)) / (2 * h)
        jac = bmat([[g - diags(d_re.real), -b - diags(d_im.real)], [b - diags(d_re.imag), g - diags(d_im.imag)]], "csc")
        try:
            delta = splu(jac).solve(np.concatenate((miss.real, miss.imag)))
        except RuntimeError:
            return v, False, step
        delta = delta[: len(v)] + 1j * delta[len(v):]
        part = 1.0
        for _ in range(12):
            trial = v - part * delta
            after = y @ trial + drive - current(trial)
            if step <= 5 or np.linalg.norm(after) < np.linalg.norm(miss):
                break
            part *= 0.5
        v, miss = trial, after
        if not np.isfinite(v).all():
            return v, False, step
        if np.abs(delta).max() < tol:
            return v, True, step
    return v, False, NEWTON_STEPS
