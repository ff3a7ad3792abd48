"""Agreement of two parties on the exchange at an interface, y = (P, Q, U), by ADMM."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOLERANCE = 1e-4
"""Largest primal and dual residual of an agreement [pu]."""


@dataclass
class Agreement:
    """One party's copy of a consensus ADMM between two.

    x_T and x_D are what the transmission and the distribution side want, z = (x_T + x_D) / 2, and each side
    keeps its own lambda += rho (x - z) (Boyd et al., Foundations and Trends in Machine Learning 3(1), 2011,
    section 7.1). Both sides see both x, so both stop in the same round.

    Parameters
    ----------
    z : ndarray [3]
        P, Q, U to start from [pu of the interface's rating, pu of the rating, pu].
    rho : float
    """

    z: Floats
    rho: float = 1.0
    multiplier: Floats = field(default_factory=lambda: np.zeros(3))
    rounds: int = 0
    primal: float = float("inf")
    dual: float = float("inf")

    def advance(self, mine: Floats, theirs: Floats) -> None:
        """Take both wishes of a round."""
        z = 0.5 * (mine + theirs)
        self.multiplier = self.multiplier + self.rho * (mine - z)
        self.primal = float(np.abs(mine - z).max())
        self.dual = self.rho * float(np.abs(z - self.z).max())
        self.z = z
        self.rounds += 1

    @property
    def reached(self) -> bool:
        """Both residuals lie below the tolerance."""
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
        """Return argmin of cost + lambda x + rho/2 (x - z)^2 with U = U_0 + rise (Q - Q_0)."""
        rho, z, lam = agreement.rho, agreement.z, agreement.multiplier
        curve = self.weight / 0.01**2
        u_0 = self.measured[2] - self.rise_pu * self.measured[1]
        slope = self.rise_pu
        stiff = rho + slope**2 * (curve + rho) + self.price
        pull = rho * z[1] - lam[1] + slope * (curve * (self.u_set_pu - u_0) + rho * (z[2] - u_0) - lam[2])
        q = pull / stiff
        return np.array([z[0] - lam[0] / rho, q, u_0 + slope * q])


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

    def wish(self, agreement: Agreement) -> Floats:
        """Return argmin of cost + lambda x + rho/2 (x - z)^2; U is the other side's affair."""
        rho, z, lam = agreement.rho, agreement.z, agreement.multiplier
        span = max(self.q_range, 1e-9)
        curve = self.weight / span**2
        q = (curve * self.q_natural + rho * z[1] - lam[1]) / (curve + rho)
        q = min(max(q, self.q_natural - self.q_range), self.q_natural + self.q_range)
        return np.array([self.p, q, z[2] - lam[2] / rho])
