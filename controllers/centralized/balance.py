"""Balance the cell: balance restoration control (BRC) over all resources of the cell, in merit order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.centralized.frequency import DEADBAND_HZ
from controllers.contract import Site
from controllers.dms.set_points import FULL_HZ, Floats, Ints
from controllers.logbook import LOGBOOK
from controllers.restoration_law import RestorationLaw, beyond_mw, cell_error
from controllers.stations import Stations
from sims.core.message import Message

DUTY = "balance_cell"
ENOUGH_H = 1 / 12
STORAGE, VEHICLES, CHP = range(3)


class BalanceCell:
    """Restores the scheduled exchange of the DSO's cell with the reserves of all that stands in it.

    The contracted reserve of the cell's power stations is what lasts, and is called for all that is asked. Until
    it has come the fast resources fill in: storage, then vehicles, which charge less, down to what must be left
    to them. They are let go as it comes, so that neither stored energy nor drivers pay for an outage. What is
    asked beyond the reserve stays with them, and downwards with CHP, then PV and wind, held back last.

    CE counts the answer of the DSO's own devices to frequency as the cell's, so that a disturbance elsewhere,
    which they help to contain, is no error here. Energy limits of storage come from the storage ledger, what
    vehicles draw from the substations' frames.

    Stations are called on each measurement of the ties, once a cycle: every 4 s while frequency moves. Devices look
    for orders at the grid step only, and are told once a period.

    Settings: `k_p` (0.1), `t_i_ms` (120 000), `cycle_ms` (4000), `deadband_mw` (1) and `deadband_share` (0.02 of
    what storage and vehicles can move), below which a change of what they are asked is not told; those of `Stations`.
    """

    urgent = frozenset({"tie"})

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site, 4_000)
        self._law = RestorationLaw(
            float(settings.get("k_p", 0.1)), float(settings.get("t_i_ms", 120_000)) / 1000.0, site.period_ms / 1000.0,
        )
        self._stations = Stations(site, site.grid.generators)
        self._deadband = float(settings.get("deadband_mw", 1.0))
        self._share = float(settings.get("deadband_share", 0.02))
        self._cell = site.grid.cells[0] if site.grid.cells else None
        self._measured_ms = -self._desk.cycle_ms
        self._missing = self._filled_in = 0.0
        register = self._desk.register
        self._tiers = [register.of(*kinds) for kinds in (("storage",), ("ev",), ("chp",), ("pv", "wind"))]
        self._drawn: Floats = np.zeros(len(self._tiers[VEHICLES]))
        # By nameplate, so that the order does not change with clouds and charge, and few are told anew.
        self._order = [np.argsort(-register.p_rated_mw[rows], kind="stable") for rows in self._tiers]

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("tie")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return calls to power stations, set-points for storage, caps for vehicles, CHP, PV and wind."""
        now_ms = self._desk.read(now_s, inbox)
        newest = max((m for m in inbox if m.topic == "tie"), key=lambda m: m.sent_ms, default=None)
        if newest is None or self._cell is None or newest.sent_ms < self._measured_ms + self._desk.cycle_ms:
            return []
        since_ms, period_ms = newest.sent_ms - self._measured_ms, self._site.period_ms
        first = newest.sent_ms // period_ms != self._measured_ms // period_ms  # of a period: devices are told now
        self._measured_ms = newest.sent_ms
        stations, law, period_s, error = self._stations, self._law, period_ms / 1000.0, self._error(newest)
        stations.advance(now_s)
        law.measure(error, newest.sent_ms / 1000.0)
        orders = self._fill_in(law.within(period_s), *stations.reach_mw(period_s), now_ms) if first else []
        low, high = stations.reach_mw(min(since_ms, period_ms) / 1000.0)
        asked = law.ask(low + self._missing, high + self._missing)
        out = stations.call(DUTY, asked, now_s) + orders
        goal = {"duty": DUTY, "cell": self._cell.name, "error_mw": error, "asked_mw": asked,
                "stations_mw": stations.called_mw, "filled_in_mw": self._filled_in}
        out.append(Message(self._site.name, LOGBOOK, "goal", goal))
        return out

    def _error(self, tie: Message) -> float:
        """Return the cell's control error [MW]."""
        assert self._cell is not None
        f_hz, p_tie, p_sched = (float(np.atleast_1d(tie.values[k])[0]) for k in ("f_hz", "p_tie_mw", "p_sched_mw"))
        f0_hz = self._site.grid.f_nominal_hz
        own = beyond_mw(f_hz - f0_hz, DEADBAND_HZ, float(self._desk.droop_mw_per_hz.sum()))
        return cell_error(p_tie, p_sched, f_hz, f0_hz, self._cell.bias_mw_per_hz) + own

    def _fill_in(self, asked_mw: float, least_mw: float, most_mw: float, now_ms: int) -> list[Message]:
        """Return the orders that make the DSO's own resources give what lies beyond the stations' reach.

        `asked_mw` is what will be asked until devices look for orders again, the others what stations can give by then.
        """
        self._desk.book_storages(now_ms)
        if self._filled_in == 0.0 and least_mw <= asked_mw <= most_mw:
            self._missing = 0.0
            return []
        room = self._room()
        down, up = ([float(r[k].sum()) for r in room] for k in (0, 1))
        # Feed-in is held back only once the stations are as far down as they go.
        last = sum(down[CHP:]) if least_mw <= -self._stations.reserve_mw else 0.0
        lowest, highest = sum(down[:CHP]) + last, sum(up)
        missing = min(max(asked_mw - min(max(asked_mw, least_mw), most_mw), lowest), highest)
        dead = max(self._deadband, self._share * (sum(up) - sum(down[:CHP])))
        self._missing, wanted = missing, missing if abs(missing) > dead else 0.0
        if abs(wanted - self._filled_in) > dead or wanted == 0.0 != self._filled_in:
            self._filled_in = wanted
            self._distribute(wanted, room)
        again = 3 * self._site.period_ms
        return [
            order for quantity in ("p_set_mw", "p_max_mw")
            for order in self._desk.points.orders(DUTY, quantity, now_ms, again)
        ]

    def _room(self) -> list[tuple[Floats, Floats]]:
        """Return by tier how far each device can go down and up for this duty [MW]."""
        desk = self._desk
        storage, vehicles, *feeding = self._tiers
        down, up = desk.storages.range_mw(storage, for_h=0.25)
        at_once = desk.storages.range_mw(storage, for_h=ENOUGH_H)
        mine = np.nan_to_num(desk.points.wished(DUTY, "p_set_mw")[storage])
        others = np.nan_to_num(desk.points.total("p_set_mw")[storage]) - mine
        # What was asked of a battery may stand as long as its energy lasts for the next cycles.
        down = np.minimum(down, np.maximum(at_once[0], np.minimum(mine + others, 0.0)))
        up = np.maximum(up, np.minimum(at_once[1], np.maximum(mine + others, 0.0)))
        # What its droop has promised, a battery keeps.
        free = desk.register.p_rated_mw[storage] - desk.droop_mw_per_hz[storage] * (FULL_HZ - DEADBAND_HZ)
        down, up = np.maximum(down, -free), np.minimum(up, free)
        tiers = [(np.minimum(down - others, 0.0), np.maximum(up - others, 0.0))]
        _, self._drawn, least = desk.charges(vehicles)
        # What their droop has promised, vehicles keep too.
        promised = desk.droop_mw_per_hz[vehicles] * (FULL_HZ - DEADBAND_HZ)
        spare = np.maximum(desk.vehicle_reserve(vehicles).up_mw - promised, 0.0)
        tiers.append((np.zeros(len(vehicles)), np.clip(self._drawn - least, 0.0, spare)))
        # What substations say could be fed in, by nameplate: it does not move with what is held back.
        told, register = desk.state.readings.der_avail_mw, desk.register
        for rows in feeding:
            available = np.minimum(told[register.place[rows]] * register.share[rows], register.p_rated_mw[rows])
            tiers.append((-available, np.zeros(len(rows))))
        return tiers

    def _distribute(self, total_mw: float, room: list[tuple[Floats, Floats]]) -> None:
        """Fill tier after tier; within a tier the largest first, so that a small change is few messages."""
        points = self._desk.points
        left = total_mw
        for tier, (rows, (down, up)) in enumerate(zip(self._tiers, room, strict=True)):
            part = up if total_mw > 0 else down
            whole = float(part.sum())
            given = float(np.clip(left, min(whole, 0.0), max(whole, 0.0)))
            left -= given
            change = np.sign(given) * _filled(np.abs(part), abs(given), self._order[tier])
            moved = np.abs(change) > 1e-6
            if tier == STORAGE:
                points.wish(DUTY, "p_set_mw", rows, np.where(moved, change, np.nan))
            else:
                cap = self._drawn - change if tier == VEHICLES else change - down
                points.wish(DUTY, "p_max_mw", rows, np.where(moved, np.maximum(cap, 0.0), np.nan))


def _filled(room: Floats, total: float, order: Ints) -> Floats:
    """Return how much of each room is used when they are filled in `order` [MW]."""
    before = np.cumsum(room[order]) - room[order]
    out = np.zeros(len(room))
    out[order] = np.clip(total - before, 0.0, room[order])
    return out
