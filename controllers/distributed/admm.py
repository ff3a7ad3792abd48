"""Agreement of two parties on the exchange at an interface, y = (P, Q, U), by ADMM."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOLERANCE = 1e-4
"""Largest primal and dual residual of an agreement [pu]."""


RELAXATION: Floats = np.array([1.0, 1.8, 1.0])
"""How far a round goes beyond the TSO's wish, by P, Q and U; only Q is where both sides give way."""
PENALTY: Floats = np.array([1.0, 1.0, 0.01])
"""Penalty on each of P, Q and U, as a part of `rho`; U follows from Q and binds nobody by itself."""


@dataclass
class Agreement:
    """One party's copy of an ADMM between two, who speak in turn.

    The transmission side says what it wants, x_T, the distribution side answers with x_D, and both add what is
    left between them to the common multiplier, lambda += rho (x - x_D), where x is x_T relaxed (Boyd et al.,
    Foundations and Trends in Machine Learning 3(1), 2011, sections 3.1 and 3.4.3). Both sides know both wishes,
    so both stop in the same round; z = (x_T + x_D) / 2 is what they agree on. With rho at the curvature of the
    TSO's own cost the error in Q falls by 1 - `RELAXATION` / 2 a round, whatever the other side's cost or range.

    Parameters
    ----------
    answer : ndarray [3]
        x_D last: P, Q, U to start from [pu of the interface's rating, pu of the rating, pu].
    rho : float
    multiplier : ndarray [3]
        What the TSO pays; the other side gets it.
    """

    answer: Floats
    rho: float = 1.0
    multiplier: Floats = field(default_factory=lambda: np.zeros(3))
    z: Floats = field(default_factory=lambda: np.zeros(3))
    rounds: int = 0
    primal: float = float("inf")
    dual: float = float("inf")

    def relaxed(self, asked: Floats) -> Floats:
        """Return what the distribution side is to answer to: the TSO's wish, taken further."""
        return RELAXATION * asked + (1.0 - RELAXATION) * self.answer

    def advance(self, asked: Floats, answer: Floats) -> None:
        """Take both wishes of a round, the TSO's and the answer to it."""
        self.multiplier = self.multiplier + self.rho * PENALTY * (self.relaxed(asked) - answer)
        self.z = 0.5 * (asked + answer)
        self.primal = float(np.abs(asked - self.z).max())
        self.dual = float(np.abs(answer - self.answer).max())
        self.answer = answer
        self.rounds += 1

    @property
    def reached(self) -> bool:
        """Both residuals lie below the tolerance, the dual one per rho."""
        return self.primal < TOLERANCE and self.dual < TOLERANCE


@dataclass(frozen=True)
class TransmissionSide:
    """The TSO's part of the cost: 1/2 weight ((U - U_set) / 0.01)^2 on the line that its grid allows.

    With a `price`, 1/2 price Q^2 is added: reactive power is dear to carry, and what is worth its price
    follows the characteristic Q = k (U_set - U) with k = weight rise / (0.01^2 price).

    Parameters
    ----------
    measured : ndarray [3]
        P, Q, U now [pu].
    u_set_pu : float
    rise_pu : float
        dU / dQ at the bus, per pu of the interface's rating: rating over short-circuit power.
    price : float
        Of Q^2 [pu of the rating]; 0 follows the voltage as far as the other side goes along.
    """

    measured: Floats
    u_set_pu: float
    rise_pu: float
    weight: float = 1.0
    price: float = 0.0

    @classmethod
    def with_droop(cls, measured: Floats, u_set_pu: float, rise_pu: float, k_pu: float) -> TransmissionSide:
        """Return the side whose own optimum is Q = k (U_set - U), `k_pu` per pu of the rating."""
        return cls(measured, u_set_pu, rise_pu, price=rise_pu / (0.01**2 * k_pu))

    @property
    def curvature(self) -> float:
        """Second derivative of the cost along Q."""
        return self.weight * (self.rise_pu / 0.01) ** 2 + self.price

    def wish(self, agreement: Agreement) -> Floats:
        """Return argmin of cost + lambda x + rho/2 (x - x_D)^2 with U = U_0 + rise (Q - Q_0)."""
        rho, z, lam = agreement.rho * PENALTY, agreement.answer, agreement.multiplier
        curve = self.weight / 0.01**2
        u_0 = self.measured[2] - self.rise_pu * self.measured[1]
        slope = self.rise_pu
        stiff = rho[1] + slope**2 * (curve + rho[2]) + self.price
        pull = rho[1] * z[1] - lam[1] + slope * (curve * (self.u_set_pu - u_0) + rho[2] * (z[2] - u_0) - lam[2])
        q = pull / stiff
        return np.array([z[0] - lam[0] / rho[0], q, u_0 + slope * q])


@dataclass(frozen=True)
class DistributionSide:
    """The DSO's part of the cost: 1/2 weight ((Q - Q_natural) / range)^2 inside its range; P as it is.

    Parameters
    ----------
    p : float
        P now [pu]; moving it is not on offer.
    q_natural : float
        Q that would flow without any support [pu].
    q_range : float
        What can be added either way [pu].
    """

    p: float
    q_natural: float
    q_range: float
    weight: float = 0.05

    def wish(self, agreement: Agreement, asked: Floats) -> Floats:
        """Return argmin of cost - lambda x + rho/2 (x_T - x)^2; U is the other side's affair."""
        rho, z, lam = agreement.rho * PENALTY, agreement.relaxed(asked), agreement.multiplier
        span = max(self.q_range, 1e-9)
        curve = self.weight / span**2
        q = (curve * self.q_natural + rho[1] * z[1] + lam[1]) / (curve + rho[1])
        q = min(max(q, self.q_natural - self.q_range), self.q_natural + self.q_range)
        return np.array([self.p, q, z[2] + lam[2] / rho[2]])
