"""Balance the cell: balance restoration control (BRC) over the DSO's own resources, in merit order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.set_points import Floats, Ints
from controllers.host import LOGBOOK
from sims.core.message import Message

DUTY = "balance_cell"
ENOUGH_H = 1 / 12


def cell_error(p_tie_mw: float, p_sched_mw: float, f_hz: float, f0_hz: float, bias_mw_per_hz: float) -> float:
    """Return CE = (P_tie - P_sched) + B (f - f0) [MW], export positive; positive where the cell is long."""
    return p_tie_mw - p_sched_mw + bias_mw_per_hz * (f_hz - f0_hz)


class RestorationLaw:
    """dP = -(k_p CE + integral of CE / T_i), held within what the resources can give.

    Parameters
    ----------
    k_p : float
    t_i_s : float
    """

    def __init__(self, k_p: float, t_i_s: float) -> None:
        self.k_p, self.t_i_s = k_p, t_i_s
        self.integral_mw = 0.0

    def step(self, error_mw: float, dt_s: float, lowest_mw: float, highest_mw: float) -> float:
        """Return the change of the cell's power asked for [MW]; at a bound the integral does not wind up."""
        integral = self.integral_mw + error_mw * dt_s / self.t_i_s
        asked = -(self.k_p * error_mw + integral)
        given = float(np.clip(asked, lowest_mw, highest_mw))
        pushing = (asked > highest_mw and error_mw < 0) or (asked < lowest_mw and error_mw > 0)
        if not pushing:
            self.integral_mw = integral
        return given


class BalanceCell:
    """Restores the scheduled exchange of the DSO's cell.

    Merit order upwards: storage, then vehicles (less charging, then back-feeding); downwards: storage, then
    vehicles' charging, then curtailment of PV and wind. Energy limits come from the storage ledger; how many
    vehicles are plugged in is a standing assumption that the integral corrects.

    Settings: `k_p` (0.1), `t_i_ms` (120 000), `cycle_ms` (60 000), `plugged_share` (0.25 of the vehicles'
    plug power can be moved), `deadband_mw` (1) and `deadband_share` (0.005 of what can be moved), below which
    a change of what is asked is not told.
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site, 60_000)
        self._law = RestorationLaw(
            float(settings.get("k_p", 0.1)), float(settings.get("t_i_ms", 120_000)) / 1000.0
        )
        self._plugged = float(settings.get("plugged_share", 0.25))
        self._deadband = float(settings.get("deadband_mw", 1.0))
        self._share = float(settings.get("deadband_share", 0.005))
        self._cell = site.grid.cells[0] if site.grid.cells else None
        self._read_ms = self._last_ms = -1
        self._asked = 0.0
        self._tiers = [self._desk.register.of(*kinds) for kinds in (("storage",), ("ev",), ("pv", "wind"))]
        # By nameplate, so that the order does not change with clouds and charge, and few are told anew.
        self._order = [np.argsort(-self._desk.register.p_rated_mw[rows], kind="stable") for rows in self._tiers]

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("tie")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return set-points for storage and vehicles, and caps for PV and wind."""
        now_ms = self._desk.read(now_s, inbox)
        newest = None
        for message in inbox:
            if message.topic == "tie" and message.sent_ms > self._read_ms:
                self._read_ms, newest = message.sent_ms, message
        if newest is None or self._cell is None:
            return []
        if self._last_ms >= 0 and now_ms - self._last_ms < 0.9 * self._desk.cycle_ms:
            return []
        values = {k: float(np.atleast_1d(newest.values[k])[0]) for k in ("f_hz", "p_tie_mw", "p_sched_mw")}
        error = cell_error(values["p_tie_mw"], values["p_sched_mw"], values["f_hz"],
                           self._site.grid.f_nominal_hz, self._cell.bias_mw_per_hz)
        elapsed_ms = self._desk.cycle_ms if self._last_ms < 0 else min(now_ms - self._last_ms, 300_000)
        self._last_ms = now_ms
        self._desk.book_storages(now_ms)
        room = self._room()
        low, high = sum(float(r[0].sum()) for r in room), sum(float(r[1].sum()) for r in room)
        asked = self._law.step(error, elapsed_ms / 1000.0, low, high)
        out: list[Message] = []
        if abs(asked - self._asked) > max(self._deadband, self._share * (high - low)) or asked == 0.0:
            self._asked = asked
            self._distribute(asked, room)
        again = self._desk.cycle_ms + 2 * self._site.period_ms
        for quantity in ("p_set_mw", "p_max_mw"):
            out += self._desk.points.orders(DUTY, quantity, now_ms, again)
        goal = {"duty": DUTY, "cell": self._cell.name, "error_mw": error, "asked_mw": asked}
        out.append(Message(self._site.name, LOGBOOK, "goal", goal))
        return out

    def _room(self) -> list[tuple[Floats, Floats]]:
        """Return by tier how far each device can go down and up for this duty [MW]."""
        desk, register = self._desk, self._desk.register
        storage, vehicles, feeding = self._tiers
        down, up = desk.storages.range_mw(storage, for_h=0.25)
        at_once = desk.storages.range_mw(storage, for_h=ENOUGH_H)
        mine = np.nan_to_num(desk.points.wished(DUTY, "p_set_mw")[storage])
        others = np.nan_to_num(desk.points.total("p_set_mw")[storage]) - mine
        # What was asked of a battery may stand as long as its energy lasts for the next cycles.
        down = np.minimum(down, np.maximum(at_once[0], np.minimum(mine + others, 0.0)))
        up = np.maximum(up, np.minimum(at_once[1], np.maximum(mine + others, 0.0)))
        tiers = [(np.minimum(down - others, 0.0), np.maximum(up - others, 0.0))]
        span = self._plugged * register.p_rated_mw[vehicles]
        tiers.append((-span, span))
        available = desk.feed_in(feeding)[1]
        tiers.append((-available, np.zeros(len(feeding))))
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
            if tier < 2:
                points.wish(DUTY, "p_set_mw", rows, np.where(np.abs(change) > 1e-6, change, np.nan))
            else:
                caps = np.where(change < -1e-6, np.maximum(-down + change, 0.0), np.nan)
                points.wish(DUTY, "p_max_mw", rows, caps)


def _filled(room: Floats, total: float, order: Ints) -> Floats:
    """Return how much of each room is used when they are filled in `order` [MW]."""
    before = np.cumsum(room[order]) - room[order]
    out = np.zeros(len(room))
    out[order] = np.clip(total - before, 0.0, room[order])
    return out
