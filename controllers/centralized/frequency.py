"""Contain frequency: the DMS says how much droop each battery and charging cluster of its DSO gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.set_points import FULL_HZ, Floats
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "contain_frequency"
DEADBAND_HZ = 0.01
"""Deviation up to which the droop of devices gives nothing (FCR)."""
KEEPS_H = 0.25
"""How long a promised reserve has to last, both ways."""


class ContainFrequency:
    """Allocates the droop that the DSO owes its cell to storage, and to vehicles where storage does not suffice.

    Without such an order each device offers what it likes, half of its rating for storage: far more than is owed,
    and kept from every other use. Storage gives in proportion to its rating, as far as the energy believed in it
    lasts both ways, so that a battery that has used up all but what it keeps for droop goes on keeping it: let go
    everywhere at once, that energy would leave as a surge which no exchange is planned for. What is left goes to
    clusters of vehicles, as far as they are believed to have it in reserve both ways (see `v2g`). Reckoned anew each
    cycle, told where it has moved, and renewed before it runs out.

    Settings: `droop_mw_per_hz` (a tenth of the cell's bias), `look_s` (3600),
    `droop_ttl_s` (43 200); those of `v2g`.
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site)
        cell = site.grid.cells[0] if site.grid.cells else None
        owed = 0.1 * cell.bias_mw_per_hz if cell is not None else 0.0
        self._owed = float(settings.get("droop_mw_per_hz", owed))
        self._look_s = float(settings.get("look_s", 3600.0))
        self._ttl_ms = int(1000 * float(settings.get("droop_ttl_s", 43_200.0)))
        register = self._desk.register
        self._storage, self._vehicles = register.of("storage"), register.of("ev")
        self._desk.points.ttl_ms["droop_mw_per_hz"] = self._ttl_ms
        self.due_s = 0.0

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail()

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the droops that changed, or are about to run out."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        if now_s < self.due_s:
            return []
        self.due_s = now_s + self._look_s
        desk.book_storages(now_ms)
        droop = self._allocated()
        rows = np.flatnonzero(np.isfinite(droop))
        desk.droop_mw_per_hz[rows] = droop[rows]
        desk.points.wish(DUTY, "droop_mw_per_hz", rows, droop[rows])
        given = float(droop[rows].sum())
        out = desk.points.orders(DUTY, "droop_mw_per_hz", now_ms, int(1000 * self._look_s) + 2 * self._site.period_ms)
        goal = {"duty": DUTY, "owed_mw_per_hz": self._owed, "given_mw_per_hz": given}
        out.append(Message(self._site.name, LOGBOOK, "goal", goal))
        return out

    def _allocated(self) -> Floats:
        """Return the droop of each device [MW/Hz], nan for those that have none."""
        register = self._desk.register
        charge, discharge = self._desk.storages.range_mw(self._storage, for_h=KEEPS_H)
        lasting = np.minimum(-charge, discharge) / (FULL_HZ - DEADBAND_HZ)
        able = np.clip(lasting, 0.0, register.p_rated_mw[self._storage] / FULL_HZ)  # nothing of one that is at its end
        droop = np.full(len(register), np.nan)
        left, both = self._owed, self._desk.vehicle_reserve(self._vehicles).symmetric_mw
        for rows, most in ((self._storage, able), (self._vehicles, both / (FULL_HZ - DEADBAND_HZ))):
            droop[rows] = by_rating(left, register.p_rated_mw[rows], most)
            left = max(left - float(droop[rows].sum()), 0.0)
        return droop


def by_rating(whole: float, rated: Floats, most: Floats) -> Floats:
    """Return parts of `whole` in proportion to `rated`, none above its `most`; all of `most` where that is less."""
    if float(most.sum()) <= whole:
        return most.copy()
    order = np.argsort(most / np.maximum(rated, 1e-12), kind="stable")
    full, free = np.cumsum(most[order]) - most[order], np.cumsum(rated[order][::-1])[::-1]
    # Up to the device at which what is left over the ratings still free lies below its own limit, all give their most.
    level = (whole - full) / np.maximum(free, 1e-12)
    first = int(np.argmax(level * rated[order] <= most[order]))
    return np.asarray(np.minimum(level[first] * rated, most), np.float64)
