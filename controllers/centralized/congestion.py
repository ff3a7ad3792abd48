"""Manage congestion: curtail and charge as little as possible, as long as needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.congestion import STEPS, Lever, Limits, Relief, quantised, relieve, violations
from controllers.dms.feeder_file import Picture
from controllers.dms.set_points import CHANGE, Bools, Floats, Ints
from controllers.host import LOGBOOK
from sims.core.message import Message

DUTY = "manage_congestion"


class ManageCongestion:
    """Caps PV and wind, and uses storage, where the estimate shows a limit violated.

    Settings: `cycle_ms` (300 000), `margin_pu` (0.004) and `margin_percent` (4) for the error of the
    estimate and what moves within a cycle, `cost_pv`, `cost_wind`, `cost_storage` per MW, `quantise` (caps
    only of 100/60/30/0 %), `patience` (cycles that a voltage violation may last before power is touched; 1
    where volt/VAr control is this site's too, else 0).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site)
        margin = float(settings.get("margin_pu", 0.004))
        self._limits = Limits(
            site.grid.v_min_pu + margin, site.grid.v_max_pu - margin,
            site.grid.loading_max_percent - float(settings.get("margin_percent", 4.0)),
        )
        self._cost = {
            "pv": float(settings.get("cost_pv", 1.0)), "wind": float(settings.get("cost_wind", 1.1)),
            "storage": float(settings.get("cost_storage", 0.1)),
        }
        self._quantise = bool(settings.get("quantise", False))
        self._patience = int(settings.get("patience", 1 if "control_voltage" in site.duties else 0))
        self._waited: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return caps and storage set-points that changed, are about to expire or may be lifted."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        desk.book_storages(now_ms)
        out: list[Message] = []
        acted = False
        for number, feeder in enumerate(desk.register.feeders):
            picture = desk.state.picture(feeder.name, now_ms)
            if picture is None or now_ms - self._seen.get(feeder.name, -(10**9)) < desk.cycle_ms // 2:
                continue
            if picture.at_ms == self._seen.get(feeder.name):
                continue
            self._seen[feeder.name] = picture.at_ms
            rows = desk.register.of("pv", "wind", "storage", feeder=number)
            acted = True
            if len(rows) and self._called_for(feeder.name, picture, rows):
                out.append(self._relieve(number, picture, rows, now_ms))
        if acted:
            again = desk.cycle_ms + desk.site.period_ms // 5
            for quantity in ("p_max_mw", "p_set_mw"):
                out += desk.points.orders(DUTY, quantity, now_ms, again)
        return out

    def _called_for(self, name: str, picture: Picture, rows: Ints) -> bool:
        """Tell whether a feeder has to be solved: something is violated, or curtailed now."""
        points = self._desk.points
        if any(np.isfinite(points.wished(DUTY, q)[rows]).any() for q in ("p_max_mw", "p_set_mw")):
            return True
        nodes, branches = violations(picture.topology, picture.v, self._limits)
        if branches.any():
            return True
        self._waited[name] = self._waited.get(name, 0) + 1 if nodes.any() else 0
        return self._waited[name] > self._patience

    def _relieve(self, number: int, picture: Picture, rows: Ints, now_ms: int) -> Message:
        """Solve one feeder, note the wishes, and return what it came to, for the logbook."""
        desk = self._desk
        register, name = desk.register, desk.register.feeders[number].name
        levers, others, is_storage = self._levers(number, rows, now_ms)
        net = picture.topology.net
        found = relieve(picture.topology, picture.v, picture.s, picture.v[net.anchor], levers, self._limits)
        self._note(rows, levers, found, others, is_storage)
        node = register.node[rows]
        change = found.p_mw - levers.p_mw
        zero = np.zeros(len(rows))
        desk.state.expect(name, node[~is_storage], change[~is_storage], zero[~is_storage], der=True)
        desk.state.expect(name, node[is_storage], change[is_storage], zero[is_storage])
        curtailed = float((levers.preferred_mw - found.p_mw)[~is_storage].sum())
        values = {"duty": DUTY, "feeder": name, "curtailed_mw": curtailed, "secure": float(found.secure)}
        return Message(self._site.name, LOGBOOK, "goal", values)

    def _levers(self, number: int, rows: Ints, now_ms: int) -> tuple[Lever, Floats, Bools]:
        """Return the levers, what other duties want of the storages, and which rows are storages."""
        desk, register = self._desk, self._desk.register
        is_storage = register.kind[rows] == "storage"
        now, available = desk.feed_in(number, rows, now_ms)
        total = np.nan_to_num(desk.points.total("p_set_mw")[rows])
        others = total - np.nan_to_num(desk.points.wished(DUTY, "p_set_mw")[rows])
        charge, discharge = desk.storages.range_mw(rows, for_h=1.0)
        levers = Lever(
            node=register.node[rows], p_mw=np.where(is_storage, total, now),
            lower_mw=np.where(is_storage, charge, 0.0), upper_mw=np.where(is_storage, discharge, available),
            preferred_mw=np.where(is_storage, others, available),
            cost=np.array([self._cost[kind] for kind in register.kind[rows]]),
        )
        return levers, others, is_storage

    def _note(self, rows: Ints, levers: Lever, found: Relief, others: Floats, is_storage: Bools) -> None:
        """Turn the optimum into wishes: caps for feed-in below what is available, changes for storage."""
        points, rated = self._desk.points, self._desk.register.p_rated_mw[rows]
        away = np.abs(found.p_mw - levers.preferred_mw) > CHANGE * rated
        cap = quantised(found.p_mw, rated, STEPS) if self._quantise else found.p_mw
        cap = np.where(away, np.maximum(cap, 0.0), np.nan)
        points.wish(DUTY, "p_max_mw", rows[~is_storage], cap[~is_storage])
        change = np.where(away, found.p_mw - others, np.nan)
        points.wish(DUTY, "p_set_mw", rows[is_storage], change[is_storage])
