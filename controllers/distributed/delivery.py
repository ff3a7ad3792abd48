"""Active power out of one area: storage first, then charging that waits, then generation held back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Area, number
from controllers.distributed.sharing import ShareTree
from sims.core.message import Message

DUTY = "balance_cell"
Floats = NDArray[np.float64]


class ShareActive:
    """An area's part in the balance of its cell: tells what it can give up and down, delivers its share.

    Upwards: storage discharges, then vehicles stop charging. Downwards: storage charges, then PV and wind are
    capped. One battery after the other is taken at its full power and the rest follow their own plans: a
    set-point replaces a plan, and all of them at once would move far more than was asked for. The state of
    charge of each is kept from the own set-points and the nameplate; a cap never lifts the one that the
    neighbours agree on against congestion.

    Settings
    --------
    ttl_s : float
        Life of a set-point (3600).
    step : float
        Least change that is sent before a renewal is due, as a share of the own capacity (0.05).
    charging_share : float
        Share of the vehicles' rating taken to be charging at any time (0.05).
    soc_start, soc_low, soc_high : float
        (0.5, 0.1, 0.9)
    """

    urgent = frozenset({"share/p"})

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area = Area(site)
        s = site.settings
        self.ttl_s, self.step = float(s.get("ttl_s", 3600.0)), float(s.get("step", 0.05))
        self.charging_share = float(s.get("charging_share", 0.05))
        self.soc_low, self.soc_high = float(s.get("soc_low", 0.1)), float(s.get("soc_high", 0.9))
        self.storage = self.area.fleet("storage")
        self.ev = self.area.fleet("ev")
        self.der = self.area.fleet("pv", "wind")
        self.der_mw = float(self.der.p_rated_mw.sum())
        self.ev_mw = float(self.ev.p_rated_mw.sum()) * self.charging_share
        self.energy_mwh = float(s.get("soc_start", 0.5)) * self.storage.energy_mwh
        self.tree = ShareTree(self.area, "p", width=2)
        self.avail_mw: dict[int, float] = {}
        self.frames: list[Message] = []
        self.cap_ratio, self.cap_s = 1.0, -math.inf
        self.storage_set_mw = np.zeros(len(self.storage))
        self.amount = self.sent = 0.0
        self.sent_s = self.last_s = -math.inf
        self.used: set[str] = set()
        self.next_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Keep the sums, split a share that has come, deliver the own part."""
        share = None
        for message in inbox:
            topic = message.topic
            if topic == "secondary":
                self.frames.append(message)
            elif topic == "capacity/p":
                self.tree.hear(message)
                self.next_s = now_s
            elif topic == "consensus/p":
                self.cap_ratio, self.cap_s = float(message.values["ratio"]), now_s
            elif topic == "share/p" and message.sender == self.tree.parent:
                share = float(message.values["amount"])
        if share is None and now_s < self.next_s:
            return []
        self.next_s = now_s + (60.0 if self.amount else 300.0)
        self._count(now_s)
        up, down = self._capacity()
        self.tree.own = np.array([sum(up), sum(down)])
        out = self.tree.announce(self.site.name, now_s)
        if share is not None:
            self.amount, letters = self.tree.split(self.site.name, share, 0 if share >= 0 else 1)
            out += letters
        scale = max(sum(up) if self.amount >= 0 else sum(down), 1e-9)
        ended = self.amount == 0 and self.sent != 0
        due = self.amount != 0 and now_s - self.sent_s >= self.ttl_s / 2
        if abs(self.amount - self.sent) <= self.step * scale and not ended and not due:
            return out
        self.sent, self.sent_s = self.amount, now_s
        return out + self._deliver(up, down, now_s)

    def _count(self, now_s: float) -> None:
        """Keep the state of charge from the set-point in force."""
        if math.isfinite(self.last_s) and self.storage_set_mw.any():
            used = self.storage_set_mw * (now_s - self.last_s) / 3600
            self.energy_mwh = np.clip(self.energy_mwh - used, 0.0, self.storage.energy_mwh)
        self.last_s = now_s

    def _capacity(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return what can be given up (storage, vehicles) and down (storage, generation) [MW]."""
        for frame in self.frames:
            self.avail_mw[int(number(frame.values["node"]))] = number(frame.values["der_avail_mw"])
        self.frames = []
        up, down = (float(self._able(side).sum()) for side in (1, -1))
        return (up, self.ev_mw), (down, min(sum(self.avail_mw.values()), self.der_mw))

    def _able(self, side: int) -> Floats:
        """Return the power of the batteries that can still discharge (1) or charge (-1) [MW]."""
        whole = np.maximum(self.storage.energy_mwh, 1e-12)
        soc = self.energy_mwh / whole
        free = (soc > self.soc_low) if side > 0 else (soc < self.soc_high) & (self.storage.energy_mwh > 0)
        return np.where(free, self.storage.p_rated_mw, 0.0)

    def _engage(self, total_mw: float) -> list[Message]:
        """Take as many batteries as `total_mw` needs; give those back that are needed no more."""
        room = self._able(1 if total_mw > 0 else -1)
        share = np.clip(abs(total_mw) - (np.cumsum(room) - room), 0.0, room)
        wanted = np.where(share > 1e-9, math.copysign(1.0, total_mw) * share, 0.0)
        touched = (wanted != 0) | (self.storage_set_mw != 0)
        gateways = tuple((g, run) for g, run in self.storage.gateways if touched[run].any())
        self.storage_set_mw = wanted
        p_set = np.where(wanted != 0, wanted, np.inf)
        return replace(self.storage, gateways=gateways).orders(self.site, DUTY, self.ttl_s, "p_set_mw", p_set)

    def _deliver(self, up: tuple[float, float], down: tuple[float, float], now_s: float) -> list[Message]:
        amount, out = self.amount, []
        first = min(max(amount, -down[0]), up[0])
        rest = amount - first
        if len(self.storage) and (first or "storage" in self.used):
            out += self._engage(first)
            self._mark("storage", first != 0)
        stopped = min(rest / up[1], 1.0) if rest > 0 and up[1] > 0 else 0.0
        if stopped or "ev" in self.used:
            out += self._hold_charging(stopped)
            self._mark("ev", stopped > 0)
        cut = min(-rest / down[1], 1.0) if rest < 0 and down[1] > 0 else 0.0
        if cut or "der" in self.used:
            held = self.cap_ratio if now_s - self.cap_s < 900.0 else 1.0
            known = np.array([self.avail_mw.get(int(n), 0.0) for n in self.der.node])
            rated = self.der.p_rated_mw
            here = np.array([rated[self.der.node == n].sum() for n in self.der.node])
            avail = np.minimum(known * rated / np.maximum(here, 1e-9), rated)
            p_max = np.minimum(1.0 - cut, held) * avail if cut else held * rated
            out += self.der.orders(self.site, DUTY, self.ttl_s, "p_max_mw", p_max)
            self._mark("der", cut > 0)
        return out

    def _hold_charging(self, stopped: float) -> list[Message]:
        """Let the first vehicles wait, as many as it takes; the others follow their own plan."""
        count = round(stopped * len(self.ev))
        waiting = np.arange(len(self.ev)) < count
        out = []
        for gateway, run in self.ev.gateways:
            if waiting[run].any():
                part = slice(run.start, run.start + int(waiting[run].sum()))
                # Short-lived: a vehicle waits for ten minutes, then its own plan goes on unless told again.
                fleet = replace(self.ev, gateways=((gateway, part),))
                out += fleet.orders(self.site, DUTY, 600.0, "p_set_mw", np.zeros(len(self.ev)))
        return out

    def _mark(self, kind: str, active: bool) -> None:
        self.used = self.used | {kind} if active else self.used - {kind}
