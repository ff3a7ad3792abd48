"""Foresee: what every feeder will draw in the hours to come, and where its transformers will be short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.congestion import below_anchors
from controllers.dms.feeder_file import FeederFile
from controllers.dms.forecast import Floats, corrected
from controllers.dms.peak_shaving import next_need, peak_mw, ratings_mw
from controllers.logbook import goal
from sims.core.message import Message

DUTY = "observe"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NEAR_FULL = 0.9
"""Share of the rating from which on a forecast counts as short: forecasts err."""


class Foresight:
    """Corrects the forecast of the day before by what the transformers' meters tell, once a quarter-hour.

    What a feeder is expected to draw is shared among its busbars by what is connected below them, and corrected at
    each. For each feeder that will be short within `ahead_h` (12) it tells peak, hours until then, and energy beyond
    nine tenths of the ratings. Others at the desk find that in `Desk.short_mwh`, for nobody lends a battery that its
    own feeder will need, and by busbar in `Desk.need_mwh`, for which congestion management has batteries filled or
    emptied. How much better than persistence the forecast of an hour ahead has been so far is told with it.
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self._site, self._desk = site, Desk(site)
        feeders, files = self._desk.register.feeders, self._desk.state.files
        size = min((len(f.expected_mw) for f in feeders), default=0)
        parts = [_parts(files[f.name]) for f in feeders]
        # Busbars of all feeders one after the other.
        self._of = np.repeat(np.arange(len(feeders)), [len(part) for part in parts])
        self._expected: Floats = np.concatenate([
            np.zeros((size, 0)), *(f.expected_mw[:size, None] * part for f, part in zip(feeders, parts, strict=True))
        ], axis=1)
        self._step_ms = feeders[0].expected_step_ms if feeders else HOUR_MS
        self._ahead = int(float(site.settings.get("ahead_h", 12.0)) * HOUR_MS) // self._step_ms
        self._hour = max(HOUR_MS // self._step_ms, 1)
        ratings = [ratings_mw(f, files[f.name].net) for f in feeders]
        self._limit = NEAR_FULL * site.grid.loading_max_percent / 100 * np.concatenate([np.zeros(0), *ratings])
        self._made: dict[int, tuple[Floats, Floats]] = {}
        self._errors = np.zeros((2, len(self._of)))
        self._last = -1

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail()

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return what is foreseen, for the logbook, once a step of the forecast."""
        now_ms = self._desk.read(now_s, inbox)
        at = now_ms // self._step_ms
        if at == self._last or at >= len(self._expected):
            return []
        files = [self._desk.state.files[f.name] for f in self._desk.register.feeders]
        drawn = np.concatenate([np.zeros(0), *(_drawn(f, now_ms - self._step_ms) for f in files)])
        if np.isnan(drawn).all():
            return []
        self._last = at
        self._judge(at, drawn)
        found = corrected(self._expected, drawn, at, self._ahead, DAY_MS // self._step_ms)
        self._made = {step: made for step, made in self._made.items() if step > at}
        self._made[at + self._hour] = found[self._hour - 1], drawn
        step_h = self._step_ms / HOUR_MS
        beyond = np.where(self._limit > 0, np.maximum(np.abs(found) - self._limit, 0.0), 0.0)
        short_mwh: Floats = np.bincount(self._of, beyond.sum(axis=0) * step_h, len(files)).astype(np.float64)
        self._desk.short_mwh[:] = short_mwh
        needs = np.split(next_need(found, self._limit, step_h), np.flatnonzero(np.diff(self._of)) + 1)
        for kept, need in zip(self._desk.need_mwh, needs, strict=True):
            kept[:] = need
        member = self._of[:, None] == np.arange(len(files))
        return self._told(found @ member, short_mwh)

    def _judge(self, at: int, drawn: Floats) -> None:
        """Add up how far the forecast made an hour ago is off, and how far persistence."""
        if (made := self._made.get(at)) is not None:
            off = [np.nan_to_num(drawn - forecast) ** 2 for forecast in made]
            self._errors += np.array(off)

    @property
    def skill(self) -> float:
        """1 - RMSE / RMSE of persistence, an hour ahead, over all busbars so far; nan before there is any."""
        own, other = self._errors.sum(axis=1).tolist()
        return float(1 - np.sqrt(own / other)) if other > 0 else float("nan")

    def _told(self, found: Floats, short_mwh: Floats) -> list[Message]:
        peak = np.abs(found).argmax(axis=0)
        out = [
            goal(
                self._site, DUTY, {"feeder": self._desk.register.feeders[f].name}, peak_mw=float(found[peak[f], f]),
                peak_in_h=float((peak[f] + 1) * self._step_ms / HOUR_MS), short_mwh=float(short_mwh[f]),
            )
            for f in np.flatnonzero(short_mwh > 0).tolist()
        ]
        return out if np.isnan(self.skill) else [*out, goal(self._site, DUTY, skill=self.skill)]


def _parts(file: FeederFile) -> Floats:
    """Return the share of each busbar in what its feeder draws, by what is connected below it [anchor]."""
    below = below_anchors(file.net.topology(file.net.normal), np.arange(file.belief.grid.n_nodes))
    peak = below @ peak_mw(file.belief)
    found: Floats = peak / max(float(peak.sum()), 1e-12)
    return found


def _drawn(file: FeederFile, since_ms: int) -> Floats:
    """Return what is drawn through each busbar's transformers [anchor]; nan where nothing was heard since then."""
    net, p_mw = file.net, file.told("p_mw")
    if p_mw is None or file.primary_ms <= since_ms:
        return np.full(len(net.anchor), np.nan)
    at = net.feed_anchor if len(net.feed) else np.arange(len(net.anchor))
    return np.bincount(at, p_mw[: len(at)], len(net.anchor)).astype(np.float64)
