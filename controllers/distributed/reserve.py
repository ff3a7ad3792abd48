"""Power that one area can add at once: its batteries, then its vehicles' charging."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import LOW_VOLTAGE_KV, Area
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.order_kernels import filled
from controllers.distributed.paths import fed_by
from controllers.distributed.picture import Frame
from controllers.dms.charging import EV_WEIGHT, KEPT_SHARE, LOAD_WEIGHT
from controllers.dms.v2g import believed_reserve
from sims.core.message import Message

Floats = NDArray[np.float64]


class Reserve:
    """The batteries and vehicles of an area, for all duties that ask power of them.

    Upwards batteries discharge, then clusters of vehicles charge less; downwards batteries charge. One battery
    after the other is taken at its full power and the rest follow their own plans: a set-point replaces a plan, and
    all of them at once would move far more than was asked for. The state of charge of each is kept from the own
    set-points and the nameplate. The relief of a transformer takes its part of what stands behind that transformer
    first, and leaves a cluster `KEPT_SHARE` of what it is believed to draw; balancing has the rest, and has
    clusters stop and feed back what vehicles are believed to have in reserve (see `dms.v2g`). What stands in low-
    voltage grids, whose voltages an agent hears of each quarter-hour only, is not moved for others.

    What clusters draw is believed from their substations' frames, as in `dms.charging`: what is not fed in
    there is demand, and clusters get their part of it by nameplate.

    Settings
    --------
    ttl_s : float
        Life of a battery's set-point (3600).
    ev_ttl_s : float
        Life of a vehicle's (3600).
    soc_start, soc_low, soc_high : float
        (0.5, 0.1, 0.9)
    """

    def __init__(self, site: Site, area: Area) -> None:
        s = site.settings
        self.ttl_s, self.ev_ttl_s = float(s.get("ttl_s", 3600.0)), float(s.get("ev_ttl_s", 3600.0))
        self.soc_low, self.soc_high = float(s.get("soc_low", 0.1)), float(s.get("soc_high", 0.9))
        self.storage = OrderBook(site, area.fleet("storage"), "p_set_mw")
        self.ev = OrderBook(site, area.fleet("ev"), "p_set_mw")
        grid, storage, ev = area.feeder.grid, self.storage.fleet, self.ev.fleet
        self.rated_mw = np.where(grid.vn_kv[storage.node] > LOW_VOLTAGE_KV, storage.p_rated_mw, 0.0)
        self.whole_mwh = storage.energy_mwh
        self.energy_mwh = float(s.get("soc_start", 0.5)) * self.whole_mwh
        self.ev_rated_mw = np.where(grid.vn_kv[ev.node] > LOW_VOLTAGE_KV, ev.p_rated_mw, 0.0)
        at_node = np.bincount(ev.node, ev.p_rated_mw, grid.n_nodes)[ev.node]
        usual = EV_WEIGHT * at_node + LOAD_WEIGHT * area.feeder.load_mw[ev.node]
        self.ev_part = EV_WEIGHT * self.ev_rated_mw / np.maximum(usual, 1e-9)
        self.ev_mw: Floats = EV_WEIGHT * self.ev_rated_mw
        self.ev_at: dict[int, list[tuple[int, float, float]]] = {}
        for k, node in enumerate(ev.node.tolist()):
            self.ev_at.setdefault(node, []).append((k, float(self.ev_part[k]), float(self.ev_rated_mw[k])))
        # Beside the charging that stops; each vehicle gives what it can spare before its departure.
        self.back_mw = believed_reserve(self.ev_rated_mw, np.zeros(len(self.ev_rated_mw)), s).up_mw
        fed = fed_by(grid)
        self.storage_under, self.ev_under = fed[storage.node], fed[ev.node]
        self.relief_mw = np.zeros(int(fed.max(initial=0)) + 1)
        under = np.arange(len(self.relief_mw))[:, None]
        self._storage_of, self._ev_of = 1.0 * (self.storage_under == under), 1.0 * (self.ev_under == under)
        self.balance_mw, self.last_s = 0.0, -math.inf
        self._able = self._battery_power()

    @property
    def orders(self) -> int:
        """Orders that it takes to move all of it."""
        return len(self.storage.fleet.gateways) + len(self.ev.fleet.gateways)

    def take(self, frames: Iterable[Frame]) -> None:
        """Take substations' frames; of a cluster that is held back they do not tell what it would draw."""
        told = self.ev.told.tolist() if self.ev.holds else None
        for frame in frames:
            clusters = self.ev_at.get(frame.node)
            if clusters is None:
                continue
            demand_mw = max(frame.der_mw - frame.p_mw, 0.0)
            for k, part, rated_mw in clusters:
                if told is None or math.isnan(told[k]):
                    self.ev_mw[k] = min(demand_mw * part, rated_mw)

    def count(self, now_s: float) -> None:
        """Keep the states of charge from the set-points in force."""
        hours = (now_s - self.last_s) / 3600 if math.isfinite(self.last_s) else 0.0
        self.last_s = now_s
        if hours > 0 and self.storage.wishes:
            used = np.nan_to_num(self.storage.told) * hours
            self.energy_mwh = np.clip(self.energy_mwh - used, 0.0, self.whole_mwh)
            self._able = self._battery_power()

    def _battery_power(self) -> tuple[Floats, Floats]:
        full = self.energy_mwh > self.soc_low * self.whole_mwh
        room = (self.energy_mwh < self.soc_high * self.whole_mwh) & (self.energy_mwh > 0)
        return np.where(full, self.rated_mw, 0.0), np.where(room, self.rated_mw, 0.0)

    def able_mw(self, side: int) -> Floats:
        """Return the power of each battery that can still discharge (1) or charge (-1) [MW]."""
        return self._able[0 if side > 0 else 1]

    def capacity_mw(self) -> tuple[float, float, float]:
        """Return what batteries can give up and down for the balance of the cell, and vehicles up [MW]."""
        if not self.relief_mw.any():
            return float(self.able_mw(1).sum()), float(self.able_mw(-1).sum()), float(self.ev_mw.sum())
        storage, held = self._relieving()
        free = np.isnan(storage)
        return float(self.able_mw(1) @ free), float(self.able_mw(-1) @ free), float(self.ev_mw @ np.isnan(held))

    def relief_capacity_mw(self, trafo: int) -> float:
        """Return what can be given up behind one transformer [MW]."""
        storage = float(self.able_mw(1) @ self._storage_of[trafo])
        return storage + (1.0 - KEPT_SHARE) * float(self.ev_mw @ self._ev_of[trafo])

    @property
    def due_s(self) -> float:
        """When something in force has to be told again."""
        return min(self.storage.due_s, self.ev.due_s)

    def relieve(self, duty: str, trafo: int, amount_mw: float, now_s: float) -> list[Message]:
        """Return the orders that make the area give `amount_mw` behind one transformer."""
        self.relief_mw[trafo] = amount_mw
        return self._letters(duty, now_s)

    def balance(self, duty: str, amount_mw: float, now_s: float) -> list[Message]:
        """Return the orders that make the area give `amount_mw` beside what relieves transformers."""
        self.balance_mw = amount_mw
        return self._letters(duty, now_s)

    def _relieving(self) -> tuple[Floats, Floats]:
        """Return the set-point of each battery that relieves and what each cluster holds back, nan for others."""
        storage, held = np.full(len(self.rated_mw), np.nan), np.full(len(self.ev_mw), np.nan)
        if not self.relief_mw.any():
            return storage, held
        able = self.able_mw(1)
        for trafo in np.flatnonzero(self.relief_mw > 0).tolist():
            behind, amount = self.storage_under == trafo, float(self.relief_mw[trafo])
            given = filled(np.where(behind, able, 0.0), amount)
            storage[behind] = given[behind]
            rest = amount - float(np.nansum(given))
            behind, room = self.ev_under == trafo, (1.0 - KEPT_SHARE) * self.ev_mw
            if rest > 1e-9:
                held[behind] = filled(np.where(behind, room, 0.0), rest)[behind]
        return storage, held

    def _letters(self, duty: str, now_s: float) -> list[Message]:
        storage, held = self._relieving()
        amount = self.balance_mw
        able = np.where(np.isnan(storage), self.able_mw(1 if amount > 0 else -1), 0.0)
        given = filled(able, amount)
        storage = np.where(np.isfinite(given), given, storage)
        rest = amount - float(np.nansum(given))
        stop = np.zeros(len(held), dtype=bool)
        if rest > 1e-9:
            stop = np.isfinite(filled(np.where(np.isnan(held), self.ev_mw, 0.0), rest))
        self.storage.wish("power", storage if np.isfinite(storage).any() else None)
        drawn = np.where(stop, self.back_mw, held - self.ev_mw)
        self.ev.wish("power", drawn if np.isfinite(drawn).any() else None)
        return self.storage.letters(duty, now_s, self.ttl_s) + self.ev.letters(duty, now_s, self.ev_ttl_s)


def reserve_of(site: Site, area: Area) -> Reserve:
    """Return the reserve of an area, the same for all its duties."""
    reserve: Reserve = shared(site, "reserve", lambda: Reserve(site, area))
    return reserve
