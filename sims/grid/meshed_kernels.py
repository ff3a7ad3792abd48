"""What stands around a Newton solution of one grid, compiled: from all nodes to the solver's and back."""

from __future__ import annotations

from numba import njit

_JIT = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**_JIT)
def begin(held, nodes, ref, v_ref, pv, vm, power, place, inv_base, v, s):  # type: ignore[no-untyped-def]
    """Write the start `v` and the injections `s` [pu] of the solver's nodes from those of all nodes.

    `held` are the voltages of all nodes, `power` what they inject [MVA]; `place` is a node's among the solver's, -1
    where it is dark. The slack starts at `v_ref`, those with a generator at its magnitude `vm`.
    """
    for i in range(nodes.size):
        v[i] = held[nodes[i]]
    v[ref[0]] = v_ref
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
