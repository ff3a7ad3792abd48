"""Compiled sweep over blocks of feeders, and the reading of flows.

Nodes run in the outer loops, feeders in the innermost, where they become vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WORKSPACE = 49152
"""Numbers that the six arrays over one block of feeders may hold together: they stay in the second-level cache."""
_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def sweep(order, up, vary, ar, ai, br, bi, gr, gi, far, fai, fbr, fbi, fgr, fgi, n_roots, p, q, has_zip, pi, pz,  # type: ignore[no-untyped-def]
          qi, qz, root_r, root_i, vr, vi, tol, max_iter, ok, steps):
    """Solve all feeders by fixed point.

    Positions run over `order` (roots first); `up` is the parent's position. a = y_pk / d_k carries currents
    up, b = y_kp / d_k voltages down, g = 1 / d_k; where `vary` >= 0 they stand per feeder in f*.
    p, q are per unit, [node, feeder]; vr, vi hold the start, which is turned and scaled with the first root's voltage,
    and take the solution.
    """
    m = order.shape[0]
    width = p.shape[1]
    block = min(width, max(32, min(128, WORKSPACE // (6 * m) // 8 * 8)))
    w_vr, w_vi = np.empty((m, block)), np.empty((m, block))
    w_ir, w_ii = np.empty((m, block)), np.empty((m, block))
    w_p, w_q = np.empty((m, block)), np.empty((m, block))
    err, last = np.empty(block), np.empty(block)
    turn_r, turn_i = np.empty(block), np.empty(block)
    for j0 in range(0, width, block):
        w = min(block, width - j0)
        for j in range(w):
            a, b, c, d = root_r[0, j0 + j], root_i[0, j0 + j], vr[order[0], j0 + j], vi[order[0], j0 + j]
            inv = 1.0 / (c * c + d * d)
            turn_r[j], turn_i[j] = (a * c + b * d) * inv, (b * c - a * d) * inv
        for k in range(m):
            row = order[k]
            for j in range(w):
                a, b = vr[row, j0 + j], vi[row, j0 + j]
                w_vr[k, j], w_vi[k, j] = a * turn_r[j] - b * turn_i[j], a * turn_i[j] + b * turn_r[j]
                w_p[k, j], w_q[k, j] = p[row, j0 + j], q[row, j0 + j]
        for k in range(n_roots):
            for j in range(w):
                w_vr[k, j] = root_r[k, j0 + j]
                w_vi[k, j] = root_i[k, j0 + j]
        for k in range(n_roots, m):
            current(k, w, w_vr, w_vi, w_p, w_q, has_zip, order[k], j0, pi, pz, qi, qz, w_ir, w_ii)
        last[:] = 0.0
        done = False
        it = 0
        while it < max_iter and not done:
            it += 1
            err[:] = 0.0
            for k in range(m - 1, n_roots - 1, -1):
                u, f = up[k], vary[k]
                if u < n_roots:
                    continue
                if f < 0:
                    cr, ci = ar[k], ai[k]
                    for j in range(w):
                        w_ir[u, j] -= cr * w_ir[k, j] - ci * w_ii[k, j]
                        w_ii[u, j] -= cr * w_ii[k, j] + ci * w_ir[k, j]
                else:
                    for j in range(w):
                        cr, ci = far[f, j0 + j], fai[f, j0 + j]
                        w_ir[u, j] -= cr * w_ir[k, j] - ci * w_ii[k, j]
                        w_ii[u, j] -= cr * w_ii[k, j] + ci * w_ir[k, j]
            for k in range(n_roots, m):
                u, f = up[k], vary[k]
                if f < 0:
                    cr, ci, hr, hi = br[k], bi[k], gr[k], gi[k]
                    for j in range(w):
                        nr = hr * w_ir[k, j] - hi * w_ii[k, j] - cr * w_vr[u, j] + ci * w_vi[u, j]
                        ni = hr * w_ii[k, j] + hi * w_ir[k, j] - cr * w_vi[u, j] - ci * w_vr[u, j]
                        err[j] = max(err[j], (nr - w_vr[k, j]) ** 2 + (ni - w_vi[k, j]) ** 2)
                        w_vr[k, j], w_vi[k, j] = nr, ni
                else:
                    for j in range(w):
                        jj = j0 + j
                        cr, ci, hr, hi = fbr[f, jj], fbi[f, jj], fgr[f, jj], fgi[f, jj]
                        nr = hr * w_ir[k, j] - hi * w_ii[k, j] - cr * w_vr[u, j] + ci * w_vi[u, j]
                        ni = hr * w_ii[k, j] + hi * w_ir[k, j] - cr * w_vi[u, j] - ci * w_vr[u, j]
                        err[j] = max(err[j], (nr - w_vr[k, j]) ** 2 + (ni - w_vi[k, j]) ** 2)
                        w_vr[k, j], w_vi[k, j] = nr, ni
                current(k, w, w_vr, w_vi, w_p, w_q, has_zip, order[k], j0, pi, pz, qi, qz, w_ir, w_ii)
            done = True
            for j in range(w):
                now = np.sqrt(err[j])
                # What is still missing follows from the contraction: |dV| rho / (1 - rho).
                fine = now < 0.1 * tol
                if not fine and it > 1 and now < last[j]:
                    fine = now < tol and now * now / (last[j] - now) < 0.5 * tol
                ok[j0 + j] = fine
                done = done and fine
                last[j] = now
        for j in range(w):
            steps[j0 + j] = it
        for k in range(m):
            row = order[k]
            for j in range(w):
                vr[row, j0 + j] = w_vr[k, j]
                vi[row, j0 + j] = w_vi[k, j]
        for j in range(w):
            total = 0.0
            for k in range(m):
                total += w_vr[k, j] + w_vi[k, j]
            if not np.isfinite(total):
                ok[j0 + j] = False


@njit(inline="always", **_JIT)
def current(k, w, vr, vi, p, q, has_zip, row, j0, pi, pz, qi, qz, ir, ii):  # type: ignore[no-untyped-def]
    """Write the current that position `k` injects in the first `w` feeders of a block which begins at `j0`."""
    if has_zip:
        for j in range(w):
            a, b = vr[k, j], vi[k, j]
            u2 = a * a + b * b
            um = np.sqrt(u2)
            s = (p[k, j] + pi[row, j0 + j] * um + pz[row, j0 + j] * u2) / u2
            t = (q[k, j] + qi[row, j0 + j] * um + qz[row, j0 + j] * u2) / u2
            ir[k, j], ii[k, j] = s * a + t * b, s * b - t * a
    else:
        for j in range(w):
            a, b = vr[k, j], vi[k, j]
            inv = 1.0 / (a * a + b * b)
            s, t = p[k, j] * inv, q[k, j] * inv
            ir[k, j], ii[k, j] = s * a + t * b, s * b - t * a


@njit(**_JIT)
def branch_power(f, t, yr, yi, vr, vi, base, p_f, q_f, p_t, q_t):  # type: ignore[no-untyped-def]
    """Write the power entering every branch at both ends [MW, Mvar]; y rows are ff, ft, tf, tt."""
    for b in range(f.shape[0]):
        x, z = f[b], t[b]
        r0, r1, r2, r3 = yr[0, b], yr[1, b], yr[2, b], yr[3, b]
        i0, i1, i2, i3 = yi[0, b], yi[1, b], yi[2, b], yi[3, b]
        for j in range(vr.shape[1]):
            a, c, d, e = vr[x, j], vi[x, j], vr[z, j], vi[z, j]
            fr, fi = r0 * a - i0 * c + r1 * d - i1 * e, r0 * c + i0 * a + r1 * e + i1 * d
            tr, ti = r2 * a - i2 * c + r3 * d - i3 * e, r2 * c + i2 * a + r3 * e + i3 * d
            p_f[b, j], q_f[b, j] = (a * fr + c * fi) * base, (c * fr - a * fi) * base
            p_t[b, j], q_t[b, j] = (d * tr + e * ti) * base, (e * tr - d * ti) * base


@njit(**_JIT)
def branch_readings(f, t, yr, yi, rate_f, rate_t, vr, vi, base, p_f, q_f, loading, loss):  # type: ignore[no-untyped-def]
    """Write power at the from end [MW, Mvar] and loading [%] of every branch, and add up its losses by feeder."""
    for b in range(f.shape[0]):
        x, z = f[b], t[b]
        r0, r1, r2, r3 = yr[0, b], yr[1, b], yr[2, b], yr[3, b]
        i0, i1, i2, i3 = yi[0, b], yi[1, b], yi[2, b], yi[3, b]
        m, n = 1e4 / (rate_f[b] * rate_f[b]), 1e4 / (rate_t[b] * rate_t[b])
        for j in range(vr.shape[1]):
            a, c, d, e = vr[x, j], vi[x, j], vr[z, j], vi[z, j]
            fr, fi = r0 * a - i0 * c + r1 * d - i1 * e, r0 * c + i0 * a + r1 * e + i1 * d
            tr, ti = r2 * a - i2 * c + r3 * d - i3 * e, r2 * c + i2 * a + r3 * e + i3 * d
            p = (a * fr + c * fi) * base
            p_f[b, j], q_f[b, j] = p, (c * fr - a * fi) * base
            loss[j] += p + (d * tr + e * ti) * base
            u, w = (fr * fr + fi * fi) * m, (tr * tr + ti * ti) * n
            loading[b, j] = np.sqrt(u if u > w else w)


@njit(**_JIT)
def root_power(node, far, far_y, own_y, vr, vi, base, p, q):  # type: ignore[no-untyped-def]
    """Write the power that flows from a root into its branches and shunts [MW, Mvar] by feeder.

    `own_y` [feeder] and `far_y` [far node, feeder] carry its voltage and those of the `far` nodes to its current.
    """
    for j in range(vr.shape[1]):
        v = complex(vr[node, j], vi[node, j])
        i = own_y[j] * v
        for k in range(far.shape[0]):
            i += far_y[k, j] * complex(vr[far[k], j], vi[far[k], j])
        s = v * i.conjugate() * base
        p[j], q[j] = s.real, s.imag
