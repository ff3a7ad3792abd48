"""Compiled loops of the control desk: a factorised network, its power flow, and the estimate of a feeder.

A factorisation is handed over as Pr A Pc = L U with L and U by columns (start, row, value), each column
sorted by row, so that L's diagonal stands first and U's last.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def solve(lu, b, x):  # type: ignore[no-untyped-def]
    """Write the solution of A x = b into `x` (which may not be `b`)."""
    l_start, l_row, l_value, u_start, u_row, u_value, perm_r, perm_c = lu
    n = b.shape[0]
    w = np.empty(n, dtype=np.complex128)
    for i in range(n):
        w[perm_r[i]] = b[i]
    for j in range(n):
        w_j = w[j]
        for k in range(l_start[j] + 1, l_start[j + 1]):
            w[l_row[k]] -= l_value[k] * w_j
    for j in range(n - 1, -1, -1):
        last = u_start[j + 1] - 1
        w_j = w[j] / u_value[last]
        w[j] = w_j
        for k in range(u_start[j], last):
            w[u_row[k]] -= u_value[k] * w_j
    for i in range(n):
        x[i] = w[perm_c[i]]


@njit(**_JIT)
def solve_transposed(lu, b, x):  # type: ignore[no-untyped-def]
    """Write the solution of A' x = b (transposed, not conjugated) into `x`."""
    l_start, l_row, l_value, u_start, u_row, u_value, perm_r, perm_c = lu
    n = b.shape[0]
    w = np.empty(n, dtype=np.complex128)
    for i in range(n):
        w[perm_c[i]] = b[i]
    for j in range(n):
        last = u_start[j + 1] - 1
        total = w[j]
        for k in range(u_start[j], last):
            total -= u_value[k] * w[u_row[k]]
        w[j] = total / u_value[last]
    for j in range(n - 1, -1, -1):
        total = w[j]
        for k in range(l_start[j] + 1, l_start[j + 1]):
            total -= l_value[k] * w[l_row[k]]
        w[j] = total
    for i in range(n):
        x[i] = w[perm_r[i]]


@njit(**_JIT)
def step(lu, idle, s, v, new):  # type: ignore[no-untyped-def]
    """Write one fixed-point step of V = idle + Z conj(S / V) into `new`; return the largest change [pu]."""
    n = s.shape[0]
    current = np.empty(n, dtype=np.complex128)
    for i in range(n):
        current[i] = np.conj(s[i] / v[i])
    solve(lu, current, new)
    largest = 0.0
    for i in range(n):
        new[i] += idle[i]
        change = new[i] - v[i]
        size = change.real * change.real + change.imag * change.imag
        if not size <= largest:  # nan counts as a change
            largest = size
    return np.sqrt(largest)


@njit(**_JIT)
def flow(lu, idle, s, v, tolerance, most):  # type: ignore[no-untyped-def]
    """Bring `v` [free] to the power flow of injections `s`; return whether it converged."""
    other = np.empty_like(v)
    for _ in range(most):
        change = step(lu, idle, s, v, other)
        v[:] = other
        if change < tolerance:
            return True
        if not change < 2.0:
            return False
    return False


@njit(**_JIT)
def gauss_newton(lu, w, share, y_aa, y_af, feed_anchor, feed_part, feed_y, at, flow_anchor, r0, r, common,  # type: ignore[no-untyped-def]
                 m_inv, s0, s_anchor0, v_busbar, z, v_f, dx, y, Hd, v_hv, tolerance, most):
    """Iterate x = x0 + R0 H' y, y = (H R0 H' + R)^-1 (z - h(x) + H (x - x0)) until the state rests.

    The rows of H that belong to voltages are those of Z, so that products with H' are solves with the
    factorised network. `v_f` comes with the start and leaves with the voltages; `dx`, `y`, `Hd` and `v_hv`
    take the results. Returns whether the state came to rest.
    """
    nf, na, nv, ns = s0.shape[0], v_busbar.shape[0], at.shape[0], flow_anchor.shape[0]
    nx, m, causes = dx.shape[0], z.shape[0], common.shape[1]
    s_f, s_a, v_a = s0.copy(), s_anchor0.copy(), v_busbar.astype(np.complex128)
    idle, once = np.empty(nf, dtype=np.complex128), np.empty(nf, dtype=np.complex128)
    weight, pulled = np.empty(nf, dtype=np.complex128), np.empty(nf, dtype=np.complex128)
    current, total = np.empty(na, dtype=np.complex128), np.empty(na, dtype=np.complex128)
    innovation, pull, load = np.empty(m), np.empty(nx), np.empty(causes)
    dx[:] = 0.0
    Hd[:] = 0.0
    rested = False
    for _ in range(most):
        for i in range(nf):
            idle[i] = 0.0
            for a in range(na):
                idle[i] += w[i, a] * v_a[a]
        step(lu, idle, s_f, v_f, once)
        step(lu, idle, s_f, once, v_f)
        for a in range(na):
            current[a] = -np.conj(s_a[a] / v_a[a])
            for b in range(na):
                current[a] += y_aa[a, b] * v_a[b]
            for i in range(nf):
                current[a] += y_af[a, i] * v_f[i]
            total[a] = 0.0
        for k in range(feed_anchor.shape[0]):
            a = feed_anchor[k]
            v_hv[k] = (-current[a] * feed_part[k] - feed_y[3, k] * v_a[a]) / feed_y[2, k]
            total[a] += v_hv[k] * np.conj(feed_y[0, k] * v_hv[k] + feed_y[1, k] * v_a[a])
        for i in range(nv):
            innovation[i] = z[i] - np.abs(v_f[at[i]]) + Hd[i]
        for k in range(ns):
            a = flow_anchor[k]
            innovation[nv + k] = z[nv + k] - total[a].real + Hd[nv + k]
            innovation[nv + ns + k] = z[nv + ns + k] - total[a].imag + Hd[nv + ns + k]
        y[:] = 0.0
        for j in range(m):
            for i in range(m):
                y[i] += m_inv[j, i] * innovation[j]
        # What y pulls at the state, H'y: voltages through the network, flows by their shares.
        pull[:] = 0.0
        if nv:
            weight[:] = 0.0
            for i in range(nv):
                weight[at[i]] += y[i]
            solve_transposed(lu, weight, pulled)
            for i in range(nf):
                pull[i], pull[nf + i] = pulled[i].real, pulled[i].imag
            for i in range(nv):
                for a in range(na):
                    pull[2 * nf + a] += share[at[i], a] * y[i]
        for k in range(ns):
            a, p, q = flow_anchor[k], y[nv + k], y[nv + ns + k]
            for i in range(nf):
                pull[i] -= share[i, a] * p
                pull[nf + i] -= share[i, a] * q
            pull[2 * nf + na + a] -= p
            pull[2 * nf + 2 * na + a] -= q
        load[:] = 0.0
        for x in range(nx):
            for c in range(causes):
                load[c] += common[x, c] * pull[x]
        moved = 0.0
        for x in range(nx):
            new = r0[x] * pull[x]
            for c in range(causes):
                new += common[x, c] * load[c]
            change = np.abs(new - dx[x])
            if not change <= moved:
                moved = change
            dx[x] = new
        for i in range(m):
            Hd[i] = innovation[i] - r[i] * y[i]
        for i in range(nf):
            s_f[i] = s0[i] + complex(dx[i], dx[nf + i])
        for a in range(na):
            v_a[a] = v_busbar[a] + dx[2 * nf + a]
            s_a[a] = s_anchor0[a] + complex(dx[2 * nf + na + a], dx[2 * nf + 2 * na + a])
        if moved < tolerance:
            rested = True
            break
    for i in range(nf):
        idle[i] = 0.0
        for a in range(na):
            idle[i] += w[i, a] * v_a[a]
    step(lu, idle, s_f, v_f, once)
    v_f[:] = once
    return rested


@njit(**_JIT)
def estimated(lu, w, share, y_aa, y_af, free, anchor, rep, live, feed_anchor, feed_part, feed_y, at, flow_anchor,  # type: ignore[no-untyped-def]
              r0, r, common, m_inv, known, v_busbar, z, v, s, y, v_hv, tolerance, most):
    """Bring `v` [node] to the estimate, its content being the start where all of it is live.

    `s` [node], `y` [measurement] and `v_hv` [feed] take the results. Returns whether the state came to rest at
    finite voltages, and the sum of squared weighted residuals.
    """
    nf, na, n = free.shape[0], anchor.shape[0], known.shape[0]
    s_node = np.zeros(n, dtype=np.complex128)
    for i in range(n):
        s_node[rep[i]] += known[i]
    s0, s_anchor, v_f = s_node[free], s_node[anchor], v[free]
    warm = True
    for i in range(nf):
        warm = warm and v_f[i] != 0.0
    if not warm:
        for i in range(nf):
            v_f[i] = 0.0
            for a in range(na):
                v_f[i] += w[i, a] * v_busbar[a]
    dx, Hd = np.zeros(r0.shape[0]), np.zeros(z.shape[0])
    rested = gauss_newton(
        lu, w, share, y_aa, y_af, feed_anchor, feed_part, feed_y, at, flow_anchor, r0, r, common, m_inv, s0, s_anchor,
        v_busbar, z, v_f, dx, y, Hd, v_hv, tolerance, most,
    )
    s[:] = known
    at_rep = np.zeros(n, dtype=np.complex128)
    for a in range(na):
        s[anchor[a]] += complex(dx[2 * nf + na + a], dx[2 * nf + 2 * na + a])
        at_rep[anchor[a]] = v_busbar[a] + dx[2 * nf + a]
    for i in range(nf):
        s[free[i]] += complex(dx[i], dx[nf + i])
        at_rep[free[i]] = v_f[i]
    for i in range(n):
        v[i] = at_rep[rep[i]] if live[i] else 0.0
        rested = rested and np.isfinite(v[i].real) and np.isfinite(v[i].imag)
    # At the optimum y = R^-1 (z - h), and dx' R0^-1 dx = y' H dx; y is 0 where a measurement is left out.
    objective = 0.0
    for i in range(z.shape[0]):
        objective += y[i] * (y[i] * r[i] + Hd[i])
    return rested, objective


@njit(**_JIT)
def ages(node_ms, v, now_ms, edges_ms, used, out):  # type: ignore[no-untyped-def]
    """Write into `out` [node] what a gain depends on: the class of age of what was told of each node.

    It counts the `edges_ms` that the age is beyond; 16 is added where the voltage may be used, which it may while
    that is below `used`; it is -1 for what was never heard of.
    """
    for i in range(v.shape[0]):
        if node_ms[i] < 0:
            out[i] = -1
            continue
        age = 0
        while age < edges_ms.shape[0] and now_ms - node_ms[i] > edges_ms[age]:
            age += 1
        out[i] = age + 16 if age < used and v[i] > 0.5 else age


@njit(**_JIT)
def raised(lu, w, z_feed, free, anchor, v, q, out):  # type: ignore[no-untyped-def]
    """Write into `out` [free] by how much reactive power `q` [node] raises the voltages, busbars moving [pu]."""
    nf, na = free.shape[0], anchor.shape[0]
    current, moved = np.empty(nf, dtype=np.complex128), np.empty(nf, dtype=np.complex128)
    for i in range(nf):
        current[i] = np.conj(1j * q[free[i]] / v[free[i]])
    solve(lu, current, moved)
    for a in range(na):
        lift = np.conj(1j * q[anchor[a]] / v[anchor[a]])
        for i in range(nf):
            lift += w[i, a] * current[i]
        lift *= z_feed[a]
        for i in range(nf):
            moved[i] += w[i, a] * lift
    for i in range(nf):
        at = v[free[i]]
        out[i] = (np.conj(at / np.abs(at)) * moved[i]).real


@njit(**_JIT)
def room(lu, w, z_feed, free, anchor, v, node, given, lower, upper, v_low, v_high):  # type: ignore[no-untyped-def]
    """Return the shares of `lower` and `upper` that the voltages leave room for, reactive powers [device] [pu].

    Both are seen from what the voltages would be without what is `given` already [device] [pu].
    """
    nf = free.shape[0]
    idle, change, q = np.empty(nf), np.empty(nf), np.zeros(v.shape[0])
    for i in range(node.shape[0]):
        q[node[i]] += given[i]
    raised(lu, w, z_feed, free, anchor, v, q, idle)
    for i in range(nf):
        idle[i] = np.abs(v[free[i]]) - idle[i]
    share = np.ones(2)
    for k in range(2):
        bound, sign = (lower, -1.0) if k == 0 else (upper, 1.0)
        q[:] = 0.0
        for i in range(node.shape[0]):
            q[node[i]] += bound[i]
        raised(lu, w, z_feed, free, anchor, v, q, change)
        for i in range(nf):
            if sign * change[i] > 1e-9:
                headroom = v_high - idle[i] if k else idle[i] - v_low
                share[k] = min(share[k], max(headroom, 0.0) / (sign * change[i]))
    return share


@njit(**_JIT)
def loading(row, f, t, y, limit, v, out):  # type: ignore[no-untyped-def]
    """Write into `out` [branch] the loading of branches `row` [%], the larger of both ends."""
    for k in range(row.shape[0]):
        v_f, v_t = v[f[k]], v[t[k]]
        i_f, i_t = np.abs(y[0, k] * v_f + y[1, k] * v_t), np.abs(y[2, k] * v_f + y[3, k] * v_t)
        out[row[k]] = 100.0 * max(i_f, i_t) / limit[row[k]]


@njit(**_JIT)
def extremes(v, at):  # type: ignore[no-untyped-def]
    """Return the lowest and the highest magnitude of `v` at nodes `at`; inf and 0 where there are none."""
    low, high = np.inf, 0.0
    for i in range(at.shape[0]):
        size = np.abs(v[at[i]])
        low, high = min(low, size), max(high, size)
    return low, high
