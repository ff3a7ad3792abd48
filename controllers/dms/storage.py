"""Storage monitoring: what is left in the batteries, as they tell it, and reckoned on from their orders."""

from __future__ import annotations

import numpy as np

from controllers.dms.set_points import Floats, Ints, Register

MS_PER_H = 3_600_000.0


class StorageLedger:
    """The believed energy of every storage device of a site.

    Batteries tell what they hold every quarter-hour. In between, and where their telegrams are lost, the ledger
    integrates the orders in force; one under its own law is taken to stand still.

    Parameters
    ----------
    register : Register
    soc_start, efficiency : float
        Initial state of charge and one-way efficiency [1].
    soc_min, soc_max : float
        Range the operator plans with.
    """

    def __init__(
        self, register: Register, soc_start: float = 0.5, efficiency: float = 0.95,
        soc_min: float = 0.05, soc_max: float = 0.95,
    ) -> None:
        self._register, self.efficiency = register, efficiency
        self.energy_mwh: Floats = soc_start * register.energy_mwh
        self._low, self._high = soc_min * register.energy_mwh, soc_max * register.energy_mwh
        self._at_ms = -1

    @property
    def at_ms(self) -> int:
        """Until when the books are kept [ms]; -1 where nothing was booked yet."""
        return self._at_ms

    def advance(self, now_ms: int, p_mw: Floats) -> None:
        """Book the time since the last call at powers `p_mw` [device], discharge positive, nan for none."""
        if self._at_ms >= 0 and now_ms > self._at_ms:
            rows = np.flatnonzero(~np.isnan(p_mw))
            p = p_mw[rows]
            drain = np.where(p > 0, p / self.efficiency, p * self.efficiency)
            energy = self.energy_mwh[rows] - drain * (now_ms - self._at_ms) / MS_PER_H
            self.energy_mwh[rows] = np.clip(energy, 0.0, self._register.energy_mwh[rows])
        self._at_ms = max(self._at_ms, now_ms)

    def metered(self, rows: Ints, energy_mwh: Floats) -> None:
        """Enter what batteries `rows` tell that they hold; it is reckoned on from there."""
        self.energy_mwh[rows] = np.clip(energy_mwh, 0.0, self._register.energy_mwh[rows])

    def range_mw(self, rows: Ints, for_h: float) -> tuple[Floats, Floats]:
        """Return the power that devices `rows` can hold for `for_h` hours: (charging <= 0, discharging >= 0)."""
        rated, energy = self._register.p_rated_mw[rows], self.energy_mwh[rows]
        full = np.maximum(self._high[rows] - energy, 0.0) / self.efficiency / for_h
        empty = np.maximum(energy - self._low[rows], 0.0) * self.efficiency / for_h
        return -np.minimum(rated, full), np.minimum(rated, empty)

    def usable_mwh(self, rows: Ints) -> Floats:
        """Return the range of energy that devices `rows` are planned with."""
        return self._high[rows] - self._low[rows]

    def toward_mw(self, rows: Ints, level: Floats, for_h: float) -> Floats:
        """Return the power that brings devices `rows` to a level of their usable range in `for_h` hours, or near it."""
        gap = self.energy_mwh[rows] - (self._low[rows] + level * self.usable_mwh(rows))
        wanted = np.where(gap > 0, gap * self.efficiency, gap / self.efficiency) / for_h
        return np.clip(wanted, *self.range_mw(rows, for_h))
