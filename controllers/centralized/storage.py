"""Watch storage: where every battery stands, against what it was told, and what neighbours may borrow of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.set_points import FULL_HZ, Ints
from controllers.dms.storage_monitor import Fleet, StorageMonitor
from controllers.logbook import Standing, alarm, goal
from sims.core.message import Message

DUTY = "observe"
TOLD_SHARE = 0.1
"""Share of the rating by which a battery may miss what it was told."""
PATIENCE_MS = 2_000_000
"""How long a battery may miss what it was told, or be silent: two quarter-hours and a little."""


class WatchStorage:
    """Keeps the monitor of all batteries of the DSO on their own telemetry, and the reserve of the vehicles.

    A battery is held to what this control room has told it and not changed since the last telegram; one under its own
    law has no schedule to miss. Where batteries of a feeder newly deviate, cannot go on or have fallen silent, that is
    an alarm. What batteries tell goes into the ledger that other duties plan with. The logbook is told with each
    telegram what is stored, how far the ledger was off, what could be lent, and what vehicles could give (see `v2g`).

    Settings: `tariff` (24 prices); those of `v2g`.
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
        self._vehicles = register.of("ev")
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
        sent_ms = np.repeat([m.sent_ms for m in heard], [len(m.values["device"]) for m in heard])
        device, p_mw, soc_mwh = (np.concatenate([m.values[k] for m in heard]) for k in ("device", "p_mw", "soc_mwh"))
        mine = (device >= 0) & (device < len(self._at))
        mine[mine] = self._at[device[mine]] >= 0
        at, sent_ms, soc_mwh = self._at[device[mine]], sent_ms[mine], soc_mwh[mine]
        soc = soc_mwh / np.maximum(monitor.fleet.energy_mwh[at], 1e-12)
        for when in np.unique(sent_ms).tolist():
            then = sent_ms == when
            monitor.take(when, at[then], p_mw[mine][then], soc[then])
        rows, ledger = self._rows[at], desk.storages
        off = float(np.abs(soc_mwh - ledger.energy_mwh[rows]).sum())
        ledger.metered(rows, soc_mwh)
        return self._told(now_ms, off)

    def _told(self, now_ms: int, off_mwh: float) -> list[Message]:
        """Return where the batteries stand, for the logbook, and alarms about those that need a look."""
        report, fleet, register = self.monitor.report(now_ms), self.monitor.fleet, self._desk.register
        feeder = register.feeder[self._rows]
        bad = np.flatnonzero(report.alarm)
        causes = Counter(f"{register.feeders[f].name}: {cause}" for f, cause in zip(
            feeder[bad].tolist(), report.cause[bad].tolist(), strict=True))
        # Nobody lends what its own feeder is going to need.
        lendable = report.lendable_mw[self._desk.short_mwh[feeder] == 0]
        out = [
            alarm(self._site, "storage", f"{what}, {causes[what]} batteries", float(causes[what]))
            for what in self._standing.news(causes)
        ]
        vehicles = self._desk.vehicle_reserve(self._vehicles)
        return [*out, goal(
            self._site, DUTY, stored_mwh=float(np.nansum(report.soc * fleet.energy_mwh)), ledger_off_mwh=off_mwh,
            lendable_mw=float(lendable.sum()), participating_share=vehicles.share,
            reserve_up_mw=float(vehicles.up_mw.sum()), reserve_down_mw=float(vehicles.down_mw.sum()),
        )]
