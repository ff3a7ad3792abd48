"""Watch storage: where every battery stands, against what it was told, and what neighbours may borrow of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.charging import EV_WEIGHT
from controllers.dms.set_points import FULL_HZ, Ints
from controllers.dms.storage_monitor import Fleet, StorageMonitor
from controllers.dms.v2g import reserve
from controllers.logbook import Standing, alarm, goal
from sims.core.message import Message

DUTY = "observe"
TOLD_SHARE = 0.1
"""Share of the rating by which a battery may miss what it was told."""
HELD, THEIRS = 0.5, 0.25
"""What vehicles that are plugged in are believed to hold of their batteries, and what of it is their drivers'."""
PATIENCE_MS = 2_000_000
"""How long a battery may miss what it was told, or be silent: two quarter-hours and a little."""


class WatchStorage:
    """Keeps the monitor of all batteries of the DSO on their own telemetry, and the reserve of the vehicles.

    A battery is held to what this control room has told it and not changed since the last telegram; one under its own
    law has no schedule to miss. Where batteries of a feeder newly deviate, cannot go on or have fallen silent, that is
    an alarm. What batteries tell goes into the ledger that other duties plan with. The logbook is told with each
    telegram what is stored, how far the ledger was off, what could be lent, and what vehicles could give (see `v2g`).

    Settings: `plugged_share` (0.2), `v2g_share` (0.3), `vehicle_h` (60/11, battery over plug), `tariff` (24 prices).
    """

    urgent: frozenset[str] = frozenset()
    reads = frozenset({"storage"})

    def __init__(self, site: Site) -> None:
        self._site, self._desk = site, Desk(site)
        settings, register = site.settings, self._desk.register
        self._rows = rows = np.flatnonzero(register.kind == "storage")
        self._at: Ints = np.full(int(register.index.max(initial=-1)) + 1, -1, dtype=np.int64)
        self._at[register.index[rows]] = np.arange(len(rows))
        feeders = register.feeders
        place = [(feeders[f].grid, n) for f, n in zip(register.feeder[rows].tolist(), register.node[rows].tolist(),
                                                      strict=True)]
        names = tuple(f"{feeders[f].name}.{d}" for f, d in zip(register.feeder[rows].tolist(),
                                                             register.index[rows].tolist(), strict=True))
        cell = site.grid.cells[0].cell if site.grid.cells else 0
        fleet = Fleet(
            names, np.full(len(rows), cell), register.node[rows], np.array([g.lon[n] for g, n in place]),
            np.array([g.lat[n] for g, n in place]), register.p_rated_mw[rows], register.energy_mwh[rows],
            np.zeros(len(rows)),
        )
        price = np.repeat(np.asarray(settings.get("tariff", np.zeros(24)), dtype=np.float64), 4)
        self.monitor = StorageMonitor(
            fleet, np.full((len(rows), len(price)), np.nan), price, tolerance=TOLD_SHARE, patience_ms=PATIENCE_MS,
            daily=True,
        )
        self._before = np.full(len(rows), np.nan)
        vehicles = register.of("ev")
        rated, plugged = register.p_rated_mw[vehicles], float(settings.get("plugged_share", 0.2))
        energy = plugged * float(settings.get("vehicle_h", 60 / 11)) * rated
        self.reserve = reserve(
            -np.minimum(EV_WEIGHT, plugged) * rated, plugged * rated, HELD * energy, THEIRS * energy, energy,
            np.full(len(vehicles), float(settings.get("v2g_share", 0.3))),
        )
        self._standing = Standing(patience=2, away=1)

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the report and what newly needs a look, where telemetry has come."""
        heard = [message for message in inbox if message.topic == "storage"]
        if not heard:
            return []
        desk, now_ms, monitor = self._desk, round(1000 * now_s), self.monitor
        desk.book_storages(now_ms)
        held = desk.points.in_force("p_set_mw", now_ms)[self._rows]
        steady = np.abs(held - self._before) <= TOLD_SHARE * monitor.fleet.p_max_mw
        monitor.order(np.where(steady, held, np.nan))
        self._before = held
        monitor.fleet = replace(monitor.fleet, fcr_mw=desk.droop_mw_per_hz[self._rows] * FULL_HZ)
        told = np.full(len(self._rows), np.nan)
        for message in heard:
            device = message.values["device"]
            known = (device >= 0) & (device < len(self._at))
            at = np.where(known, self._at[np.where(known, device, 0)], -1)
            mine = at >= 0
            at = at[mine]
            soc = message.values["soc_mwh"][mine] / np.maximum(monitor.fleet.energy_mwh[at], 1e-12)
            monitor.take(message.sent_ms, at, message.values["p_mw"][mine], soc)
            told[at] = soc * monitor.fleet.energy_mwh[at]
        heard_of = np.flatnonzero(np.isfinite(told))
        rows, ledger = self._rows[heard_of], desk.storages
        off = float(np.abs(told[heard_of] - ledger.energy_mwh[rows]).sum())
        ledger.metered(rows, told[heard_of])
        return self._told(now_ms, off)

    def _told(self, now_ms: int, off_mwh: float) -> list[Message]:
        """Return where the batteries stand, for the logbook, and alarms about those that need a look."""
        report, fleet = self.monitor.report(now_ms), self.monitor.fleet
        metered = report.soc * fleet.energy_mwh
        names = [self._desk.register.feeders[f].name for f in self._desk.register.feeder[self._rows].tolist()]
        causes = Counter(f"{name}: {cause}" for name, cause in zip(names, report.cause.tolist(), strict=True) if cause)
        # Nobody lends what its own feeder is going to need.
        lendable = report.lendable_mw[self._desk.short_mwh[self._desk.register.feeder[self._rows]] == 0]
        out = [
            alarm(self._site, "storage", f"{what}, {causes[what]} batteries", float(causes[what]))
            for what in self._standing.news(causes)
        ]
        return [*out, goal(
            self._site, DUTY, stored_mwh=float(np.nansum(metered)), ledger_off_mwh=off_mwh,
            lendable_mw=float(lendable.sum()), participating_share=self.reserve.share,
            reserve_up_mw=self.reserve.up_mw, reserve_down_mw=self.reserve.down_mw,
        )]
