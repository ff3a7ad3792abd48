"""Relief of transformers and lines that import too much: the areas behind discharge and let charging wait."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.contract import Site
from controllers.distributed.area import Area, column
from controllers.distributed.book import shared
from controllers.distributed.paths import fed_by, transformer_mva
from controllers.distributed.picture import picture_of
from controllers.distributed.reserve import reserve_of
from controllers.distributed.sharing import ShareTree
from sims.core.message import Message

DUTY = "manage_congestion"


class RelieveImport:
    """Answers import overload, which no curtailment helps, with the reserve of the feeder's areas.

    The leading agent sees its transformers' loading each minute, every other one that of the line which feeds its
    area. What is beyond `target_percent` is added to the amount that whoever sees it asks of the areas, what is
    below is taken off slowly, and the tree of areas shares it out among what stands behind that transformer or
    line, all at one share of what they have, to within a step. Where both ask, the larger amount is given: what
    relieves a line relieves the transformer above it too.
    An amount stays within what the areas have, so nothing winds up; it is taken off slowly, so that vehicles
    that were held back do not all charge at once. What a vehicle must draw to be ready when it leaves, it draws,
    whatever it is told.

    Settings
    --------
    target_percent : float
        Loading that is aimed at while relief is given, as a share of the limit (97).
    gain : float
        Part of the deviation corrected per round (0.35; the answer shows two rounds later, and the loop is
        stable below 0.62, see `consensus.integrator_bound`).
    release : float
        Part of the room taken off per round once there is some (0.1).
    step : float
        Of `sharing.stepped` (0.25).

    Notes
    -----
    A line that brings less than `NEAR` of what it may is looked at each `LOOK_S`.
    """

    LOOK_S, NEAR = 900.0, 0.5

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.limit = site.grid.loading_max_percent
        self.target = float(s.get("target_percent", 97.0)) / 100 * self.limit
        self.gain, self.release = float(s.get("gain", 0.35)), float(s.get("release", 0.1))
        self.reserve = reserve_of(site, self.area)
        self.trafo_mva = transformer_mva(self.area.feeder.grid).tolist()
        step, orders = float(s.get("step", 0.25)), self.reserve.orders
        self.trees = [
            ShareTree(self.area, f"relief{k}", orders=orders, step=step, above=site.name)
            for k in range(len(self.trafo_mva))
        ]
        self.by_topic = {t: tree for tree in self.trees for t in (tree.capacity_topic, tree.share_topic)}
        self.urgent = frozenset(self.by_topic)
        self.reads: frozenset[str] = frozenset()
        self.board = picture_of(site, self.area)
        self.frames, self.primary, self.asking = 0, self.board.primary, False
        self.own, self.near = self.board.own, False
        self.under = max(int(fed_by(self.area.feeder.grid)[self.area.own_node]), 0)
        self.line_mw = 0.0
        self.given = [0.0] * len(self.trees)
        self.due_s = self.look_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take the loading; adjust, share out, deliver."""
        act = now_s >= self.look_s
        self.board.look(inbox)
        if self.frames != self.board.count:
            self.reserve.take(self.board.frames_since(self.frames))
            self.frames = self.board.count
        primary = self.board.primary
        for message in inbox:
            topic = message.topic
            if topic in self.by_topic and topic.startswith("capacity/"):
                self.by_topic[topic].hear(message)
                self.look_s = min(self.look_s, now_s + 1.0)
            elif topic in self.by_topic:
                act = self.by_topic[topic].take(message) or act
        if primary is not None and primary is not self.primary and self.area.leads:
            act = self._adjust(primary) or act
            self.primary = primary
        own = self.board.own
        if own is not None and own is not self.own and not self.area.leads:
            act = self._watch(own.values) or act
            self.own = own
        if act:
            self.look_s = now_s + self.LOOK_S
        # The leading agent looks at its transformers each round, the others when their line is near its limit.
        self.due_s = now_s if self.area.leads or self.near else self.look_s
        if not act:
            return []
        self.reserve.count(now_s)
        out: list[Message] = []
        for k, tree in enumerate(self.trees):
            tree.own = [self.reserve.relief_capacity_mw(k)]
            out += [] if self.area.leads else tree.announce(self.site.name, now_s)
            part, letters = tree.split(self.site.name, now_s, least=self.line_mw if k == self.under else 0.0)
            out += letters + self._deliver(k, part, now_s)
        return out

    def _adjust(self, primary: Message) -> bool:
        """Move what is asked behind each transformer after this measurement; tell whether anything moved."""
        loading, moved = column(primary.values["loading_percent"]), False
        if max(loading, default=0.0) <= self.limit and not self.asking:
            return False
        columns = column(primary.values["p_mw"]), loading
        for p_mw, percent, mva, tree in zip(*columns, self.trafo_mva, self.trees, strict=False):
            over = ((percent if p_mw > 0 else 0.0) - self.target) / 100 * mva
            if tree.amount == 0.0 and over <= (self.limit - self.target) / 100 * mva:
                continue
            amount = self._moved(tree.amount, over, mva, tree.total[0])
            moved = moved or amount != tree.amount
            tree.amount = amount
        self.asking = any(tree.amount for tree in self.trees)
        return moved

    def _moved(self, amount: float, over: float, rating: float, most: float) -> float:
        """Return what is asked once `over` MVA too much were measured, all in MW or MVA."""
        amount += (self.gain if over > 0 else self.release) * over
        # Below a thousandth of the rating nothing is left to ask for.
        return 0.0 if amount < 1e-3 * rating else min(amount, most)

    def _watch(self, values: Mapping[str, Any]) -> bool:
        """Move what is asked behind the line that feeds the area after this measurement; tell whether it moved."""
        percent, mva = brought(self.area, values)
        before = self.line_mw
        if before > 0 or percent > self.limit:
            over = (percent - self.target) / 100 * mva
            self.line_mw = self._moved(before, over, mva, self.trees[self.under].total[0])
        self.near = self.line_mw > 0 or percent > self.NEAR * self.limit
        return self.line_mw != before

    def _deliver(self, trafo: int, amount: float, now_s: float) -> list[Message]:
        given = self.given[trafo]
        moved = abs(amount - given) > 0.02 * max(self.trees[trafo].own[0], 1e-9)
        ended = (amount == 0.0) != (given == 0.0)
        if amount == given == 0.0 or not (moved or ended or now_s >= self.reserve.due_s):
            return []
        self.given[trafo] = amount
        return self.reserve.relieve(DUTY, trafo, amount, now_s)


def brought(area: Area, values: Mapping[str, Any], *, back: bool = False) -> tuple[float, float]:
    """Return loading [%] and rating [MVA] of the fullest line from the area that feeds this one.

    Parameters
    ----------
    values : mapping
        Of an `own` measurement, as in `Area.export_excess_mva`. A line that carries power back counts as empty,
    back : bool
        or the other way round: one that brings power does.
    """
    found = 0.0, 0.0
    columns = (column(values[f"boundary_{name}"]) for name in ("line", "p_mw", "q_mvar"))
    for line, p_mw, q_mvar, other in zip(*columns, column(values["neighbour_area"]), strict=True):
        if other == area.parent_number:
            mva = area.rating_mva(int(line))
            counts = p_mw > 0 if back else p_mw < 0
            found = max(found, (100 * math.hypot(p_mw, q_mvar) / mva if counts else 0.0, mva))
    return found
