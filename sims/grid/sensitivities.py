"""What a small injection does: voltages, branch flows, and the grid seen from a node or from its root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import bmat, diags
from scipy.sparse.linalg import splu

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.parts import ComplexArray, FloatArray, IntArray
from sims.grid.ring import nodal_matrix


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """First-order effects of injections at one operating point, injections of constant power.

    Columns are the nodes injected at, rows what answers. Roots and dark nodes neither act nor answer: 0.

    Parameters
    ----------
    du_dp, du_dq : ndarray [node, node]
        Voltage magnitude per injection [pu/MW], [pu/Mvar].
    dp_dp, dp_dq : ndarray [branch, node]
        Active power entering the branch at its from end per injection [MW/MW], [MW/Mvar].
    dq_dp, dq_dq : ndarray [branch, node]
        Reactive power there [Mvar/MW], [Mvar/Mvar].
    di_dp, di_dq : ndarray [branch, node]
        Current magnitude at the more loaded end per injection, in percent of its rating [%/MW], [%/Mvar].
    """

    du_dp: FloatArray
    du_dq: FloatArray
    dp_dp: FloatArray
    dp_dq: FloatArray
    dq_dp: FloatArray
    dq_dq: FloatArray
    di_dp: FloatArray
    di_dq: FloatArray


def sensitivities(
    compiled: CompiledNet, v: ComplexArray, slots: ArrayLike | None = None, held: IntArray | None = None
) -> Sensitivities:
    """Differentiate the power flow at the operating point `v`.

    The nodal equations conj(V) (Y V) = conj(S) are linearised in rectangular coordinates; for `held` nodes
    (voltage-controlled) the reactive equation gives way to a constant magnitude.

    Parameters
    ----------
    compiled : CompiledNet
    v : ndarray of complex [node]
        Solved voltages [pu].
    slots : array_like of int [transformer], optional
        Tap slots (position minus lowest position); those of the net by default.
    held : ndarray of int, optional
        Nodes whose magnitude is held by generators.

    Raises
    ------
    GridError
        `v` is not a solved operating point (NaN or 0 on a live node), or the point is singular.
    """
    net = compiled
    at = np.asarray(v, dtype=np.complex128)
    if at.shape != (net.n_nodes,):
        raise GridError(f"net {net.name}: operating point has shape {at.shape}, needs [node] = ({net.n_nodes},)")
    if not np.isfinite(at[net.live]).all() or (np.abs(at[net.live]) < 1e-6).any():
        raise GridError(f"net {net.name}: the operating point is not solved: NaN or zero voltage on a live node")
    y = nodal_matrix(net, _slots(net, slots))
    free = net.order[~np.isin(net.order, net.rep[net.roots])]
    u = at[free]
    n = len(free)
    current = (y @ np.where(net.rep == np.arange(net.n_nodes), at, 0.0))[free]
    yff = y[free][:, free]
    # S = V conj(I): dS = diag(conj I) dV + diag(V) conj(Y dV), with dV = e + j f.
    along = diags(current.conj()) + diags(u) @ yff.conj()
    across = 1j * diags(current.conj()) - 1j * (diags(u) @ yff.conj())
    upper = bmat([[along.real, across.real]], format="csr")
    lower = bmat([[along.imag, across.imag]], format="lil")
    fixed = np.zeros(n, dtype=bool)
    if held is not None and len(held):
        fixed = np.isin(free, net.rep[np.asarray(held, dtype=np.int64)])
        for k in np.nonzero(fixed)[0]:
            lower[k] = 0.0
            lower[k, k], lower[k, n + k] = u[k].real, u[k].imag
    try:
        lu = splu(bmat([[upper], [lower.tocsr()]], format="csc"))
    except RuntimeError as err:
        raise GridError(f"net {net.name}: the operating point is singular, at the limit of what the grid carries") \
            from err
    right = np.eye(2 * n) / net.base_mva
    right[n + np.nonzero(fixed)[0], n + np.nonzero(fixed)[0]] = 0.0
    answer = lu.solve(right)
    dv = np.zeros((2, net.n_nodes, net.n_nodes), dtype=np.complex128)
    move = answer[:n] + 1j * answer[n:]
    dv[0][np.ix_(free, free)], dv[1][np.ix_(free, free)] = move[:, :n], move[:, n:]
    dv = dv[:, net.rep][:, :, net.rep]
    dv[:, ~net.live] = 0.0
    dv[:, :, ~net.live] = 0.0
    mag = np.where(np.abs(at) > 0, np.abs(at), 1.0)
    du = (at.conj()[:, None] * dv).real / mag[:, None]
    return Sensitivities(du[0], du[1], *_branches(net, at, dv, _slots(net, slots)))


def _slots(net: CompiledNet, slots: ArrayLike | None) -> IntArray:
    if slots is None:
        return np.array([t.initial - int(t.positions[0]) for t in net.taps], dtype=np.int64)
    return np.asarray(slots, dtype=np.int64)


def _branches(net: CompiledNet, v: ComplexArray, dv: ComplexArray, slots: IntArray) -> list[FloatArray]:
    from_y = np.array([net.y_ff, net.y_ft, net.y_tf, net.y_tt])
    for tap, slot in zip(net.taps, slots, strict=True):
        for r, branch in enumerate(tap.branches):
            if net.joined[branch]:
                from_y[:, branch] = tap.y[r][:, slot]
    f, t = net.branch_from, net.branch_to
    i_f, i_t = from_y[0] * v[f] + from_y[1] * v[t], from_y[2] * v[f] + from_y[3] * v[t]
    load = np.array([np.abs(i_f) / net.rating_from, np.abs(i_t) / net.rating_to])
    at_from = ~(load[1] > load[0])
    out: list[FloatArray] = [np.zeros((net.n_branches, net.n_nodes)) for _ in range(6)]
    for k in (0, 1):
        d_f = from_y[0][:, None] * dv[k][f] + from_y[1][:, None] * dv[k][t]
        d_t = from_y[2][:, None] * dv[k][f] + from_y[3][:, None] * dv[k][t]
        ds = (dv[k][f] * i_f.conj()[:, None] + v[f][:, None] * d_f.conj()) * net.base_mva
        out[k], out[2 + k] = ds.real, ds.imag
        i, d = np.where(at_from, i_f, i_t), np.where(at_from[:, None], d_f, d_t)
        size = np.where(np.abs(i) > 0, np.abs(i), 1.0)
        rating = np.where(at_from, net.rating_from, net.rating_to)
        out[4 + k] = 100.0 * (i.conj()[:, None] * d).real / (size * rating)[:, None]
    return out


def source_impedance(compiled: CompiledNet, slots: ArrayLike | None = None) -> ComplexArray:
    """Return z_kk [node] [pu]: the impedance between each node and the roots held at constant voltage.

    The diagonal of the inverse of Y without the roots; 0 at roots, NaN on dark nodes.
    """
    net = compiled
    free = net.order[~np.isin(net.order, net.rep[net.roots])]
    z = np.zeros(net.n_nodes, dtype=np.complex128)
    if len(free):
        inverse = splu(nodal_matrix(net, _slots(net, slots))[free][:, free].tocsc()).solve(
            np.eye(len(free), dtype=np.complex128))
        z[free] = np.diagonal(inverse)
    return np.where(net.live, z[net.rep], complex(np.nan, np.nan))


def root_response(compiled: CompiledNet, v: ComplexArray, slots: ArrayLike | None = None) -> FloatArray:
    """Return d(P, Q drawn at the root) / d(root magnitude, root angle), 2x2 [MVA/pu], [MVA/rad].

    Loads of constant power. A coupling that passes V down and S up contracts by this matrix times the
    upper grid's dV/dS.
    """
    net = compiled
    y = nodal_matrix(net, _slots(net, slots))
    heads = np.unique(net.rep[net.roots])
    free = net.order[~np.isin(net.order, heads)]
    u, e = v[free], v[heads]
    y_ff, y_fr = y[free][:, free], y[free][:, heads]
    y_rf, y_rr = y[heads][:, free], y[heads][:, heads]
    current = y_ff @ u + y_fr @ e
    g = diags(current.conj() / u)
    # conj(u)(Y u + Y_r e) = const: Y du - conj(du) (-I / conj(u)) = -Y_r de, split into real and imaginary.
    a, b = y_ff.tocsr(), g.conj()
    system = bmat([[a.real + b.real, -a.imag + b.imag], [a.imag + b.imag, a.real - b.real]], format="csc")
    lu = splu(system)
    out = np.zeros((2, 2))
    for col, de in enumerate((e / np.abs(e), 1j * e)):
        drive = -(y_fr @ de)
        x = lu.solve(np.concatenate((drive.real, drive.imag)))
        du = x[: len(u)] + 1j * x[len(u):]
        ds = de * (y_rf @ u + y_rr @ e).conj() + e * (y_rf @ du + y_rr @ de).conj()
        out[:, col] = ds.sum().real * net.base_mva, ds.sum().imag * net.base_mva
    return out
