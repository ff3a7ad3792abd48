"""The small sums of the search for the steady frequency, compiled: each took a dozen calls on a handful of numbers."""

from __future__ import annotations

import numpy as np
from numba import njit

_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def power(k_mw_per_hz, fcr_mw, p_max_mw, p_set_mw, df_hz, running):  # type: ignore[no-untyped-def]
    """Return what each machine gives at the deviation `df_hz` [MW]; a droop gives no more than its reserve."""
    out = np.empty_like(k_mw_per_hz)
    for m in range(out.size):
        droop = min(max(-k_mw_per_hz[m] * df_hz, -fcr_mw[m]), fcr_mw[m])
        out[m] = min(max(p_set_mw[m] + droop, 0.0), p_max_mw[m]) * running[m]
    return out


@njit(**_JIT)
def slope(k_mw_per_hz, fcr_mw, p_max_mw, p_set_mw, df_hz, running):  # type: ignore[no-untyped-def]
    """Return what the machines that are at no limit give more per Hz that is missing [MW/Hz]."""
    total = 0.0
    for m in range(k_mw_per_hz.size):
        droop = -k_mw_per_hz[m] * df_hz
        if running[m] and abs(droop) <= fcr_mw[m] and 0.0 <= p_set_mw[m] + droop <= p_max_mw[m]:
            total += k_mw_per_hz[m]
    return total


@njit(**_JIT)
def consumed(load_node, load_mva, interface_node, boundary_mva, stepped_mva):  # type: ignore[no-untyped-def]
    """Return what loads, interfaces and what is stepped on draw at each node, [P | Q, node]."""
    out = np.zeros((2, stepped_mva.size))
    for k in range(load_node.size):
        out[0, load_node[k]] += load_mva[k].real
        out[1, load_node[k]] += load_mva[k].imag
    for k in range(interface_node.size):
        out[0, interface_node[k]] += boundary_mva[k].real
        out[1, interface_node[k]] += boundary_mva[k].imag
    for n in range(stepped_mva.size):
        out[0, n] += stepped_mva[n].real
        out[1, n] += stepped_mva[n].imag
    return out


@njit(**_JIT)
def answered(v_by_p, v_by_q, excess_by_p, excess_by_q, change_mva, v_pu, unseen):  # type: ignore[no-untyped-def]
    """Return voltages and excess once the interfaces draw `change_mva` more, with what else moves them `unseen`."""
    n = v_pu.size
    found, excess = v_pu + unseen[:n], unseen[n]
    for j in range(n):
        p, q = change_mva[j].real, change_mva[j].imag
        excess += excess_by_p[j] * p + excess_by_q[j] * q
        for i in range(n):
            found[i] += v_by_p[i, j] * p + v_by_q[i, j] * q
    return found, excess


@njit(**_JIT)
def newton(v_by_p, v_by_q, v_by_hz, excess_by_p, excess_by_q, per_pu, per_hz, stiffness, v_pu, found, excess):  # type: ignore[no-untyped-def]
    """Return the Newton step of the interfaces' voltages [pu] and, last, of the deviation [Hz].

    They draw `per_pu` and `per_hz` more; the grid answers as the other columns say, the `stiffness` its own.
    """
    n = v_pu.size
    jac, left = np.empty((n + 1, n + 1)), np.empty(n + 1)
    jac[n, n], left[n] = stiffness, -excess
    for j in range(n):
        a, b, c, d = per_pu[j].real, per_pu[j].imag, per_hz[j].real, per_hz[j].imag
        jac[n, j] = excess_by_p[j] * a + excess_by_q[j] * b
        jac[n, n] += (excess_by_p[j] - 1.0) * c + excess_by_q[j] * d
        jac[j, n], left[j] = v_by_hz[j], v_pu[j] - found[j]
        for i in range(n):
            jac[i, j] = v_by_p[i, j] * a + v_by_q[i, j] * b
        jac[j, j] -= 1.0
    for j in range(n):
        c, d = per_hz[j].real, per_hz[j].imag
        for i in range(n):
            jac[i, n] += v_by_p[i, j] * c + v_by_q[i, j] * d
    return np.linalg.solve(jac, left)
