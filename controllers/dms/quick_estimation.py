"""Weighted-least-squares estimation of a feeder in the form that a control cycle can afford.

The state is every node's injection and every busbar's voltage. Each injection is itself measured (a meter,
the last frame, or a pseudo-measurement by nameplate), so the gain matrix need only be inverted in the space
of the remaining measurements m: x = x0 + R0 H' (H R0 H' + R)^-1 (z - h(x) + H (x - x0)), which has the
same minimum of sum((z - h)^2 / sigma^2) as the normal equations. Without voltages m is two per busbar, and
the estimator is the classical load allocation. H is held at the flat profile while h is exact. After
Abur & Exposito, *Power System State Estimation*, 2004, chapters 2, 5 and 8.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from controllers.dms import kernels
from controllers.dms.network import Complexes, Floats, Ints, Topology
from sims.core.errors import GridError

MAX_STEPS = 10
TOLERANCE_PU = 2e-7
TRANSFORMER_ROUNDS = 8
"""Of the voltage above a transformer; each takes off nine tenths of what is left, or more."""
IGNORED_PU2 = 100.0
"""Variance of a voltage that is measured but too old to be used [pu^2]."""


@dataclass(frozen=True, eq=False)
class Feed:
    """How the current into a busbar looks from the metered, high-voltage side of its transformers.

    Parameters
    ----------
    anchor : int array [feed]
    part : float array [feed]
        Share of the busbar's current, by admittance.
    y : complex array [4, feed]
        hv-hv, hv-mv, mv-hv, mv-mv at the present tap positions [pu].
    """

    anchor: Ints
    part: Floats
    y: Complexes

    def arriving(self, v_mv: Floats, drawn: Complexes) -> Complexes:
        """Return the power that comes out at the lower side [feed] from that drawn at the upper side [pu].

        Parameters
        ----------
        v_mv : array [feed]
            Metered voltage of the busbar each transformer feeds [pu].
        drawn : complex array [feed]
        """
        v_hv = -self.y[1] * v_mv / self.y[0]
        for _ in range(TRANSFORMER_ROUNDS):
            v_hv = (np.conj(drawn / v_hv) - self.y[1] * v_mv) / self.y[0]
        found: Complexes = -v_mv * np.conj(self.y[2] * v_hv + self.y[3] * v_mv)
        return found

    def seen(self, v_busbar: Complexes, current: Complexes) -> tuple[Complexes, Complexes]:
        """Return power drawn and voltage at the high-voltage side [feed] from current into each anchor."""
        v_mv, i_mv = v_busbar[self.anchor], -current[self.anchor] * self.part
        v_hv = (i_mv - self.y[3] * v_mv) / self.y[2]
        return v_hv * np.conj(self.y[0] * v_hv + self.y[1] * v_mv), v_hv


class Gain:
    """What depends on topology, accuracies and the measurement set only, factorised once.

    Parameters
    ----------
    topology : Topology
    var_p, var_q : array [free]
        Variance of each node's known injection [pu^2]; 0 for an exact zero injection.
    var_anchor : array [anchor]
        Variance of the metered busbar voltages [pu^2].
    var_p_anchor, var_q_anchor : array [anchor]
        Variance of what is connected to the busbars themselves [pu^2].
    metered : int array [v]
        Nodes with a voltage measurement; all must be free.
    var_v : array [v]
    flow_anchor : int array [flow]
        Anchors whose P and Q are metered.
    var_flow : float
    common : array [state, cause], optional
        What one standard deviation of a common cause (the sun, the hour of the day) does to the state
        (P and Q of the free nodes, busbar voltages, P and Q at busbars) [pu]: errors of remembered
        injections are not independent.

    Attributes
    ----------
    counting : int
        Measurements that are not too old to be used.
    """

    def __init__(
        self, topology: Topology, var_p: Floats, var_q: Floats, var_anchor: Floats, var_p_anchor: Floats,
        var_q_anchor: Floats, metered: Ints, var_v: Floats, flow_anchor: Ints, var_flow: float,
        common: Floats | None = None,
    ) -> None:
        nf, na, nv, ns = len(topology.free), len(var_anchor), len(metered), len(flow_anchor)
        self.metered, self.flow_anchor, self.at = metered, flow_anchor, topology.at[metered]
        H = np.zeros((nv + 2 * ns, 2 * nf + 3 * na))
        flow = np.arange(ns)
        if nv:
            z = topology.z[self.at]
            H[:nv, :nf], H[:nv, nf : 2 * nf] = z.real, z.imag
            H[:nv, 2 * nf : 2 * nf + na] = topology.share[self.at]
        H[nv : nv + ns, :nf] = -topology.share[:, flow_anchor].T
        H[nv + ns :, nf : 2 * nf] = -topology.share[:, flow_anchor].T
        H[nv + flow, 2 * nf + na + flow_anchor] = -1.0
        H[nv + ns + flow, 2 * nf + 2 * na + flow_anchor] = -1.0
        self.H: Floats = H
        self.r0: Floats = np.concatenate((var_p, var_q, var_anchor, var_p_anchor, var_q_anchor))
        self.r: Floats = np.concatenate((var_v, np.full(2 * ns, var_flow)))
        self.common: Floats = np.zeros((len(self.r0), 0)) if common is None else common
        shared = H @ self.common
        wide = np.concatenate((H * np.sqrt(self.r0), shared), axis=1)
        innovations = wide @ wide.T
        innovations.flat[:: len(self.r) + 1] += self.r
        self._hold(_inverse(innovations))

    def _hold(self, m_inv: Floats) -> None:
        self.m_inv = m_inv
        self._pull_z: Floats = np.sqrt(np.maximum(np.diag(m_inv), 1e-30))
        self.counting = int((self.r < IGNORED_PU2).sum())

    def altered(self, rows: Ints, r0: Floats, common: Floats, voltages: Ints, var_v: Floats) -> Gain:
        """Return the gain for other accuracies of a few quantities, by a low-rank change of the inverse.

        The matrix inverted gains W S W' with a column for every quantity changed (Woodbury), which costs
        a small solve where building anew costs all of it.

        Parameters
        ----------
        rows : int array [changed]
            Entries of the state whose variance is now `r0` [pu^2] and common error `common` [changed, cause].
        voltages : int array [changed]
            Measured voltages whose variance is now `var_v` [pu^2].
        """
        other = copy.copy(self)
        before, after = self.H @ self.common, self.common.copy()
        other.r0, other.r, after[rows] = self.r0.copy(), self.r.copy(), common
        other.r0[rows], other.r[voltages], other.common = r0, var_v, after
        unit = np.zeros((len(self.r), len(voltages)))
        unit[voltages, np.arange(len(voltages))] = 1.0
        W = np.concatenate((self.H[:, rows], unit, before, self.H @ after), axis=1)
        causes = np.ones(before.shape[1])
        size = np.concatenate((r0 - self.r0[rows], var_v - self.r[voltages], -causes, causes))
        used = size != 0
        W, size = W[:, used], size[used]
        spread = self.m_inv @ W
        other._hold(self.m_inv - spread @ np.linalg.solve(np.diag(1.0 / size) + W.T @ spread, spread.T))
        return other

    def drift(self, topology: Topology) -> Floats:
        """Return the standard deviation of voltage that the injections' own errors leave [free] [pu].

        Common causes are left out: the metered flow into the feeder tells of them.
        """
        n, (resistance2, reactance2) = len(topology.free), topology.z_squared
        variance = resistance2 @ self.r0[:n] + reactance2 @ self.r0[n : 2 * n]
        return np.asarray(np.sqrt(variance), dtype=np.float64)

    @property
    def pull_z(self) -> Floats:
        """Standard deviation of the weighted innovation of each measurement."""
        return self._pull_z

    def without(self, left_out: Ints) -> Floats:
        """Return the inverse [m, m] as if the measurements `left_out` did not exist: their rows and columns 0."""
        if not len(left_out):
            return self.m_inv
        block = self.m_inv[np.ix_(left_out, left_out)]
        out: Floats = self.m_inv - self.m_inv[:, left_out] @ np.linalg.solve(block, self.m_inv[left_out])
        out[left_out], out[:, left_out] = 0.0, 0.0
        return out


def _inverse(matrix: Floats) -> Floats:
    """Return the inverse of a symmetric positive definite matrix."""
    triangle, info = dpotrf(matrix, lower=1)
    if info == 0:
        triangle, info = dpotri(triangle, lower=1)
    if info:
        raise GridError(f"the innovations of {len(matrix)} measurements have no regular covariance")
    whole: Floats = np.add(triangle, triangle.T, order="C")  # above the diagonal of the triangle there are zeros
    np.fill_diagonal(whole, np.diag(triangle))
    return whole


@dataclass(frozen=True, eq=False)
class Solution:
    """The estimate.

    Parameters
    ----------
    v : complex array [node]
    s : complex array [node]
        Injections [pu].
    v_hv : complex array [feed]
        Voltage at the transformers' upper side.
    objective : float
        Sum of squared weighted residuals at the minimum.
    normalised_z : array
        Normalised residuals of measurements (voltages, then P, then Q of busbars) [1].
    converged : bool
    """

    v: Complexes
    s: Complexes
    v_hv: Complexes
    objective: float
    normalised_z: Floats
    converged: bool


def estimate(
    topology: Topology,
    gain: Gain,
    feed: Feed,
    known: Complexes,
    v_busbar: Floats,
    v_metered: Floats,
    drawn: Complexes,
    start: Complexes | None = None,
    left_out: Ints | None = None,
    residuals: bool = False,
) -> Solution:
    """Return the most likely state of a feeder.

    Parameters
    ----------
    known : complex array [node]
        Metered, remembered or pseudo injections [pu].
    v_busbar : array [anchor]
        Metered magnitudes [pu].
    v_metered : array [v]
        Metered magnitudes at `gain.metered` [pu].
    drawn : complex array [flow]
        Metered powers at the upper side of each busbar's transformers, summed [pu].
    start : complex array [node], optional
        Voltages of the previous estimate.
    left_out : int array, optional
        Measurements to ignore.
    residuals : bool
        Also return normalised residuals.
    """
    out = np.zeros(0, dtype=np.int64) if left_out is None else left_out
    z = np.concatenate((v_metered, drawn.real, drawn.imag))
    v: Complexes = np.zeros(len(known), dtype=complex) if start is None else start.copy()
    s, y = np.empty(len(known), dtype=complex), np.empty(len(z))
    v_hv = np.zeros(len(feed.anchor), dtype=complex)
    converged, objective = kernels.estimated(
        topology.lu, topology.w, topology.share, topology.y_aa, topology.y_af, topology.free, topology.anchor,
        topology.rep, topology.live, feed.anchor, feed.part, feed.y, gain.at, gain.flow_anchor, gain.r0, gain.r,
        gain.common, gain.without(out), known, v_busbar, z, v, s, y, v_hv, TOLERANCE_PU, MAX_STEPS,
    )
    rz = np.abs(y) / gain.pull_z if residuals else np.zeros(0)
    return Solution(v, s, v_hv, objective, rz, converged)
