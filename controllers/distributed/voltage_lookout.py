"""Which agents of the voltage duty find all voltages inside their guard, and nothing to tell."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from controllers.distributed.busbar import NOBODY_HIGH, NOBODY_LOW, Span
from controllers.distributed.extremes import Extremes
from controllers.distributed.lookout import Bools, Floats, Ints, Lookout

if TYPE_CHECKING:
    from controllers.distributed.voltage import ConsensusVoltVar


class VoltageLookout(Lookout):
    """Looks at the voltages of all areas at once.

    Nothing is to be done where the ratio is at rest, voltages lie inside the guard, the parent's picture is true and,
    for a leading agent, no busbar would be moved.
    """

    agents: list[ConsensusVoltVar]

    def arrange(self) -> None:
        """Make the tables: a row an agent, and for each a row a transformer of its feeder."""
        agents = self.agents
        self.low_pu, self.high_pu = (np.array([getattr(a, name) for a in agents]) for name in ("low_pu", "high_pu"))
        self.round_s = np.array([a.round_s for a in agents])
        self.asleep = np.zeros(len(agents), dtype=bool)
        self.next_s, self.heard_s, self.said_s = np.zeros((3, len(agents)))
        sizes = [a.span.count for a in agents]
        ends = np.cumsum([0, *sizes]).tolist()
        self.rows = [slice(a, b) for a, b in pairwise(ends)]
        self.agent_of: Ints = np.repeat(np.arange(len(agents)), sizes)
        count = len(self.agent_of)
        self.below_pu, self.said_pu = np.zeros((2, count)), np.zeros((2, count))
        own = [(i, ends[i] + a.span.mine) for i, a in enumerate(agents) if not a.area.leads and a.span.mine >= 0]
        self.owner, self.own_row = np.array(own, dtype=np.int64).reshape(-1, 2).T
        # Of the leading agents: what they know of their busbars.
        busbars = {i: a.busbars for i, a in enumerate(agents) if a.busbars is not None}
        self.leads = list(busbars)
        self.lead_rows = np.isin(self.agent_of, self.leads)
        self.busbar_pu, self.offset_pu = np.full(count, math.nan), np.zeros((2, count))
        self.half_step_pu, self.home_pu = np.zeros(count), np.zeros(count)
        self.metered = np.full(count, -1)
        for i in self.leads:
            self.said_s[i] = math.inf
            self.half_step_pu[self.rows[i]] = np.array(busbars[i].step_pu) / 2
            if agents[i].board.volts.at_busbar:
                self.metered[self.rows[i]] = self.wall.start[self.place[i]] + np.arange(sizes[i])
        self._known: list[object] = [None] * len(agents)

    def note(self, i: int) -> None:
        """Note whether an agent is at rest, and if so what it was told and what it said."""
        agent = self.agents[i]
        span, rows = agent.span, self.rows[i]
        self.next_s[i] = agent.next_s
        self.asleep[i] = asleep = not agent.ratio.awake and math.isinf(agent.since_s)
        if not asleep:
            return
        low, high, heard_s = [NOBODY_LOW] * span.count, [NOBODY_HIGH] * span.count, math.inf
        for lowest, highest, told_s in span.told.values():
            if agent.last_s - told_s <= Span.HOLDS_S:
                low, high, heard_s = list(map(min, low, lowest)), list(map(max, high, highest)), min(heard_s, told_s)
        self.below_pu[0, rows], self.below_pu[1, rows], self.heard_s[i] = low, high, heard_s
        if agent.busbars is None:
            self.said_pu[0, rows], self.said_pu[1, rows] = span.said[: span.count], span.said[span.count :]
            self.said_s[i] = span.said_s
        else:
            self.home_pu[rows], self._known[i] = agent.busbars.home_pu, None

    def idle(self, now_s: float) -> tuple[Bools, Floats]:
        """Return who has nothing to do, and when they look again [s]: sooner where a voltage nears its guard."""
        low, high = (table[self.place] for table in self.wall.range_pu())
        inside = np.minimum(self.high_pu - high, low - self.low_pu)
        found = self.asleep & (self.next_s <= now_s) & (inside >= 0)
        found &= now_s - self.wall.own_s[self.place] <= Extremes.SILENT_S
        found &= (now_s - self.heard_s <= Span.HOLDS_S) & (now_s - self.said_s < Span.BEAT_S)
        lowest, highest = self.below_pu.copy()
        lowest[self.own_row] = np.minimum(lowest[self.own_row], low[self.owner])
        highest[self.own_row] = np.maximum(highest[self.own_row], high[self.owner])
        news = (np.abs(lowest - self.said_pu[0]) > Span.NEWS_PU) | (np.abs(highest - self.said_pu[1]) > Span.NEWS_PU)
        news = np.where(self.lead_rows, self._moved(), news)
        found[self.agent_of[news]] = False
        calm = inside > self.agents[0].CALM_PU
        return found, now_s + np.where(calm, self.agents[0].CALM_S, self.round_s)

    def _moved(self) -> Bools:
        """Return which transformers' set-points may have to be moved."""
        for i in self.leads:
            span = self.agents[i].span
            if span.span_pu is None or span.busbar_pu is not self._known[i]:
                first, count = self.rows[i].start, span.count
                for k, offset in span.offsets().items():
                    self.offset_pu[:, first + k] = offset
                self._known[i] = span.busbar_pu
                self.busbar_pu[first : first + count] = (span.busbar_pu + [math.nan] * count)[:count]
        live = self.busbar_pu > Extremes.DARK_PU
        low = np.where(live, self.busbar_pu + np.minimum(self.offset_pu[0], 0.0), NOBODY_LOW)
        high = np.where(live, self.busbar_pu + np.maximum(self.offset_pu[1], 0.0), NOBODY_HIGH)
        low, high = np.minimum(low, self.below_pu[0]), np.maximum(high, self.below_pu[1])
        set_pu = np.where(self.metered >= 0, self.wall.v_set_pu[self.metered], math.nan)
        home = np.abs(set_pu - self.home_pu) <= self.half_step_pu
        inside = (low >= self.low_pu[self.agent_of]) & (high <= self.high_pu[self.agent_of])
        found: Bools = (self.half_step_pu > 0) & ~(home & inside) & ~(low > high)
        return found

    def looked(self, who: Ints, now_s: float, next_s: Floats) -> None:
        """Write down a round."""
        self.next_s[who] = next_s
        for i, at_s in zip(who.tolist(), next_s.tolist(), strict=True):
            agent = self.agents[i]
            agent.last_s, agent.next_s, agent.due_s = now_s, at_s, at_s
