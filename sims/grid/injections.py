"""What the nodes of a fleet inject: constant power, voltage-dependent shares and characteristics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sims.grid.curve import Curve
from sims.grid.parts import BoolArray, FloatArray, IntArray

_NONE = np.zeros((1, 1))


@dataclass(frozen=True, eq=False)
class CurveSet:
    """Characteristics flattened for the kernels: breakpoints [curve, point], slopes and start values."""

    x: FloatArray
    slope: FloatArray
    start: FloatArray

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> CurveSet:
        """Pad all curves to one number of points; the padding is flat and changes nothing."""
        width = max((len(c.x) for c in curves), default=2)
        x = np.zeros((len(curves), width))
        slope = np.zeros((len(curves), width - 1))
        for i, curve in enumerate(curves):
            n = len(curve.x)
            x[i, :n] = curve.x
            x[i, n:] = curve.x[-1] + np.arange(1, width - n + 1)
            slope[i, : n - 1] = np.diff(curve.y) / np.diff(curve.x)
        return cls(x, slope, np.array([c.y[0] for c in curves], dtype=float))


@dataclass(frozen=True, eq=False)
class Injections:
    """Injection of every node and feeder as a function of its own voltage [pu on the grid's base].

    p + p_i |V| + p_z |V|^2 + sum_k p_amp[k] curve_k(|V|), and the same for q.

    Parameters
    ----------
    p, q : ndarray [node, feeder]
    zip_terms : tuple of four ndarray [node, feeder], or None
        p_i, p_z, q_i, q_z.
    curves : CurveSet
    active : ndarray of bool [curve, node]
        Where a curve has any amplitude.
    p_amp, q_amp : ndarray [curve, node, feeder]
    """

    p: FloatArray
    q: FloatArray
    zip_terms: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None
    curves: CurveSet
    active: BoolArray
    p_amp: FloatArray
    q_amp: FloatArray

    @property
    def has_curves(self) -> bool:
        """Tell whether any characteristic is in use."""
        return bool(self.active.any())

    @property
    def kernel_zip(self) -> tuple[bool, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return the voltage-dependent terms as the kernels take them."""
        return (False, _NONE, _NONE, _NONE, _NONE) if self.zip_terms is None else (True, *self.zip_terms)

    def take(self, feeders: IntArray) -> Injections:
        """Return those of some feeders, as arrays of their own."""
        terms = None if self.zip_terms is None else tuple(np.ascontiguousarray(t[:, feeders]) for t in self.zip_terms)
        return Injections(
            np.ascontiguousarray(self.p[:, feeders]), np.ascontiguousarray(self.q[:, feeders]), terms,  # type: ignore[arg-type]
            self.curves, self.active, np.ascontiguousarray(self.p_amp[:, :, feeders]),
            np.ascontiguousarray(self.q_amp[:, :, feeders]),
        )

    def gathered(self, rep: IntArray) -> Injections:
        """Return them with joined nodes summed onto the node that stands for them."""
        if np.array_equal(rep, np.arange(len(rep))):
            return self

        def onto(values: FloatArray) -> FloatArray:
            out = np.zeros_like(values)
            np.add.at(out, rep, values)
            return out

        terms = None if self.zip_terms is None else tuple(onto(t) for t in self.zip_terms)
        p_amp = np.array([onto(a) for a in self.p_amp]).reshape(self.p_amp.shape)
        q_amp = np.array([onto(a) for a in self.q_amp]).reshape(self.q_amp.shape)
        active = np.zeros_like(self.active)
        for k in range(len(active)):
            active[k, rep[self.active[k]]] = True
        return Injections(onto(self.p), onto(self.q), terms, self.curves, active, p_amp, q_amp)  # type: ignore[arg-type]

    def at(self, vm: FloatArray, nodes: IntArray | slice = slice(None)) -> tuple[FloatArray, FloatArray]:
        """Return (p, q) [pu] of `nodes` at the voltage magnitudes `vm` [those nodes, feeder]."""
        p, q = self.p[nodes].copy(), self.q[nodes].copy()
        if self.zip_terms is not None:
            p_i, p_z, q_i, q_z = (t[nodes] for t in self.zip_terms)
            p += (p_i + p_z * vm) * vm
            q += (q_i + q_z * vm) * vm
        for k in np.nonzero(self.active[:, nodes].any(axis=1))[0]:
            points = self.curves.x[k]
            values = self.curves.start[k] + np.concatenate(
                ([0.0], np.cumsum(self.curves.slope[k] * np.diff(points))))
            y = np.interp(vm, points, values)
            p += self.p_amp[k][nodes] * y
            q += self.q_amp[k][nodes] * y
        return p, q
