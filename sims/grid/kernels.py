"""Compiled sweep over blocks of feeders, and the reading of flows.

Nodes run in the outer loops, feeders in the innermost, where they become vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 32
_JIT = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**_JIT)
def sweep(order, up, vary, ar, ai, br, bi, gr, gi, far, fai, fbr, fbi, fgr, fgi, n_roots, p, q, has_zip, pi, pz,  # type: ignore[no-untyped-def]
          qi, qz, root_r, root_i, vr, vi, tol, max_iter, ok, steps):
    """Solve all feeders by fixed point.

    Positions run over `order` (roots first); `up` is the parent's position. a = y_pk / d_k carries currents
    up, b = y_kp / d_k voltages down, g = 1 / d_k; where `vary` >= 0 they stand per feeder in f*.
    p, q are per unit, [node, feeder]; vr, vi hold the start and take the solution.
    """
    m = order.shape[0]
    width = p.shape[1]
    w_vr, w_vi = np.empty((m, BLOCK)), np.empty((m, BLOCK))
    w_ir, w_ii = np.empty((m, BLOCK)), np.empty((m, BLOCK))
    err, last = np.empty(BLOCK), np.empty(BLOCK)
    for j0 in range(0, width, BLOCK):
        w = min(BLOCK, width - j0)
        for k in range(m):
            row = order[k]
            for j in range(w):
                w_vr[k, j] = vr[row, j0 + j]
                w_vi[k, j] = vi[row, j0 + j]
        for k in range(n_roots):
            for j in range(w):
                w_vr[k, j] = root_r[k, j0 + j]
                w_vi[k, j] = root_i[k, j0 + j]
        last[:] = 0.0
        w_ir[:] = 0.0
        w_ii[:] = 0.0
        done = False
        it = 0
        while it < max_iter and not done:
            it += 1
            err[:] = 0.0
            for k in range(m - 1, n_roots - 1, -1):
                row, u, f = order[k], up[k], vary[k]
                if has_zip:
                    for j in range(w):
                        a, b = w_vr[k, j], w_vi[k, j]
                        u2 = a * a + b * b
                        um = np.sqrt(u2)
                        s = (p[row, j0 + j] + pi[row, j0 + j] * um + pz[row, j0 + j] * u2) / u2
                        t = (q[row, j0 + j] + qi[row, j0 + j] * um + qz[row, j0 + j] * u2) / u2
                        w_ir[k, j] += s * a + t * b
                        w_ii[k, j] += s * b - t * a
                else:
                    for j in range(w):
                        a, b = w_vr[k, j], w_vi[k, j]
                        inv = 1.0 / (a * a + b * b)
                        s, t = p[row, j0 + j] * inv, q[row, j0 + j] * inv
                        w_ir[k, j] += s * a + t * b
                        w_ii[k, j] += s * b - t * a
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
                u = up[k]
                f = vary[k]
                if f < 0:
                    cr, ci, hr, hi = br[k], bi[k], gr[k], gi[k]
                    for j in range(w):
                        nr = hr * w_ir[k, j] - hi * w_ii[k, j] - cr * w_vr[u, j] + ci * w_vi[u, j]
                        ni = hr * w_ii[k, j] + hi * w_ir[k, j] - cr * w_vi[u, j] - ci * w_vr[u, j]
                        d = (nr - w_vr[k, j]) ** 2 + (ni - w_vi[k, j]) ** 2
                        err[j] = max(err[j], d)
                        w_vr[k, j] = nr
                        w_vi[k, j] = ni
                        w_ir[k, j] = 0.0
                        w_ii[k, j] = 0.0
                else:
                    for j in range(w):
                        jj = j0 + j
                        cr, ci, hr, hi = fbr[f, jj], fbi[f, jj], fgr[f, jj], fgi[f, jj]
                        nr = hr * w_ir[k, j] - hi * w_ii[k, j] - cr * w_vr[u, j] + ci * w_vi[u, j]
                        ni = hr * w_ii[k, j] + hi * w_ir[k, j] - cr * w_vi[u, j] - ci * w_vr[u, j]
                        d = (nr - w_vr[k, j]) ** 2 + (ni - w_vi[k, j]) ** 2
                        err[j] = max(err[j], d)
                        w_vr[k, j] = nr
                        w_vi[k, j] = ni
                        w_ir[k, j] = 0.0
                        w_ii[k, j] = 0.0
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
