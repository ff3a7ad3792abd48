"""Active power out of one area for the balance of its cell: the reserve first, then generation held back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Area
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.congestion import cap_book
from controllers.distributed.picture import picture_of
from controllers.distributed.reserve import reserve_of
from controllers.distributed.sharing import ShareTree
from sims.core.message import Message

DUTY = "balance_cell"
RISING, FALLING, CUT = (0, 2), (1,), (0, 1)
"""Columns of the capacities by merit: batteries before vehicles, batteries that charge, CHP before PV and wind."""
Floats = NDArray[np.float64]


class ShareActive:
    """An area's part in the balance of its cell: tells what it can give up and down, delivers its share.

    Shares of power come on ``share/p`` and are the reserve's (see `reserve.Reserve`); what CHP, and after it PV and
    wind have to hold back comes on ``share/cut``, once the reserves of the whole cell can take no more. No agent has
    its dearer sources move while any below it has cheaper ones left. A cap never lifts the one that the neighbours
    agree on against congestion: the lower of both is told.

    Settings
    --------
    cap_ttl_s : float
        Life of a cap (3600).
    dead_share : float
        Least change that is delivered, as a share of the own capacity (0.02).
    step : float
        Of `sharing.stepped` (0.25).
    """

    urgent = frozenset({"share/p", "share/cut", "capacity/p", "capacity/cut"})
    reads: frozenset[str] = frozenset()
    LOOK_S = 900.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.cap_ttl_s, self.dead_share = float(s.get("cap_ttl_s", 3600.0)), float(s.get("dead_share", 0.02))
        self.board, self.frames = picture_of(site, self.area), 0
        self.reserve = reserve_of(site, self.area)
        self.caps: OrderBook = shared(site, "p_max", lambda: cap_book(site, self.area))
        der = self.caps.fleet
        self.chp = der.kind == "chp"
        self.rated_mw = der.p_rated_mw
        self.rated_here_mw = np.bincount(der.node, self.rated_mw, minlength=int(der.node.max(initial=0)) + 1)[der.node]
        self.der_mw = float(self.rated_mw.sum())
        step = float(s.get("step", 0.25))
        self.tree = ShareTree(self.area, "p", width=3, orders=self.reserve.orders, step=step)
        self.cut = ShareTree(self.area, "cut", width=2, orders=len(der.gateways), step=step, dead=0.25)
        self.avail_mw = np.zeros(self.area.feeder.grid.n_nodes)
        self.given = self.held_back = 0.0
        self.due_s = self.look_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Keep the sums, split a share that has come, deliver the own part."""
        act = now_s >= self.look_s
        self.board.look(inbox)
        for message in inbox:
            topic = message.topic
            if topic in ("capacity/p", "capacity/cut"):
                (self.tree if topic == "capacity/p" else self.cut).hear(message)
                self.look_s = min(self.look_s, now_s + 1.0)
            elif topic in ("share/p", "share/cut"):
                act = (self.tree if topic == "share/p" else self.cut).take(message) or act
        if not act:
            self.due_s = self.look_s
            return []
        self.look_s = self.due_s = now_s + self.LOOK_S
        name = self.site.name
        self.reserve.count(now_s)
        for frame in self.board.frames_since(self.frames):
            self.avail_mw[frame.node] = frame.avail_mw
        self.frames = self.board.count
        self.tree.own = list(self.reserve.capacity_mw())
        self.cut.own = self._cuttable_mw()
        out = self.tree.announce(name, now_s) + self.cut.announce(name, now_s)
        own, letters = self.tree.split(name, now_s, RISING if self.tree.amount >= 0 else FALLING)
        cut, more = self.cut.split(name, now_s, CUT)
        return out + letters + more + self._give(own, now_s) + self._hold_back(cut, now_s)

    def _give(self, amount: float, now_s: float) -> list[Message]:
        side = sum(self.tree.own[tier] for tier in (RISING if amount >= 0 else FALLING))
        moved = abs(amount - self.given) > self.dead_share * side or (amount == 0.0) != (self.given == 0.0)
        if not moved and now_s < self.reserve.due_s:
            return []
        self.given = amount
        return self.reserve.balance(DUTY, amount, now_s)

    def _hold_back(self, cut_mw: float, now_s: float) -> list[Message]:
        if cut_mw == 0.0 == self.held_back:
            return []
        moved = abs(cut_mw - self.held_back) > self.dead_share * sum(self.cut.own) or cut_mw == 0.0
        if not moved and now_s < self.caps.due_s:
            return []
        if moved:
            self.held_back = cut_mw
            self.caps.wish(DUTY, self._caps(cut_mw) if cut_mw else None)
        return self.caps.letters(DUTY, now_s, self.cap_ttl_s)

    def _caps(self, cut_mw: float) -> Floats:
        """Return the caps that hold back `cut_mw`, of each tier the same part of every plant; nan for the others."""
        avail = self._available_mw()
        chp, rest = (max(float(avail[rows].sum()), 1e-9) for rows in (self.chp, ~self.chp))
        first = min(cut_mw / chp, 1.0) if self.chp.any() else 0.0
        part = np.where(self.chp, first, min((cut_mw - first * chp) / rest, 1.0))
        return np.where(part > 1e-9, (1.0 - part) * avail, np.nan)

    def _available_mw(self) -> Floats:
        """Return what each plant could feed in, its part by rating of what its substation tells [MW]."""
        known = self.avail_mw[self.caps.fleet.node]
        part = self.rated_mw / np.maximum(self.rated_here_mw, 1e-9)
        return np.asarray(np.minimum(known * part, self.rated_mw), np.float64)

    def _cuttable_mw(self) -> list[float]:
        """Return what CHP, and what PV and wind can hold back here [MW]."""
        whole = min(float(self.avail_mw.sum()), self.der_mw)
        chp = float(self._available_mw()[self.chp].sum()) if self.chp.any() else 0.0
        return [chp, max(whole - chp, 0.0)]
