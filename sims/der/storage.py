"""Battery storage: energy balance, limits, and self-consumption as the behaviour nobody has to command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_H
from sims.core.errors import ScenarioError
from sims.der.energy_kernels import store, tenable

Array = NDArray[np.float64]
_H_PER_S = 1.0 / 3600.0


@dataclass(frozen=True)
class StorageSettings:
    """Efficiencies each way, usable window of the state of charge, own consumption in shares of rated power.

    `reserve_h` is how long a promised reserve must last; `schedule` is ``self_consumption`` or ``price``; `wear` the
    cost of wear for each energy given back, in the unit of the tariff.
    """

    eta_charge: float = 0.95
    eta_discharge: float = 0.95
    soc_min: float = 0.05
    soc_max: float = 0.95
    standby_share: float = 0.002
    reserve_h: float = 0.25
    schedule: str = "self_consumption"
    wear: float = 4.0

    def __post_init__(self) -> None:
        for name in ("eta_charge", "eta_discharge"):
            if not 0 < getattr(self, name) <= 1:
                raise ScenarioError(f"storage: {name} is {getattr(self, name):g}, an efficiency lies in (0, 1]")
        if not 0 <= self.soc_min < self.soc_max <= 1:
            window = f"soc_min {self.soc_min:g} and soc_max {self.soc_max:g}"
            raise ScenarioError(f"storage: {window} are no window in 0 to 1")


class Storage:
    """Many batteries as arrays.

    Parameters
    ----------
    p_rated_mw, e_rated_mwh, soc_start : ndarray, [device]
    behind : ndarray of int, [device]
        Connection point behind whose meter each battery sits.
    settings : StorageSettings

    Attributes
    ----------
    reserve_mw : ndarray, [device]
        Promised both ways; its power, and its energy over `reserve_h`, are kept from every other use.
    discharged_mwh : ndarray, [device]
        Given back so far, what wear is counted on.

    Notes
    -----
    E' = E + eta_c P_c dt - P_d dt / eta_d, with the standby consumption drawn from the battery itself.
    """

    def __init__(
        self, p_rated_mw: Array, e_rated_mwh: Array, soc_start: Array, behind: NDArray[np.int64],
        settings: StorageSettings | None = None,
    ) -> None:
        self.settings = settings or StorageSettings()
        self.p_rated_mw, self.e_rated_mwh, self.behind = p_rated_mw.copy(), e_rated_mwh.copy(), behind
        self.reserve_mw, self._nothing = np.zeros_like(p_rated_mw), np.zeros_like(p_rated_mw)
        self.discharged_mwh = np.zeros_like(p_rated_mw)
        self._plan: Array | None = None
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
        return self._limits(dt_s, self._nothing)

    def free(self, dt_s: float) -> tuple[Array, Array]:
        """Return the same for whatever is not the promised reserve [MW]."""
        return self._limits(dt_s, self.reserve_mw)

    def _limits(self, dt_s: float, kept_mw: Array) -> tuple[Array, Array]:
        s, low, high = self.settings, np.empty(len(kept_mw)), np.empty(len(kept_mw))
        tenable(
            self.p_rated_mw, kept_mw, s.reserve_h, self.e_mwh, self.e_rated_mwh, s.soc_min, s.soc_max, s.eta_charge,
            s.eta_discharge, dt_s * _H_PER_S, low, high,
        )
        return low, high

    def follow(self, plan: Array) -> None:
        """Trade by `plan` from now on: shares of rated power by hour of the run, [hour, device]."""
        self._plan = plan

    def wish(self, net_mw: Array, now_ms: int, low: Array, high: Array) -> Array:
        """Return what the batteries do without an order [MW]: their schedule or self-consumption.

        `low` and `high` are what `free` gave for the coming step.
        """
        if self._plan is None:
            return np.clip(-net_mw[self.behind] * self._share, low, high)
        hour = min(now_ms // MS_PER_H, len(self._plan) - 1)
        wish: Array = np.clip(self._plan[hour] * self.p_rated_mw, low, high)
        return wish

    @property
    def wear_cost(self) -> Array:
        """Return the cost of wear so far, [device] [tariff x MWh]."""
        return self.discharged_mwh * self.settings.wear

    def self_consumption(self, net_mw: Array, dt_s: float) -> Array:
        """Return the power that balances the connection points [MW], shape [device].

        `net_mw` is the injection of everything else at each point [point]: a surplus charges, a deficit is
        met, batteries at one point share by rated power.
        """
        low, high = self.free(dt_s)
        return np.clip(-net_mw[self.behind] * self._share, low, high)

    def advance(self, p_mw: Array, dt_ms: int) -> None:
        """Book the energy of `p_mw`, as it was realised at the terminals, over `dt_ms`."""
        s = self.settings
        store(
            p_mw, dt_ms / MS_PER_H, self.p_rated_mw, self.e_rated_mwh, s.standby_share, s.eta_charge, s.eta_discharge,
            self.e_mwh, self.discharged_mwh,
        )

    def get_state(self) -> dict[str, Any]:
        """Return the energies."""
        return {"e_mwh": self.e_mwh.copy(), "discharged_mwh": self.discharged_mwh.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.e_mwh, self.discharged_mwh = np.array(state["e_mwh"]), np.array(state["discharged_mwh"])
