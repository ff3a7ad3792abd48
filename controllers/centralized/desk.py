"""The desk that all controllers of one DMS share: the picture of the grid, the book of orders, the storages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.contract import Site
from controllers.dms.believed_state import BelievedState, shared_state
from controllers.dms.charging import Charging
from controllers.dms.feed_in import believed_feed_in
from controllers.dms.readings import Board
from controllers.dms.set_points import Floats, Ints, Register, SetPoints, shared_set_points
from controllers.dms.storage import StorageLedger
from controllers.dms.v2g import Reserve, believed_reserve
from controllers.responsibility import ALWAYS_MS
from sims.core.message import Message

FILED = frozenset({"primary", "secondary", "fault", "switched"})
"""What goes into the files of the feeders."""


class Desk:
    """One controller's seat at the shared desk.

    The host hands every controller of a site the same mail and may hand them the same dict in
    ``site.settings["shared"]``; then one estimation a cycle serves all of them, and orders of different
    duties to one device add up. Without it each controller keeps its own.
    """

    def __init__(self, site: Site, cycle_ms: int = 300_000) -> None:
        self.site = site
        self.state: BelievedState = shared_state(site)
        self.points: SetPoints = shared_set_points(site)
        self.register: Register = self.points.register
        self.cycle_ms = int(site.settings.get("cycle_ms", cycle_ms))
        shared = site.settings.get("shared")
        book = shared if isinstance(shared, dict) else {}
        if "storages" not in book:
            start = float(site.settings.get("soc_start", 0.5))
            book["storages"] = StorageLedger(self.register, start)
        self.storages: StorageLedger = book["storages"]
        if "charging" not in book:
            book["charging"] = Charging(self.register)
        self.charging: Charging = book["charging"]
        self.droop_mw_per_hz: Floats = book.setdefault("droop", np.zeros(len(self.register)))
        """Droop that each device has been told to give, by whoever of the desk contains frequency."""
        self.short_mwh: Floats = book.setdefault("short", np.zeros(len(self.register.feeders)))
        """Energy that will lack at each feeder's transformers in the hours to come, by whoever of the desk foresees."""
        if "need" not in book:
            book["need"] = [np.full(len(self.state.files[f.name].net.anchor), np.nan) for f in self.register.feeders]
        self.need_mwh: list[Floats] = book["need"]
        """By feeder, what storage has to give, or (negative) take in, below each busbar; nan where nobody foresees."""
        always = ((0, ALWAYS_MS),) if "support_tso_voltage" in site.duties else ()
        self.tso_voltage_ms: tuple[tuple[int, int], ...] = site.settings.get("tso_voltage_ms", always)
        """When this site supports the TSO's voltage, as (from, until) [ms]."""
        self._periods: list[int] = book.setdefault("periods", [])
        self._seat = len(self._periods)
        self._periods.append(site.period_ms)

    def mail(self, *own: str) -> frozenset[str]:
        """Return the topics that this seat has to be given: its own, and what is filed if it keeps the files.

        They are kept by whoever is called most often, the first of them; once is enough for all.
        """
        return frozenset(own) | FILED if self._keeps else frozenset(own)

    @property
    def _keeps(self) -> bool:
        return self._periods.index(min(self._periods)) == self._seat

    @property
    def board(self) -> Board | None:
        """Where frames for this seat are put up, once and whole; None where it does not keep the files."""
        return self.state.board if self._keeps else None

    def read(self, now_s: float, inbox: Sequence[Message]) -> int:
        """Take in the mail, book the storages, return the time [ms]."""
        now_ms = round(now_s * 1000)
        self.state.take(inbox)
        if self._keeps:
            self.state.collect()
        return now_ms

    def supports_tso(self, now_ms: int) -> bool:
        """Tell whether support of the TSO's voltage is this site's at `now_ms` [ms]."""
        return any(start <= now_ms < end for start, end in self.tso_voltage_ms)

    def book_storages(self, now_ms: int) -> None:
        """Reckon the batteries up to now."""
        if now_ms != self.storages.at_ms:
            self.storages.advance(now_ms, self.points.in_force("p_set_mw", now_ms))

    def feed_in(self, rows: Ints) -> tuple[Floats, Floats]:
        """Return what PV and wind devices `rows` are believed to feed in, and could [MW]."""
        return believed_feed_in(self.register, self.state.readings, rows, self.points.total("p_max_mw"))

    def charges(self, rows: Ints) -> tuple[Floats, Floats, Floats]:
        """Return what charging clusters `rows` draw, would draw if let, and must be left at least [MW]."""
        return self.charging.believed(self.state.readings, rows, self.points.total("p_max_mw"))

    def vehicle_reserve(self, rows: Ints) -> Reserve:
        """Return what the vehicles at charging clusters `rows` can give, by what they are believed to draw."""
        return believed_reserve(self.register.p_rated_mw[rows], self.charges(rows)[0], self.site.settings)

    def reach(self, rows: Ints) -> Floats:
        """Return the reactive power that inverters `rows` can give beside their active power, either way [Mvar]."""
        register = self.register
        p = np.abs(self.points.total("p_set_mw")[rows])
        p[np.isnan(p)] = 0.0
        p = np.where(register.feeds_in[rows], self.feed_in(rows)[1], p)
        return np.asarray(np.sqrt(np.maximum(register.s_rated_mva[rows] ** 2 - p**2, 0.0)), dtype=np.float64)
