"""State estimation by weighted least squares, with its tests: chi-square, largest residual, observability.

The general form, for any net and any mixture of measurements; `quick_estimation` is the form for the loop.
After Abur & Exposito, *Power System State Estimation: Theory and Implementation*, 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from sims.core.errors import GridError

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]

KINDS = ("v", "va", "p", "q", "p_from", "q_from", "p_to", "q_to")
MAX_STEPS = 30


@dataclass(frozen=True, eq=False)
class Measurements:
    """A set of measurements, one row each.

    Parameters
    ----------
    kind : str array
        One of `KINDS`: voltage magnitude and angle [pu, rad], injections into the net at a node, flows into
        a branch at its from or to end [pu].
    place : int array
        Node, or branch for the flows.
    value, sigma : array
        Standard deviation is positive; zero injections are measurements of 0 with a very small one.
    """

    kind: NDArray[np.str_]
    place: Ints
    value: Floats
    sigma: Floats

    def __post_init__(self) -> None:
        strange = set(np.unique(self.kind)) - set(KINDS)
        if strange:
            raise GridError(f"measurement kind {sorted(strange)[0]!r} is not one of {', '.join(KINDS)}")
        if not (self.sigma > 0).all():
            raise GridError("every measurement needs a positive sigma; give zero injections a small one")


@dataclass(frozen=True, eq=False)
class Branches:
    """The net as an estimator needs it: branch ends, admittances [4, branch] (ff, ft, tf, tt), shunts."""

    start: Ints
    end: Ints
    y: Complexes
    shunt: Complexes


@dataclass(frozen=True, eq=False)
class Estimate:
    """The result of `wls`.

    Parameters
    ----------
    v : complex array [node]
    objective : float
        Sum of squared weighted residuals.
    threshold : float
        Chi-square quantile at 95 % for the redundancy there is; 0 without redundancy.
    normalised : array [measurement]
        Normalised residuals; 0 for critical measurements.
    unobservable : int array
        Nodes whose voltage the measurements do not determine; the others hold.
    steps : int
    """

    v: Complexes
    objective: float
    threshold: float
    normalised: Floats
    unobservable: Ints
    steps: int

    @property
    def plausible(self) -> bool:
        """Tell whether the chi-square test passes."""
        return self.threshold == 0.0 or self.objective <= self.threshold

    @property
    def suspect(self) -> int:
        """Return the measurement with the largest normalised residual above 3, or -1."""
        worst = int(self.normalised.argmax()) if len(self.normalised) else -1
        return worst if worst >= 0 and self.normalised[worst] > 3.0 else -1


def wls(
    net: Branches, measured: Measurements, reference: int = 0, v0: Complexes | None = None,
    tolerance: float = 1e-8,
) -> Estimate:
    """Return the state that minimises sum(((z - h(x)) / sigma)^2) by Gauss-Newton in polar coordinates.

    Parameters
    ----------
    net : Branches
    measured : Measurements
    reference : int
        Node whose angle is zero (or its angle in `v0`).
    v0 : complex array [node], optional
        Start; flat by default.

    Raises
    ------
    GridError
        The iteration does not settle.
    """
    n = len(net.shunt)
    v = np.ones(n, dtype=complex) if v0 is None else v0.astype(complex)
    Y = _admittance(net)
    # The reference angle is no state; a phasor measurement of it would have nothing to move.
    keep = np.concatenate((np.arange(n) != reference, np.ones(n, dtype=bool)))
    weight = 1.0 / measured.sigma
    unobservable = np.zeros(0, dtype=np.int64)
    for step in range(1, MAX_STEPS + 1):
        h, H = _model(net, Y, v, measured)
        Hw = (H * weight[:, None])[:, keep]
        r = (measured.value - h) * weight
        if step == 1:
            unobservable, held = _unobservable(Hw, keep, n)
        dx = np.zeros(2 * n)
        free = np.flatnonzero(keep)[~held]
        # QR rather than normal equations: zero injections with tiny sigmas would square the condition.
        dx[free] = np.linalg.lstsq(Hw[:, ~held], r, rcond=None)[0]
        v = (np.abs(v) + dx[n:]) * np.exp(1j * (np.angle(v) + dx[:n]))
        if np.abs(dx).max() < tolerance:
            break
    else:
        raise GridError(f"state estimation does not settle within {MAX_STEPS} steps; look at the measurements")
    h, H = _model(net, Y, v, measured)
    Hw = (H * weight[:, None])[:, keep][:, ~held]
    r = (measured.value - h) * weight
    hat = np.linalg.qr(Hw)[0]
    left = 1.0 - (hat**2).sum(axis=1)
    normalised = np.where(left > 1e-8, np.abs(r) / np.sqrt(np.maximum(left, 1e-8)), 0.0)
    freedom = len(r) - Hw.shape[1]
    threshold = float(2 * gammaincinv(freedom / 2, 0.95)) if freedom > 0 else 0.0
    return Estimate(v, float(r @ r), threshold, normalised, unobservable, step)


def without_bad_data(
    net: Branches, measured: Measurements, reference: int = 0, most: int = 5
) -> tuple[Estimate, Ints]:
    """Estimate, and remove the measurement with the largest normalised residual while the test fails.

    Returns
    -------
    (estimate, indices of the measurements removed, in order)
    """
    removed: list[int] = []
    index = np.arange(len(measured.value))
    while True:
        found = wls(net, _subset(measured, index), reference)
        if found.plausible or found.suspect < 0 or len(removed) >= most:
            return found, np.array(removed, dtype=np.int64)
        removed.append(int(index[found.suspect]))
        index = np.delete(index, found.suspect)


def _subset(measured: Measurements, index: Ints) -> Measurements:
    return Measurements(measured.kind[index], measured.place[index], measured.value[index],
                        measured.sigma[index])


def _admittance(net: Branches) -> Complexes:
    Y = np.diag(net.shunt.astype(complex))
    np.add.at(Y, (net.start, net.start), net.y[0])
    np.add.at(Y, (net.start, net.end), net.y[1])
    np.add.at(Y, (net.end, net.start), net.y[2])
    np.add.at(Y, (net.end, net.end), net.y[3])
    return Y


def _model(net: Branches, Y: Complexes, v: Complexes, measured: Measurements) -> tuple[Floats, Floats]:
    """Return h(x) and its derivatives by (angle, magnitude) of every node."""
    n, nb = len(v), len(net.start)
    unit = v / np.abs(v)
    kind, place = measured.kind, measured.place
    h, H = np.zeros(len(kind)), np.zeros((len(kind), 2 * n))

    def put(names: tuple[str, str], current: Complexes, dI: tuple[Complexes, Complexes], at: Ints) -> None:
        # S = V conj(I): dS = dV conj(I) + V conj(dI), with dV/dangle = jV and dV/dmagnitude = V/|V|.
        rows = np.arange(len(at))
        by_angle, by_size = v[at, None] * np.conj(dI[0]), v[at, None] * np.conj(dI[1])
        by_angle[rows, at] += 1j * v[at] * np.conj(current)
        by_size[rows, at] += unit[at] * np.conj(current)
        power = v[at] * np.conj(current)
        for name, part in zip(names, (np.real, np.imag), strict=True):
            hit = np.flatnonzero(kind == name)
            h[hit] = part(power)[place[hit]]
            H[hit, :n], H[hit, n:] = part(by_angle)[place[hit]], part(by_size)[place[hit]]

    put(("p", "q"), Y @ v, (Y * (1j * v), Y * unit), np.arange(n))
    for names, near, far, y_near, y_far in (
        (("p_from", "q_from"), net.start, net.end, net.y[0], net.y[1]),
        (("p_to", "q_to"), net.end, net.start, net.y[3], net.y[2]),
    ):
        if not np.isin(kind, names).any():
            continue
        B = np.zeros((nb, n), dtype=complex)
        np.add.at(B, (np.arange(nb), near), y_near)
        np.add.at(B, (np.arange(nb), far), y_far)
        put(names, B @ v, (B * (1j * v), B * unit), near)
    for name, value, column in (("v", np.abs(v), n), ("va", np.angle(v), 0)):
        hit = np.flatnonzero(kind == name)
        h[hit] = value[place[hit]]
        H[hit, column + place[hit]] = 1.0
    return h, H


def _unobservable(Hw: Floats, keep: NDArray[np.bool_], n: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Return nodes that move without any measurement noticing, and the columns to hold."""
    scale = np.maximum(np.linalg.norm(Hw, axis=0), 1e-12)
    _, singular, right = np.linalg.svd(Hw / scale, full_matrices=True)
    rank = int((singular > 1e-9 * max(float(singular.max(initial=0.0)), 1e-12)).sum())
    blind = np.abs(right[rank:]).max(axis=0, initial=0.0) > 1e-6
    columns = np.flatnonzero(keep)[blind]
    return np.unique(columns % n), blind
