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
    lasts both ways; what is left goes to clusters of vehicles, of which `plugged_share` counts as plugged in.
    Reckoned anew each cycle, told where it has moved, and renewed before it runs out.

    Settings: `droop_mw_per_hz` (a tenth of the cell's bias), `plugged_share` (0.2), `look_s` (3600),
    `droop_ttl_s` (43 200).
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
        plugged = float(settings.get("plugged_share", 0.2))
        self._vehicles_mw = plugged * register.p_rated_mw[self._vehicles]
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
        left = self._owed
        for rows, most in ((self._storage, able), (self._vehicles, self._vehicles_mw / FULL_HZ)):
            whole = float(most.sum())
            part = min(left / whole, 1.0) if whole > 0 else 0.0
            droop[rows] = part * most
            left = max(left - part * whole, 0.0)
        return droop
