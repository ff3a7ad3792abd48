"""Battery storage: energy balance, limits, and self-consumption as the behaviour nobody has to command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_H

Array = NDArray[np.float64]
_H_PER_S = 1.0 / 3600.0


@dataclass(frozen=True)
class StorageSettings:
    """Efficiencies each way, usable window of the state of charge, own consumption in shares of rated power."""

    eta_charge: float = 0.95
    eta_discharge: float = 0.95
    soc_min: float = 0.05
    soc_max: float = 0.95
    standby_share: float = 0.002


class Storage:
    """Many batteries as arrays.

    Parameters
    ----------
    p_rated_mw, e_rated_mwh, soc_start : ndarray, [device]
    behind : ndarray of int, [device]
        Connection point behind whose meter each battery sits.
    settings : StorageSettings

    Notes
    -----
    E' = E + eta_c P_c dt - P_d dt / eta_d, with the standby consumption drawn from the battery itself.
    """

    def __init__(
        self, p_rated_mw: Array, e_rated_mwh: Array, soc_start: Array, behind: NDArray[np.int64],
        settings: StorageSettings | None = None,
    ) -> None:
        self.settings = settings or StorageSettings()
        self.p_rated_mw, self.e_rated_mwh, self.behind = p_rated_mw, e_rated_mwh, behind
        self.e_mwh = e_rated_mwh * np.clip(soc_start, self.settings.soc_min, self.settings.soc_max)
        points = int(behind.max(initial=-1)) + 1
        total = np.bincount(behind, weights=p_rated_mw, minlength=points)
        self._share = np.divide(p_rated_mw, total[behind], out=np.zeros_like(p_rated_mw), where=p_rated_mw > 0)

    @property
    def soc(self) -> Array:
        """State of charge in shares of rated energy [1]."""
        return np.divide(
            self.e_mwh, self.e_rated_mwh, out=np.zeros_like(self.e_mwh), where=self.e_rated_mwh > 0
        )

    def limits(self, dt_s: float) -> tuple[Array, Array]:
        """Return the lowest (charging, <= 0) and highest (discharging) power tenable for `dt_s` [MW]."""
        s, hours = self.settings, dt_s * _H_PER_S
        above = np.maximum(self.e_mwh - s.soc_min * self.e_rated_mwh, 0.0)
        below = np.maximum(s.soc_max * self.e_rated_mwh - self.e_mwh, 0.0)
        if hours <= 0:
            return -self.p_rated_mw * (below > 0), self.p_rated_mw * (above > 0)
        return (
            -np.minimum(self.p_rated_mw, below / (s.eta_charge * hours)),
            np.minimum(self.p_rated_mw, above * s.eta_discharge / hours),
        )

    def self_consumption(self, net_mw: Array, dt_s: float) -> Array:
        """Return the power that balances the connection points [MW], shape [device].

        `net_mw` is the injection of everything else at each point [point]: a surplus charges, a deficit is
        met, batteries at one point share by rated power.
        """
        low, high = self.limits(dt_s)
        return np.clip(-net_mw[self.behind] * self._share, low, high)

    def advance(self, p_mw: Array, dt_ms: int) -> None:
        """Book the energy of `p_mw`, as it was realised at the terminals, over `dt_ms`."""
        s, hours = self.settings, dt_ms / MS_PER_H
        stored = np.where(p_mw < 0, -p_mw * s.eta_charge, -p_mw / s.eta_discharge)
        standby = s.standby_share * self.p_rated_mw * (self.e_mwh > 0)
        self.e_mwh = np.clip(self.e_mwh + (stored - standby) * hours, 0.0, self.e_rated_mwh)

    def get_state(self) -> dict[str, Any]:
        """Return the energies."""
        return {"e_mwh": self.e_mwh.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.e_mwh = np.array(state["e_mwh"])
