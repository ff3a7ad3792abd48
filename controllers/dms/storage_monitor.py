"""Storage monitoring: what every battery is, holds, is to do, costs, and can lend; alarms where it deviates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.dms.network import Bools, Floats, Ints
from sims.core.errors import GridError

MS_PER_H = 3_600_000.0
CAUSES = np.array(("", "silent", "empty", "full", "deviation"))
"""Why a battery needs a look; of several the first."""


@dataclass(frozen=True, eq=False)
class Fleet:
    """The batteries that are watched, one row each.

    Parameters
    ----------
    name : tuple of str
    cell, node : int array
    lon, lat : array
        Position [degree]; nan where unknown.
    p_max_mw, energy_mwh : array
    fcr_mw : array
        Power held back for frequency containment, both ways.
    soc_min, soc_max : float
        Range that may be used.
    efficiency : float
        One way [1].
    """

    name: tuple[str, ...]
    cell: Ints
    node: Ints
    lon: Floats
    lat: Floats
    p_max_mw: Floats
    energy_mwh: Floats
    fcr_mw: Floats
    soc_min: float = 0.05
    soc_max: float = 0.95
    efficiency: float = 0.95


@dataclass(frozen=True, eq=False)
class Report:
    """What the monitor publishes, one row a battery.

    Parameters
    ----------
    soc : array
    scheduled_mw, actual_mw : array
        Discharge positive.
    charge_mw, discharge_mw : array
        What can still be asked for on top of the schedule, for the time asked about; both >= 0.
    price : array
        Price of the present slot [per MWh].
    lendable_mw : array
        Discharge open to neighbouring cells.
    alarm : bool array
        Deviates from its schedule, or will not hold it.
    cause : str array
        ``deviation``, ``empty``, ``full``, ``silent``, or empty.
    """

    soc: Floats
    scheduled_mw: Floats
    actual_mw: Floats
    charge_mw: Floats
    discharge_mw: Floats
    price: Floats
    lendable_mw: Floats
    alarm: Bools
    cause: NDArray[np.str_]


class StorageMonitor:
    """Watches a fleet against its schedules.

    Parameters
    ----------
    fleet : Fleet
    schedule_mw : array [battery, slot]
        Discharge positive; nan where a battery has none to keep to.
    price : array [slot]
        Price of energy in each slot [per MWh].
    slot_ms : int
    tolerance : float
        Deviation that raises an alarm, as a share of the rated power.
    patience_ms : int
        How long it may deviate, and how old its telemetry may be, before the alarm.
    daily : bool
        The slots are those of a day, over and over.
    """

    def __init__(
        self, fleet: Fleet, schedule_mw: Floats, price: Floats, slot_ms: int = 900_000, tolerance: float = 0.05,
        patience_ms: int = 120_000, daily: bool = False,
    ) -> None:
        if schedule_mw.shape != (len(fleet.name), len(price)):
            raise GridError(f"storage schedules have shape {schedule_mw.shape}, "
                            f"needs [battery, slot] = ({len(fleet.name)}, {len(price)})")
        self.fleet, self._schedule, self._price = fleet, schedule_mw, price
        self._slot_ms, self._tolerance, self._patience_ms, self._daily = slot_ms, tolerance, patience_ms, daily
        self._ordered = np.full(len(fleet.name), np.nan)
        n = len(fleet.name)
        self._heard_ms = np.full(n, -1, dtype=np.int64)
        self._off_since_ms = np.full(n, -1, dtype=np.int64)
        self._p_mw, self._soc = np.full(n, np.nan), np.full(n, np.nan)

    def order(self, p_mw: Floats) -> None:
        """Note what is ordered of each battery in place of its schedule, nan where nothing is."""
        self._ordered = p_mw

    def scheduled(self, now_ms: int) -> Floats:
        """Return what each battery is to do now: what is ordered, else its schedule."""
        return np.where(np.isnan(self._ordered), self._schedule[:, self._slot(now_ms)], self._ordered)

    def take(self, now_ms: int, rows: Ints, p_mw: Floats, soc: Floats) -> None:
        """Take telemetry of some batteries: power, discharge positive, and state of charge."""
        self._p_mw[rows], self._soc[rows], self._heard_ms[rows] = p_mw, soc, now_ms
        wanted, fleet, before = self.scheduled(now_ms)[rows], self.fleet, self._off_since_ms[rows]
        off = np.abs(p_mw - wanted) > self._tolerance * fleet.p_max_mw[rows] + fleet.fcr_mw[rows]
        self._off_since_ms[rows] = np.where(off, np.where(before >= 0, before, now_ms), -1)

    def report(self, now_ms: int, for_h: float = 0.25) -> Report:
        """Return the state of the fleet, and what it can do for the next `for_h` hours."""
        fleet, slot = self.fleet, self._slot(now_ms)
        wanted = self.scheduled(now_ms)
        energy = self._soc * fleet.energy_mwh
        room = np.maximum(fleet.p_max_mw - fleet.fcr_mw, 0.0)
        eta = fleet.efficiency
        out_mw = np.maximum(energy - fleet.soc_min * fleet.energy_mwh, 0.0) * eta / for_h
        in_mw = np.maximum(fleet.soc_max * fleet.energy_mwh - energy, 0.0) / eta / for_h
        planned = np.nan_to_num(wanted)
        discharge = np.maximum(np.minimum(room, out_mw) - planned, 0.0)
        charge = np.maximum(np.minimum(room, in_mw) + planned, 0.0)
        silent = (self._heard_ms < 0) | (now_ms - self._heard_ms > self._patience_ms)
        late = (self._off_since_ms >= 0) & (now_ms - self._off_since_ms >= self._patience_ms)
        left_h = (self._slot_ms - now_ms % self._slot_ms) / MS_PER_H
        empty = wanted * left_h / eta > np.maximum(energy - fleet.soc_min * fleet.energy_mwh, 0.0) + 1e-9
        full = -wanted * left_h * eta > np.maximum(fleet.soc_max * fleet.energy_mwh - energy, 0.0) + 1e-9
        cause = CAUSES[np.where(silent, 1, np.where(empty, 2, np.where(full, 3, np.where(late, 4, 0))))]
        # Nobody is lent what the owner has not been heard of, or what its own schedule will need.
        known = ~silent & np.isfinite(self._soc)
        lendable = np.where(known & ~empty, np.nan_to_num(discharge), 0.0)
        return Report(self._soc.copy(), wanted, self._p_mw.copy(), np.nan_to_num(charge), np.nan_to_num(discharge),
                      np.full(len(wanted), self._price[slot]), lendable, silent | empty | full | late, cause)

    def lendable_by_cell(self, report: Report) -> dict[int, float]:
        """Return what each cell can lend its neighbours [MW]."""
        return {int(c): float(report.lendable_mw[self.fleet.cell == c].sum()) for c in np.unique(self.fleet.cell)}

    def rows(self, report: Report) -> list[dict[str, Any]]:
        """Return the report as one mapping a battery: id, cell, bus, position, limits, state, schedule, prices."""
        f = self.fleet
        return [
            {
                "id": f.name[k], "cell": int(f.cell[k]), "node": int(f.node[k]), "lon": float(f.lon[k]),
                "lat": float(f.lat[k]), "p_max_mw": float(f.p_max_mw[k]), "energy_mwh": float(f.energy_mwh[k]),
                "soc": float(report.soc[k]), "scheduled_mw": float(report.scheduled_mw[k]),
                "actual_mw": float(report.actual_mw[k]), "price": float(report.price[k]),
                "fcr_mw": float(f.fcr_mw[k]), "lendable_mw": float(report.lendable_mw[k]),
                "alarm": str(report.cause[k]),
            }
            for k in range(len(f.name))
        ]

    def _slot(self, now_ms: int) -> int:
        slot = now_ms // self._slot_ms
        slot = slot % self._schedule.shape[1] if self._daily else slot
        if not 0 <= slot < self._schedule.shape[1]:
            raise GridError(f"storage schedules cover {self._schedule.shape[1]} slots; {now_ms / MS_PER_H:.2f} h "
                            "lies outside")
        return int(slot)
