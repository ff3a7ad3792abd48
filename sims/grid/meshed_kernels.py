"""Newton's steps on one grid, compiled, and the way from all nodes to the solver's and back."""

from __future__ import annotations

import numpy as np
from numba import njit

MOST_STEPS = 20
STALE = 0.1
"""A step that leaves more of the mismatch than this asks for a new Jacobian."""
_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def begin(held, nodes, reference, v_ref, pv, vm, power, place, inv_base, v, s):  # type: ignore[no-untyped-def]
    """Write the start `v` and the injections `s` [pu] of the solver's nodes from those of all nodes.

    `held` are the voltages of all nodes, `power` what they inject [MVA]; `place` is a node's among the solver's, -1
    where it is dark. The slack starts at `v_ref`, those with a generator at its magnitude `vm`.
    """
    for i in range(nodes.size):
        v[i] = held[nodes[i]]
    v[reference] = v_ref
    for i in range(pv.size):
        v[pv[i]] *= vm[i] / abs(v[pv[i]])
    s[:] = 0.0
    for n in range(power.size):
        if place[n] >= 0:
            s[place[n]] += power[n] * inv_base


@njit(**_JIT)
def finish(v, place, root_of, roots, out):  # type: ignore[no-untyped-def]
    """Write the voltages of all nodes from the solver's `v` and the roots' own; return whether all are finite."""
    total = 0j
    for n in range(out.size):
        if root_of[n] >= 0:
            out[n] = roots[root_of[n]]
        elif place[n] >= 0:
            out[n] = v[place[n]]
        else:
            out[n] = 0.0
        total += out[n]
    return abs(total) < 1e300


@njit(**_JIT)
def factorise(first, rows, y, number, node, held, v, power, begin, row, diagonal, lu):  # type: ignore[no-untyped-def]
    """Write the block factors L U of the Jacobian at `v`, where the nodes inject `power` [pu], to `lu`.

    A block is how a node's active and reactive power follow a node's angle and the logarithm of its magnitude; where
    the magnitude is `held`, its equation says that it stays. Columns of Y stand in (`first`, `rows`, `y`), those of
    the factors in (`begin`, `row`, `lu`) in the order of elimination, `node` of a `number` and back. On the `diagonal`
    is the inverse.
    """
    w = np.zeros((node.size, 4))
    for j in range(node.size):
        for e in range(first[node[j]], first[node[j] + 1]):
            i = number[rows[e]]
            if i >= 0:
                s = v[rows[e]] * np.conj(y[e] * v[node[j]])
                w[i, 0], w[i, 1] = s.imag, s.real
                if not held[rows[e]]:
                    w[i, 2], w[i, 3] = -s.real, s.imag
        s = power[node[j]]
        w[j, 0] -= s.imag
        w[j, 1] += s.real
        w[j, 2] += s.real
        w[j, 3] += s.imag
        if held[node[j]]:
            w[j, 2], w[j, 3] = 0.0, 1.0
        for e in range(begin[j], diagonal[j]):
            k = row[e]
            a, b, c, d = w[k, 0], w[k, 1], w[k, 2], w[k, 3]
            lu[e, 0], lu[e, 1], lu[e, 2], lu[e, 3] = a, b, c, d
            w[k] = 0.0
            for q in range(diagonal[k] + 1, begin[k + 1]):
                i = row[q]
                w[i, 0] -= lu[q, 0] * a + lu[q, 1] * c
                w[i, 1] -= lu[q, 0] * b + lu[q, 1] * d
                w[i, 2] -= lu[q, 2] * a + lu[q, 3] * c
                w[i, 3] -= lu[q, 2] * b + lu[q, 3] * d
        part = 1.0 / (w[j, 0] * w[j, 3] - w[j, 1] * w[j, 2])
        a, b, c, d = w[j, 3] * part, -w[j, 1] * part, -w[j, 2] * part, w[j, 0] * part
        e = diagonal[j]
        lu[e, 0], lu[e, 1], lu[e, 2], lu[e, 3] = a, b, c, d
        w[j] = 0.0
        for e in range(diagonal[j] + 1, begin[j + 1]):
            i = row[e]
            lu[e, 0], lu[e, 1] = w[i, 0] * a + w[i, 1] * c, w[i, 0] * b + w[i, 1] * d
            lu[e, 2], lu[e, 3] = w[i, 2] * a + w[i, 3] * c, w[i, 2] * b + w[i, 3] * d
            w[i] = 0.0


@njit(**_JIT)
def follow(first, rows, y, number, node, held, begin, row, diagonal, lu, kept, s, tolerance, v):  # type: ignore[no-untyped-def]
    """Move `v` to where the nodes inject `s` [pu] by Newton steps; return how many, 0 if they do not lead there.

    The factors `lu` of a Jacobian that was `kept` serve as long as a step leaves a tenth of the mismatch. The last
    step is one more than the `tolerance` asks for, which wipes out where the search began.
    """
    m = node.size
    u, power, x = v.copy(), np.empty_like(v), np.empty((m, 2))
    before = np.inf
    for step in range(1, MOST_STEPS + 1):
        power[:] = 0.0
        for k in range(u.size):
            for e in range(first[k], first[k + 1]):
                power[rows[e]] += y[e] * u[k]
        worst = 0.0
        for k in range(u.size):
            power[k] = u[k] * np.conj(power[k])
        for k in range(m):
            left = s[node[k]] - power[node[k]]
            x[k, 0] = left.real
            x[k, 1] = 0.0 if held[node[k]] else left.imag
            worst = max(worst, abs(x[k, 0]), abs(x[k, 1]))
        if not worst < before:
            return 0
        if not kept or worst > STALE * before:
            factorise(first, rows, y, number, node, held, u, power, begin, row, diagonal, lu)
            kept = True
        for k in range(m):
            a, b = x[k, 0], x[k, 1]
            for e in range(diagonal[k] + 1, begin[k + 1]):
                x[row[e], 0] -= lu[e, 0] * a + lu[e, 1] * b
                x[row[e], 1] -= lu[e, 2] * a + lu[e, 3] * b
        for k in range(m - 1, -1, -1):
            e = diagonal[k]
            a, b = lu[e, 0] * x[k, 0] + lu[e, 1] * x[k, 1], lu[e, 2] * x[k, 0] + lu[e, 3] * x[k, 1]
            x[k, 0], x[k, 1] = a, b
            for e in range(begin[k], diagonal[k]):
                x[row[e], 0] -= lu[e, 0] * a + lu[e, 1] * b
                x[row[e], 1] -= lu[e, 2] * a + lu[e, 3] * b
            h = 0.5 * a  # Cayley's rotation: the angle to second order, and the magnitude stays
            u[node[k]] *= (1.0 + b) * complex(1.0 - h * h, 2.0 * h) / (1.0 + h * h)
        if worst < tolerance:
            v[:] = u
            return step
        before = worst
    return 0
