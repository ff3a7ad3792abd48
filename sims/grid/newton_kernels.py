"""Compiled Newton's method on a tree, for injections that depend on voltage in any way.

Y V = conj(S(|V|) / V) is linearised exactly, as 2x2 blocks, and eliminated from the leaves to the roots, in
which order a tree fills nothing in. It costs more than a sweep and takes characteristics of any slope.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NARROW = 16
_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def curve_at(x, slope, y0, u):  # type: ignore[no-untyped-def]
    """Value and slope of a piecewise-linear characteristic at `u`."""
    y, s = y0, 0.0
    for b in range(slope.shape[0]):
        y += slope[b] * min(max(u - x[b], 0.0), x[b + 1] - x[b])
        if u >= x[b] and u < x[b + 1]:
            s = slope[b]
    return y, s


@njit(**_JIT)
def injection(c, row, j, u, p, q, has_zip, pi, pz, qi, qz, cx, cs, cy, active, pa, qa):  # type: ignore[no-untyped-def]
    """Write P, Q, dP/du, dQ/du of one node of one feeder at voltage magnitude `u` to `c`."""
    c[0], c[1], c[2], c[3] = p[row, j], q[row, j], 0.0, 0.0
    if has_zip:
        c[0] += (pi[row, j] + pz[row, j] * u) * u
        c[1] += (qi[row, j] + qz[row, j] * u) * u
        c[2] += pi[row, j] + 2.0 * pz[row, j] * u
        c[3] += qi[row, j] + 2.0 * qz[row, j] * u
    for h in range(cs.shape[0]):
        if active[h, row]:
            y, s = curve_at(cx[h], cs[h], cy[h], u)
            c[0] += pa[h, row, j] * y
            c[1] += qa[h, row, j] * y
            c[2] += pa[h, row, j] * s
            c[3] += qa[h, row, j] * s


@njit(**_JIT)
def newton_block(order, up, dr, di, ur, ui, lr, li, fdr, fdi, fur, fui, flr, fli, vary, n_roots, p, q, has_zip, pi, pz,  # type: ignore[no-untyped-def]
                 qi, qz, cx, cs, cy, active, pa, qa, root_r, root_i, vr, vi, tol, max_iter, ok, steps):
    """Solve all feeders by full Newton steps on the tree, in blocks; what it leaves, `newton` takes.

    d are the diagonal admittances, u = y_pk and l = y_kp, per unit; where `vary` >= 0 they stand per feeder
    in f*.
    """
    m = order.shape[0]
    width = p.shape[1]
    xr, xi = np.empty((m, NARROW)), np.empty((m, NARROW))
    i11, i12, i21, i22 = np.empty((m, NARROW)), np.empty((m, NARROW)), np.empty((m, NARROW)), np.empty((m, NARROW))
    cr, ci = np.empty((m, NARROW)), np.empty((m, NARROW))
    e_p, e_q, e_dp, e_dq, e_u = (np.empty(NARROW), np.empty(NARROW), np.empty(NARROW), np.empty(NARROW),
                                 np.empty(NARROW))
    err = np.empty(NARROW)
    busy = np.zeros(m, dtype=np.bool_)
    for k in range(m):
        for h in range(cs.shape[0]):
            busy[k] |= active[h, order[k]]
    for j0 in range(0, width, NARROW):
        w = min(NARROW, width - j0)
        for k in range(m):
            row = order[k]
            for j in range(w):
                xr[k, j], xi[k, j] = vr[row, j0 + j], vi[row, j0 + j]
        for k in range(n_roots):
            for j in range(w):
                xr[k, j], xi[k, j] = root_r[k, j0 + j], root_i[k, j0 + j]
        it = 0
        done = False
        while it < max_iter and not done:
            it += 1
            i11[:], i12[:], i21[:], i22[:], cr[:], ci[:] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(m - 1, n_roots - 1, -1):
                row, t, f = order[k], up[k], vary[k]
                for j in range(w):
                    e_p[j], e_q[j], e_dp[j], e_dq[j] = p[row, j0 + j], q[row, j0 + j], 0.0, 0.0
                if has_zip or busy[k]:
                    for j in range(w):
                        e_u[j] = np.sqrt(xr[k, j] * xr[k, j] + xi[k, j] * xi[k, j])
                if has_zip:
                    for j in range(w):
                        u = e_u[j]
                        e_p[j] += (pi[row, j0 + j] + pz[row, j0 + j] * u) * u
                        e_q[j] += (qi[row, j0 + j] + qz[row, j0 + j] * u) * u
                        e_dp[j] += pi[row, j0 + j] + 2.0 * pz[row, j0 + j] * u
                        e_dq[j] += qi[row, j0 + j] + 2.0 * qz[row, j0 + j] * u
                if busy[k]:
                    for h in range(cs.shape[0]):
                        if active[h, row]:
                            for j in range(w):
                                e_p[j] += pa[h, row, j0 + j] * cy[h]
                                e_q[j] += qa[h, row, j0 + j] * cy[h]
                            for b in range(cs.shape[1]):
                                x0, x1, s = cx[h, b], cx[h, b + 1], cs[h, b]
                                if s == 0.0:
                                    continue
                                for j in range(w):
                                    u = e_u[j]
                                    y = s * (min(max(u, x0), x1) - x0)
                                    z = s if (u >= x0) & (u < x1) else 0.0
                                    e_p[j] += pa[h, row, j0 + j] * y
                                    e_q[j] += qa[h, row, j0 + j] * y
                                    e_dp[j] += pa[h, row, j0 + j] * z
                                    e_dq[j] += qa[h, row, j0 + j] * z
                    for j in range(w):
                        e_dp[j] /= e_u[j]
                        e_dq[j] /= e_u[j]
                elif has_zip:
                    for j in range(w):
                        e_dp[j] /= e_u[j]
                        e_dq[j] /= e_u[j]
                for j in range(w):
                    a, b = xr[k, j], xi[k, j]
                    inv = 1.0 / (a * a + b * b)
                    g, h1 = e_p[j] * inv, e_q[j] * inv
                    gd, hd = (e_dp[j] - 2.0 * g) * inv, (e_dq[j] - 2.0 * h1) * inv
                    e, n = gd * a + hd * b, gd * b - hd * a
                    j11, j12, j21, j22 = g + a * e, h1 + b * e, a * n - h1, g + b * n
                    yr = dr[k] if f < 0 else fdr[f, j0 + j]
                    yi = di[k] if f < 0 else fdi[f, j0 + j]
                    m11, m12 = i11[k, j] + yr - j11, i12[k, j] - yi - j12
                    m21, m22 = i21[k, j] + yi - j21, i22[k, j] + yr - j22
                    cr[k, j] += g * a + h1 * b - j11 * a - j12 * b
                    ci[k, j] += g * b - h1 * a - j21 * a - j22 * b
                    inv = 1.0 / (m11 * m22 - m12 * m21)
                    i11[k, j], i12[k, j], i21[k, j], i22[k, j] = m22 * inv, -m12 * inv, -m21 * inv, m11 * inv
                if t < n_roots:
                    continue
                for j in range(w):
                    sr = ur[k] if f < 0 else fur[f, j0 + j]
                    si = ui[k] if f < 0 else fui[f, j0 + j]
                    zr = lr[k] if f < 0 else flr[f, j0 + j]
                    zi = li[k] if f < 0 else fli[f, j0 + j]
                    a, b, d, e = i11[k, j], i12[k, j], i21[k, j], i22[k, j]
                    q11, q12, q21, q22 = sr * a - si * d, sr * b - si * e, si * a + sr * d, si * b + sr * e
                    i11[t, j] -= q11 * zr + q12 * zi
                    i12[t, j] -= q12 * zr - q11 * zi
                    i21[t, j] -= q21 * zr + q22 * zi
                    i22[t, j] -= q22 * zr - q21 * zi
                    cr[t, j] -= q11 * cr[k, j] + q12 * ci[k, j]
                    ci[t, j] -= q21 * cr[k, j] + q22 * ci[k, j]
            err[:] = 0.0
            for k in range(n_roots, m):
                f, t = vary[k], up[k]
                for j in range(w):
                    zr = lr[k] if f < 0 else flr[f, j0 + j]
                    zi = li[k] if f < 0 else fli[f, j0 + j]
                    a = cr[k, j] - zr * xr[t, j] + zi * xi[t, j]
                    b = ci[k, j] - zr * xi[t, j] - zi * xr[t, j]
                    nr = i11[k, j] * a + i12[k, j] * b
                    ni = i21[k, j] * a + i22[k, j] * b
                    d = (nr - xr[k, j]) ** 2 + (ni - xi[k, j]) ** 2
                    err[j] = max(err[j], d)
                    xr[k, j] = nr
                    xi[k, j] = ni
            done = True
            for j in range(w):
                ok[j0 + j] = np.sqrt(err[j]) < tol
                done = done and ok[j0 + j]
        for j in range(w):
            steps[j0 + j] = it
            total = 0.0
            for k in range(m):
                total += xr[k, j] + xi[k, j]
            if not np.isfinite(total):
                ok[j0 + j] = False
        for k in range(m):
            row = order[k]
            for j in range(w):
                vr[row, j0 + j], vi[row, j0 + j] = xr[k, j], xi[k, j]


@njit(**_JIT)
def newton(order, up, pick, dr, di, ur, ui, lr, li, fdr, fdi, fur, fui, flr, fli, vary, n_roots, p, q, has_zip, pi,  # type: ignore[no-untyped-def]
           pz, qi, qz, cx, cs, cy, active, pa, qa, root_r, root_i, vr, vi, tol, max_iter, ok, steps):
    """Solve the feeders `pick` by Newton's method on the tree.

    d are the diagonal admittances, u = y_pk and l = y_kp, per unit; where `vary` >= 0 they stand per feeder
    in f*. From the sixth step on a step is halved until the current mismatch falls, because Newton's method
    may circle on a characteristic with kinks.
    """
    m = order.shape[0]
    xr, xi, tr, ti = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    i11, i12, i21, i22 = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    cr, ci, c = np.empty(m), np.empty(m), np.empty(4)
    for j in pick:
        for k in range(m):
            xr[k], xi[k] = vr[order[k], j], vi[order[k], j]
        for k in range(n_roots):
            xr[k], xi[k] = root_r[k, j], root_i[k, j]
        good = False
        it = 0
        while it < max_iter and not good:
            it += 1
            for k in range(n_roots, m):
                f = vary[k]
                a, b = xr[k], xi[k]
                w = a * a + b * b
                u = np.sqrt(w)
                injection(c, order[k], j, u, p, q, has_zip, pi, pz, qi, qz, cx, cs, cy, active, pa, qa)
                g, h = c[0] / w, c[1] / w
                gd = c[2] / (u * w) - 2.0 * g / w
                hd = c[3] / (u * w) - 2.0 * h / w
                e, n = gd * a + hd * b, gd * b - hd * a
                j11, j12, j21, j22 = g + a * e, h + b * e, a * n - h, g + b * n
                yr = dr[k] if f < 0 else fdr[f, j]
                yi = di[k] if f < 0 else fdi[f, j]
                i11[k], i12[k], i21[k], i22[k] = yr - j11, -yi - j12, yi - j21, yr - j22
                cr[k] = g * a + h * b - j11 * a - j12 * b
                ci[k] = g * b - h * a - j21 * a - j22 * b
            for k in range(m - 1, n_roots - 1, -1):
                det = i11[k] * i22[k] - i12[k] * i21[k]
                a, b, d, e = i22[k] / det, -i12[k] / det, -i21[k] / det, i11[k] / det
                i11[k], i12[k], i21[k], i22[k] = a, b, d, e
                t = up[k]
                if t < n_roots:
                    continue
                f = vary[k]
                sr = ur[k] if f < 0 else fur[f, j]
                si = ui[k] if f < 0 else fui[f, j]
                zr = lr[k] if f < 0 else flr[f, j]
                zi = li[k] if f < 0 else fli[f, j]
                q11, q12, q21, q22 = sr * a - si * d, sr * b - si * e, si * a + sr * d, si * b + sr * e
                i11[t] -= q11 * zr + q12 * zi
                i12[t] -= -q11 * zi + q12 * zr
                i21[t] -= q21 * zr + q22 * zi
                i22[t] -= -q21 * zi + q22 * zr
                cr[t] -= q11 * cr[k] + q12 * ci[k]
                ci[t] -= q21 * cr[k] + q22 * ci[k]
            big = 0.0
            for k in range(n_roots):
                tr[k], ti[k] = xr[k], xi[k]
            for k in range(n_roots, m):
                f, t = vary[k], up[k]
                zr = lr[k] if f < 0 else flr[f, j]
                zi = li[k] if f < 0 else fli[f, j]
                a = cr[k] - zr * tr[t] + zi * ti[t]
                b = ci[k] - zr * ti[t] - zi * tr[t]
                tr[k] = i11[k] * a + i12[k] * b
                ti[k] = i21[k] * a + i22[k] * b
                big = max(big, (tr[k] - xr[k]) ** 2 + (ti[k] - xi[k]) ** 2)
                if not np.isfinite(tr[k] + ti[k]):
                    big = np.inf
            if not np.isfinite(big):
                break
            good = np.sqrt(big) < tol
            part = 1.0
            if it > 5 and not good:
                before = -1.0
                for _ in range(12):
                    after = 0.0
                    for side in range(2):
                        if side == 0 and before >= 0.0:
                            continue
                        share = 0.0 if side == 0 else part
                        cr[:] = 0.0
                        ci[:] = 0.0
                        for k in range(m - 1, n_roots - 1, -1):
                            f, t = vary[k], up[k]
                            a, b = xr[k] + share * (tr[k] - xr[k]), xi[k] + share * (ti[k] - xi[k])
                            d, e = xr[t] + share * (tr[t] - xr[t]), xi[t] + share * (ti[t] - xi[t])
                            w = a * a + b * b
                            injection(c, order[k], j, np.sqrt(w), p, q, has_zip, pi, pz, qi, qz, cx, cs, cy, active,
                                      pa, qa)
                            yr = dr[k] if f < 0 else fdr[f, j]
                            yi = di[k] if f < 0 else fdi[f, j]
                            zr = lr[k] if f < 0 else flr[f, j]
                            zi = li[k] if f < 0 else fli[f, j]
                            sr = ur[k] if f < 0 else fur[f, j]
                            si = ui[k] if f < 0 else fui[f, j]
                            cr[k] += yr * a - yi * b + zr * d - zi * e - (c[0] * a + c[1] * b) / w
                            ci[k] += yr * b + yi * a + zr * e + zi * d - (c[0] * b - c[1] * a) / w
                            cr[t] += sr * a - si * b
                            ci[t] += sr * b + si * a
                            after += cr[k] * cr[k] + ci[k] * ci[k]
                        if side == 0:
                            before = after
                            after = 0.0
                    if after < before:
                        break
                    part *= 0.5
                if part < 1e-3:
                    # Stuck on a kink, where no step along this direction helps: step over it.
                    part = 0.4
            for k in range(n_roots, m):
                xr[k] += part * (tr[k] - xr[k])
                xi[k] += part * (ti[k] - xi[k])
        ok[j] = good
        steps[j] = it
        for k in range(m):
            vr[order[k], j], vi[order[k], j] = xr[k], xi[k]
