"""Compiled passes over the devices of a DSO: from devices to nodes, and from voltages back to devices."""

from __future__ import annotations

import numpy as np
from numba import njit

_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def pick(index, p, q, pu, qu, pf, avail, out):  # type: ignore[no-untyped-def]
    """Take one's own devices out of the columns of all, into the rows of `out`."""
    for i in range(index.shape[0]):
        k = index[i]
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i], out[5, i] = p[k], q[k], pu[k], qu[k], pf[k], avail[k]


@njit(**_JIT)
def to_nodes(node, curve_pu, curve_qu, curve_pf, p, q, pu, qu, pf, value, slope, p_f, p_node, q_node, pa, qa, pf_node):  # type: ignore[no-untyped-def]
    """Add up injections, amplitudes and slopes over frequency by node; `p_f` takes P at this frequency."""
    p_node[:], q_node[:], pa[:], qa[:], pf_node[:] = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(node.shape[0]):
        n, k = node[i], curve_pf[i]
        x = p[i] + (pf[i] * value[k] if k >= 0 else 0.0)
        p_f[i] = x
        p_node[n] += x
        q_node[n] += q[i]
        if k >= 0:
            pf_node[n] += pf[i] * slope[k]
        if curve_pu[i] >= 0:
            pa[n, curve_pu[i]] += pu[i]
        if curve_qu[i] >= 0:
            qa[n, curve_qu[i]] += qu[i]


@njit(**_JIT)
def feet(cx, cs, cy):  # type: ignore[no-untyped-def]
    """Return what every characteristic is where each of its segments begins; `cy` is what it begins with."""
    out = np.empty_like(cs)
    for c in range(cs.shape[0]):
        y = cy[c]
        for b in range(cs.shape[1]):
            out[c, b] = y
            y += cs[c, b] * (cx[c, b + 1] - cx[c, b])
    return out


@njit(**_JIT)
def curve_value(cx, cs, cf, c, u):  # type: ignore[no-untyped-def]
    """Return a piecewise-linear characteristic at `u`, from the foot of the segment where it lies."""
    b = 0
    for k in range(1, cs.shape[1]):  # counted, not searched: a wrong guess costs more than the sums
        b += u >= cx[c, k]
    return cf[c, b] + cs[c, b] * max(min(u, cx[c, b + 1]) - cx[c, b], 0.0)


@njit(**_JIT)
def at_frequency(cx, cs, cf, f_hz, h, value, slope):  # type: ignore[no-untyped-def]
    """Write every characteristic at `f_hz` and its slope over `h` to both sides; return whether any is new."""
    new = False
    for k in range(cf.shape[0]):
        y = curve_value(cx, cs, cf, k, f_hz)
        above, below = curve_value(cx, cs, cf, k, f_hz + h), curve_value(cx, cs, cf, k, f_hz - h)
        s = (above - below) / (2.0 * h)
        new |= not (y == value[k] and s == slope[k])
        value[k], slope[k] = y, s
    return new


@njit(**_JIT)
def at_devices(node, feeder, kind, source, curve_pu, curve_qu, p_f, q, pu, qu, avail, cx, cs, cf, vm, live, v_dev,  # type: ignore[no-untyped-def]
               p_real, q_real, p_node, q_node, avail_node, der_node, p_kind, avail_kind, dark):
    """Write what every device gives at the voltages `vm` [node], and its sums by node and by feeder and kind.

    `source` tells which kinds generate; `dark` takes what devices of the first kind miss [feeder].
    """
    p_node[:], q_node[:], avail_node[:], der_node[:] = 0.0, 0.0, 0.0, 0.0
    p_kind[:], avail_kind[:], dark[:] = 0.0, 0.0, 0.0
    for i in range(node.shape[0]):
        n, f, k = node[i], feeder[i], kind[i]
        avail_kind[f, k] += avail[i]
        if source[k]:
            avail_node[n] += avail[i]
        if not live[n]:
            v_dev[i], p_real[i], q_real[i] = 0.0, 0.0, 0.0
            if k == 0:
                dark[f] -= p_f[i]
            continue
        u, x, z = vm[n], p_f[i], q[i]
        c = curve_pu[i]
        if c >= 0 and pu[i] != 0.0:
            x += pu[i] * curve_value(cx, cs, cf, c, u)
        c = curve_qu[i]
        if c >= 0 and qu[i] != 0.0:
            z += qu[i] * curve_value(cx, cs, cf, c, u)
        v_dev[i], p_real[i], q_real[i] = u, x, z
        p_node[n] += x
        q_node[n] += z
        p_kind[f, k] += x
        if source[k]:
            der_node[n] += x


@njit(**_JIT)
def by_feeder(node_start, branch_start, vm, live, customers, loading, low, high, out, most):  # type: ignore[no-untyped-def]
    """Write lowest and highest voltage, customers without supply and highest loading of each feeder."""
    for f in range(low.shape[0]):
        low[f], high[f], out[f], most[f] = np.inf, -np.inf, 0.0, np.nan
        for n in range(node_start[f], node_start[f + 1]):
            if live[n]:
                low[f], high[f] = min(low[f], vm[n]), max(high[f], vm[n])
            else:
                out[f] += customers[n]
        for b in range(branch_start[f], branch_start[f + 1]):
            if not loading[b] <= most[f] and not np.isnan(loading[b]):
                most[f] = loading[b]
