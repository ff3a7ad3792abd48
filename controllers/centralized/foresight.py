"""Foresee: what every feeder will draw in the hours to come, and where its transformers will be short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.forecast import Floats, corrected
from controllers.logbook import goal
from sims.core.message import Message

DUTY = "observe"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NEAR_FULL = 0.9
"""Share of the rating from which on a forecast counts as short: forecasts err."""


class Foresight:
    """Corrects the forecast of the day before by what the transformers' meters tell, once a quarter-hour.

    For each feeder that will be short within `ahead_h` (12) it tells peak, hours until then, and energy beyond nine
    tenths of the rating, which others at the desk find in `Desk.short_mwh`: nobody lends a battery that its own feeder
    will need. How much better than persistence the forecast of an hour ahead has been so far is told with it.
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self._site, self._desk = site, Desk(site)
        feeders = self._desk.register.feeders
        size = min((len(f.expected_mw) for f in feeders), default=0)
        self._expected: Floats = np.array([f.expected_mw[:size] for f in feeders]).T
        self._step_ms = feeders[0].expected_step_ms if feeders else HOUR_MS
        self._ahead = int(float(site.settings.get("ahead_h", 12.0)) * HOUR_MS) // self._step_ms
        self._hour = max(HOUR_MS // self._step_ms, 1)
        base = [(self._desk.state.files[f.name].net, f.grid.base_mva) for f in feeders]
        percent = site.grid.loading_max_percent / 100
        self._limit = NEAR_FULL * percent * np.array([float(net.limit[net.feed].sum()) * mva for net, mva in base])
        self._made: dict[int, tuple[Floats, Floats]] = {}
        self._errors = np.zeros((2, len(feeders)))
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
        heard = [f.primary_ms > now_ms - self._step_ms and "p_mw" in f.primary for f in files]
        drawn = np.array([
            float(np.sum(f.primary["p_mw"])) if known else np.nan for f, known in zip(files, heard, strict=True)
        ])
        if np.isnan(drawn).all():
            return []
        self._last = at
        self._judge(at, drawn)
        found = corrected(self._expected, drawn, at, self._ahead, DAY_MS // self._step_ms)
        self._made = {step: made for step, made in self._made.items() if step > at}
        self._made[at + self._hour] = found[self._hour - 1], drawn
        beyond = np.maximum(np.abs(found) - self._limit, 0.0)
        short_mwh = np.where(self._limit > 0, beyond.sum(axis=0), 0.0) * self._step_ms / HOUR_MS
        self._desk.short_mwh[:] = short_mwh
        return self._told(found, short_mwh)

    def _judge(self, at: int, drawn: Floats) -> None:
        """Add up how far the forecast made an hour ago is off, and how far persistence."""
        if (made := self._made.get(at)) is not None:
            off = [np.nan_to_num(drawn - forecast) ** 2 for forecast in made]
            self._errors += np.array(off)

    @property
    def skill(self) -> float:
        """1 - RMSE / RMSE of persistence, an hour ahead, over all feeders so far; nan before there is any."""
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
