"""Compiled Newton's method on many trees of any shape side by side, and the reading of their branches.

Nodes stand tree by tree in the order from the root outwards, so that one pass up and one pass down solve the
linearised equations exactly: Y V = conj(S(|V|) / V) as 2x2 blocks, in which order a tree fills nothing in.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_JIT)
def gather(node_start, place, inv_base, p, q, pa, qa, pf, base_at, pa_at, qa_at, bent):  # type: ignore[no-untyped-def]
    """Bring injections [node] to the places of the solver, per unit, joined nodes summed and dark ones left out.

    `base_at` takes P, Q and the slope of P over frequency as rows; `bent` the first curve that counts, and the one
    after the last.
    """
    base_at[:], pa_at[:], qa_at[:] = 0.0, 0.0, 0.0
    bent[0], bent[1] = pa.shape[1], 0
    p_at, q_at, pf_at = base_at[0], base_at[1], base_at[2]
    for f in range(node_start.shape[0] - 1):
        inv = inv_base[f]
        for n in range(node_start[f], node_start[f + 1]):
            k = place[n]
            if k < 0:
                continue
            p_at[k] += p[n] * inv
            q_at[k] += q[n] * inv
            pf_at[k] += pf[n] * inv
            for h in range(pa.shape[1]):
                if pa[n, h] != 0.0 or qa[n, h] != 0.0:
                    pa_at[k, h] += pa[n, h] * inv
                    qa_at[k, h] += qa[n, h] * inv
                    bent[0, k], bent[1, k] = min(bent[0, k], h), max(bent[1, k], h + 1)


@njit(**_JIT)
def injected(k, u, p, q, pa, qa, bent, cx, cs, cy):  # type: ignore[no-untyped-def]
    """Return P, Q, dP/du, dQ/du of one place at voltage magnitude `u`; `bent` tells which curves count there."""
    s, z, ds, dz = p[k], q[k], 0.0, 0.0
    for h in range(bent[0, k], bent[1, k]):
        y, slope = cy[h], 0.0
        for i in range(cs.shape[1]):  # every segment, without asking which: a wrong guess costs more than the sums
            y += cs[h, i] * max(min(u, cx[h, i + 1]) - cx[h, i], 0.0)
            slope = cs[h, i] if u >= cx[h, i] else slope
        slope = slope if u < cx[h, cs.shape[1]] else 0.0
        a, b = pa[k, h], qa[k, h]
        s += a * y
        z += b * y
        ds += a * slope
        dz += b * slope
    return s, z, ds, dz


@njit(**_JIT)
def solve(first, count, up, links, fed, pa, qa, bent, cx, cs, cy, slack, dhz, started, state, work, tol, most, base,  # type: ignore[no-untyped-def]
          root, ok, steps):
    """Solve every tree from where it stood; write power at its root and how that follows |V| and frequency.

    Rows of `links` are real and imaginary parts of the diagonal admittances, of those that carry a place's voltage
    to the current of the one above, and of those the other way; `up` is -1 at roots. Rows of `fed` are P, Q and the
    slope of P over frequency. Rows of `state` are the voltages and their changes with the root's magnitude and with
    frequency, which the next start follows. `root` takes the power and its two slopes.
    """
    dr, di, ur, ui, lr, li = links[0], links[1], links[2], links[3], links[4], links[5]
    p, q, pf = fed[0], fed[1], fed[2]
    xr, xi, tr, ti, hr, hi = state[0], state[1], state[2], state[3], state[4], state[5]
    i11, i12, i21, i22, cr, ci = work[0], work[1], work[2], work[3], work[4], work[5]
    for f in range(first.shape[0]):
        k0, k1 = first[f], first[f] + count[f]
        if k1 == k0:
            continue
        n0 = k0
        while n0 < k1 and up[n0] < 0:
            n0 += 1
        sr, si = slack[f].real, slack[f].imag
        new = np.sqrt(sr * sr + si * si)
        if started[f]:
            old = np.sqrt(xr[k0] * xr[k0] + xi[k0] * xi[k0])
            step = new - old
            zr, zi = (sr * xr[k0] + si * xi[k0]) / (new * old), (si * xr[k0] - sr * xi[k0]) / (new * old)
            for k in range(n0, k1):
                a = xr[k] + tr[k] * step + hr[k] * dhz
                b = xi[k] + ti[k] * step + hi[k] * dhz
                xr[k], xi[k] = zr * a - zi * b, zr * b + zi * a
        for k in range(k0, n0):
            xr[k], xi[k] = sr, si
        fine, it = False, 0
        while it < most and not fine:
            it += 1
            for k in range(n0, k1):
                a, b = xr[k], xi[k]
                w = a * a + b * b
                u = np.sqrt(w)
                s, z, ds, dz = injected(k, u, p, q, pa, qa, bent, cx, cs, cy)
                inv = 1.0 / w
                g, h = s * inv, z * inv
                gd, hd = (ds / u - 2.0 * g) * inv, (dz / u - 2.0 * h) * inv
                e, n = gd * a + hd * b, gd * b - hd * a
                j11, j12, j21, j22 = g + a * e, h + b * e, a * n - h, g + b * n
                i11[k], i12[k], i21[k], i22[k] = dr[k] - j11, -di[k] - j12, di[k] - j21, dr[k] - j22
                cr[k] = g * a + h * b - j11 * a - j12 * b
                ci[k] = g * b - h * a - j21 * a - j22 * b
            for k in range(k1 - 1, n0 - 1, -1):
                m11, m12, m21, m22 = i11[k], i12[k], i21[k], i22[k]
                inv = 1.0 / (m11 * m22 - m12 * m21)
                a, b, d, e = m22 * inv, -m12 * inv, -m21 * inv, m11 * inv
                i11[k], i12[k], i21[k], i22[k] = a, b, d, e
                t = up[k]
                if t < n0:
                    continue
                vr, vi, zr, zi = ur[k], ui[k], lr[k], li[k]
                q11, q12, q21, q22 = vr * a - vi * d, vr * b - vi * e, vi * a + vr * d, vi * b + vr * e
                i11[t] -= q11 * zr + q12 * zi
                i12[t] -= q12 * zr - q11 * zi
                i21[t] -= q21 * zr + q22 * zi
                i22[t] -= q22 * zr - q21 * zi
                cr[t] -= q11 * cr[k] + q12 * ci[k]
                ci[t] -= q21 * cr[k] + q22 * ci[k]
            err = 0.0
            for k in range(n0, k1):
                t = up[k]
                a = cr[k] - lr[k] * xr[t] + li[k] * xi[t]
                b = ci[k] - lr[k] * xi[t] - li[k] * xr[t]
                vr, vi = i11[k] * a + i12[k] * b, i21[k] * a + i22[k] * b
                d = (vr - xr[k]) ** 2 + (vi - xi[k]) ** 2
                if not d <= err:
                    err = d
                xr[k], xi[k] = vr, vi
            fine = err < tol * tol
            if not np.isfinite(err):
                break
        ok[f], steps[f] = fine, it
        follow(k0, n0, k1, up, ur, ui, lr, li, pf, xr, xi, tr, ti, hr, hi, i11, i12, i21, i22, cr, ci, new)
        # power at the roots, less what is injected there itself, and its changes
        s0, s1, s2 = 0j, 0j, 0j
        for k in range(k0, n0):
            v, y = complex(xr[k], xi[k]), complex(dr[k], di[k])
            s, z, ds, dz = injected(k, new, p, q, pa, qa, bent, cx, cs, cy)
            s0 += v * (y * v).conjugate() - complex(s, z)
            s1 += 2.0 * new * y.conjugate() - complex(ds, dz)
            s2 -= pf[k]
        for k in range(n0, k1):
            t = up[k]
            if t >= n0:
                continue
            v = complex(xr[t], xi[t])
            dv = v / new
            y = complex(ur[k], ui[k])
            flow = (y * complex(xr[k], xi[k])).conjugate()
            s0 += v * flow
            s1 += dv * flow + v * (y * complex(tr[k], ti[k])).conjugate()
            s2 += v * (y * complex(hr[k], hi[k])).conjugate()
        root[0, f], root[1, f], root[2, f] = s0 * base[f], s1 * base[f], s2 * base[f]


@njit(**_JIT)
def follow(k0, n0, k1, up, ur, ui, lr, li, pf, xr, xi, tr, ti, hr, hi, i11, i12, i21, i22, cr, ci, mag):  # type: ignore[no-untyped-def]
    """Write how the voltages of one tree follow its root's magnitude (t) and the frequency (h).

    Both are one more right-hand side of the last linearisation, whose inverse blocks stand in i11 to i22.
    """
    moved = False
    for k in range(k0, n0):
        tr[k], ti[k], hr[k], hi[k] = xr[k] / mag, xi[k] / mag, 0.0, 0.0
    for k in range(n0, k1):
        w = xr[k] * xr[k] + xi[k] * xi[k]
        cr[k], ci[k] = pf[k] * xr[k] / w, pf[k] * xi[k] / w
        moved |= pf[k] != 0.0
        t = up[k]
        a, b = -lr[k] * tr[t] + li[k] * ti[t], -lr[k] * ti[t] - li[k] * tr[t]
        tr[k], ti[k] = i11[k] * a + i12[k] * b, i21[k] * a + i22[k] * b
    if not moved:
        hr[n0:k1] = 0.0
        hi[n0:k1] = 0.0
        return
    for k in range(k1 - 1, n0 - 1, -1):
        t = up[k]
        if t >= n0:
            a, b = i11[k] * cr[k] + i12[k] * ci[k], i21[k] * cr[k] + i22[k] * ci[k]
            cr[t] -= ur[k] * a - ui[k] * b
            ci[t] -= ur[k] * b + ui[k] * a
    for k in range(n0, k1):
        t = up[k]
        a = cr[k] - lr[k] * hr[t] + li[k] * hi[t]
        b = ci[k] - lr[k] * hi[t] - li[k] * hr[t]
        hr[k], hi[k] = i11[k] * a + i12[k] * b, i21[k] * a + i22[k] * b


@njit(**_JIT)
def scatter(first, node_start, place, xr, xi, alone, v):  # type: ignore[no-untyped-def]
    """Write the voltages of the places to the nodes [flat]; 0 on dark ones, feeders `alone` left as they are."""
    for f in range(first.shape[0]):
        if not alone[f]:
            for n in range(node_start[f], node_start[f + 1]):
                k = place[n]
                v[n] = complex(xr[k], xi[k]) if k >= 0 else 0j


@njit(**_JIT)
def read(branch_start, node_start, fr, to, y, rate_f, rate_t, shunt, base, v, flow, loading, loss):  # type: ignore[no-untyped-def]
    """Write power at the from end [MVA] and loading [%] of every branch, and each feeder's losses [MW]."""
    for f in range(base.shape[0]):
        total = 0.0
        for n in range(node_start[f], node_start[f + 1]):
            total += shunt[n] * (v[n].real ** 2 + v[n].imag ** 2)
        for b in range(branch_start[f], branch_start[f + 1]):
            vf, vt = v[fr[b]], v[to[b]]
            i_f, i_t = y[0, b] * vf + y[1, b] * vt, y[2, b] * vf + y[3, b] * vt
            s = vf * i_f.conjugate()
            flow[b] = s * base[f]
            total += s.real + vt.real * i_t.real + vt.imag * i_t.imag
            u = (i_f.real**2 + i_f.imag**2) / (rate_f[b] * rate_f[b])
            w = (i_t.real**2 + i_t.imag**2) / (rate_t[b] * rate_t[b])
            loading[b] = 100.0 * np.sqrt(u if u > w else w)
        loss[f] = total * base[f]
