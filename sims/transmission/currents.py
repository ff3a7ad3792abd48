"""Load currents of the reduced network: what loads draw at a voltage, its slope, and Newton's way to it."""

# mypy: disable-error-code="untyped-decorator, no-any-return"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# rows of the slots: constant power, its rate, constant current, response to voltage, and its held voltage
S_P, S_Q, S_DP, S_DQ, S_IP, S_IQ, S_PV, S_QV, S_VH = range(9)
N_SLOT = 9

TOL = 1e-8
"""Change of a slot voltage [pu] at which the iteration has settled."""


@njit(cache=True, nogil=True)
def load_current(v: Array, slot: Array, t: float, v_floor: float, out: Array) -> None:
    """Write the current injected at every slot at voltage `v`; both as real parts, then imaginary parts.

    Below `v_floor` a load turns into the impedance it has there: constant power has no solution in a
    collapsing voltage, and no real load keeps its power there either.
    """
    m = slot.shape[1]
    for j in range(m):
        re, im = v[j], v[m + j]
        vm2 = re * re + im * im
        if vm2 < 1e-8:
            out[j] = 0.0
            out[m + j] = 0.0
            continue
        vm = np.sqrt(vm2)
        seen = max(vm, v_floor)
        dv = seen - slot[S_VH, j]
        p = slot[S_P, j] + t * slot[S_DP, j] + slot[S_IP, j] * seen + slot[S_PV, j] * dv
        q = slot[S_Q, j] + t * slot[S_DQ, j] + slot[S_IQ, j] * seen + slot[S_QV, j] * dv
        inv = 1.0 / (seen * seen)
        out[j] = (p * re + q * im) * inv
        out[m + j] = (p * im - q * re) * inv


@njit(cache=True, nogil=True)
def accumulate(mt: Array, x: Array, out: Array) -> None:
    """Add mt.T @ x to `out`, four contiguous rows of `mt` at a time, so that the inner loop vectorises."""
    n, width = mt.shape[0], out.shape[0]
    j = 0
    while j + 4 <= n:
        a, b, c, d = mt[j], mt[j + 1], mt[j + 2], mt[j + 3]
        xa, xb, xc, xd = x[j], x[j + 1], x[j + 2], x[j + 3]
        for i in range(width):
            out[i] += (a[i] * xa + b[i] * xb) + (c[i] * xc + d[i] * xd)
        j += 4
    while j < n:
        a, xa = mt[j], x[j]
        for i in range(width):
            out[i] += a[i] * xa
        j += 1


@njit(cache=True, nogil=True)
def slope(v: Array, slot: Array, t: float, v_floor: float) -> Array:
    """Return dI/dV of every slot [4, slot] by central differences: re/re, re/im, im/re, im/im."""
    m, step = slot.shape[1], 1e-6
    out, ahead, back, moved = np.empty((4, m)), np.empty(2 * m), np.empty(2 * m), v.copy()
    for part in range(2):
        for j in range(m):
            moved[part * m + j] = v[part * m + j] + step
        load_current(moved, slot, t, v_floor, ahead)
        for j in range(m):
            moved[part * m + j] = v[part * m + j] - step
        load_current(moved, slot, t, v_floor, back)
        for j in range(m):
            moved[part * m + j] = v[part * m + j]
            out[part, j] = (ahead[j] - back[j]) / (2.0 * step)
            out[2 + part, j] = (ahead[m + j] - back[m + j]) / (2.0 * step)
    return out


@njit(cache=True, nogil=True)
def _eliminate(lhs: Array, rhs: Array) -> None:
    """Solve a small dense system in place, with row pivoting (LAPACK would add seconds to the compilation)."""
    n = rhs.shape[0]
    for c in range(n):
        p = c
        for r in range(c + 1, n):
            if abs(lhs[r, c]) > abs(lhs[p, c]):
                p = r
        if p != c:
            for j in range(c, n):
                lhs[c, j], lhs[p, j] = lhs[p, j], lhs[c, j]
            rhs[c], rhs[p] = rhs[p], rhs[c]
        for r in range(c + 1, n):
            f = lhs[r, c] / lhs[c, c] if lhs[c, c] != 0.0 else np.inf
            for j in range(c, n):
                lhs[r, j] -= f * lhs[c, j]
            rhs[r] -= f * rhs[c]
    for c in range(n - 1, -1, -1):
        for j in range(c + 1, n):
            rhs[c] -= lhs[c, j] * rhs[j]
        rhs[c] = rhs[c] / lhs[c, c] if lhs[c, c] != 0.0 else np.inf


@njit(cache=True, nogil=True)
def newton(v: Array, base: Array, slot: Array, t: float, v_floor: float, cr: Array, jac: Array) -> float:
    """Solve the slot voltages where the linearisation is too far off; return the last change."""
    m = slot.shape[1]
    n, change = 2 * m, np.inf
    cur, rest, lhs, rhs = np.empty(n), np.empty(n), np.empty((n, n)), np.empty(n)
    away = False
    for j in range(n):
        away = away or not abs(v[j]) < 2.0
    for j in range(n):  # where the plain iteration has run away, start from the loads linearised
        v[j] = base[j] if away else v[j]
    for _ in range(20):
        load_current(v, slot, t, v_floor, cur)
        miss = slope(v, slot, t, v_floor)
        for r in range(4):
            for j in range(m):
                miss[r, j] -= jac[r, j]
        for j in range(m):
            rest[j] = cur[j] - jac[0, j] * v[j] - jac[1, j] * v[m + j]
            rest[m + j] = cur[m + j] - jac[2, j] * v[j] - jac[3, j] * v[m + j]
            rhs[j], rhs[m + j] = base[j] - v[j], base[m + j] - v[m + j]
        accumulate(cr, rest, rhs)
        for j in range(m):
            for i in range(n):
                lhs[i, j] = -cr[j, i] * miss[0, j] - cr[m + j, i] * miss[2, j]
                lhs[i, m + j] = -cr[j, i] * miss[1, j] - cr[m + j, i] * miss[3, j]
        for i in range(n):
            lhs[i, i] += 1.0
        _eliminate(lhs, rhs)
        change = 0.0
        for j in range(n):
            change += abs(rhs[j])
            v[j] += rhs[j]
        if not TOL <= change < 1e3:
            break
    return change


def real_form(c: NDArray[np.complex128]) -> Array:
    """Return a complex matrix as the real one that acts on [re; im]."""
    return np.block([[c.real, -c.imag], [c.imag, c.real]])


def transposed(c: NDArray[Any]) -> Array:
    """Return the transpose with contiguous rows, as the compiled loops read it."""
    return np.ascontiguousarray(c.T, np.float64)
