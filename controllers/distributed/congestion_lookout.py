"""Which agents of the congestion duty find nothing near its limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from controllers.distributed.extremes import Extremes
from controllers.distributed.lookout import Bools, Floats, Ints, Lookout

if TYPE_CHECKING:
    from controllers.distributed.congestion import ConsensusCurtailment


class CongestionLookout(Lookout):
    """Looks at voltages, transformers and lines of all areas at once.

    Nothing is to be done where all ratios are at rest, no voltage and no transformer is beyond its limit, and no line
    at the edge of the area carries half of the least of them's rating.
    """

    agents: list[ConsensusCurtailment]

    def arrange(self) -> None:
        """Make the tables: a row an agent, and for each a row a side that it takes part in."""
        agents, count = self.agents, len(self.agents)
        self.round_s = np.array([a.round_s for a in agents])
        self.full = np.array([a.site.grid.loading_max_percent for a in agents]) / 100
        self.asleep = np.zeros(count, dtype=bool)
        self.next_s, self.edge_mva = np.zeros((2, count))
        rows = [(i, side) for i, agent in enumerate(agents) for side in agent.sides]
        sides = [side for _, side in rows]
        self.agent_of: Ints = np.array([i for i, _ in rows], dtype=np.int64)
        grids = [agents[i].site.grid for i, _ in rows]
        self.v_max_pu = np.array([grid.v_max_pu for grid in grids])
        self.limit_percent = np.array([grid.loading_max_percent for grid in grids])
        self.margin_v_pu = np.array([agents[i].margin_v_pu for i, _ in rows])
        margin = np.array([agents[i].margin_percent for i, _ in rows]) / 100
        self.per_pu, self.per_mva = (np.array([getattr(s, name) for s in sides]) for name in ("per_pu", "per_mva"))
        self.margin_mva = margin * np.divide(1.0, self.per_mva, out=np.zeros(len(rows)), where=self.per_mva > 0)
        self.room_mva = np.array([agents[i].CALM_SHARE * side.rated_mw for i, side in rows])
        # Leading agents see the transformer and the busbar of each side, the others their area's highest voltage.
        leads = np.array([agents[i].area.leads for i, _ in rows])
        start = self.wall.start[self.place[self.agent_of]]
        size = self.wall.start[self.place[self.agent_of] + 1] - start
        number = np.array([side.number for side in sides])
        self.seen = np.where(leads, np.where(number < size, start + number, -1), start)
        rated = [agents[i].trafo_mva[side.number : side.number + 1] or [math.nan] for i, side in rows]
        self.trafo_mva, self.leads = np.ravel(rated), leads

    def note(self, i: int) -> None:
        """Note whether an agent is at rest."""
        agent = self.agents[i]
        self.asleep[i] = all(not s.ratio.awake and s.ratio.value == s.capped == 1.0 for s in agent.sides)
        self.next_s[i] = agent.next_s
        self.edge_mva[i] = agent.area.least_mva

    def idle(self, now_s: float) -> tuple[Bools, Floats]:
        """Return who has nothing to do, and when they look again [s]: sooner where something nears its limit."""
        wall, of, agents = self.wall, self.agent_of, len(self.agents)
        most_mva = wall.most_mva[self.place]
        empty = (most_mva < 0.5 * self.edge_mva * self.full) | (most_mva == 0.0)
        found = self.asleep & (self.next_s <= now_s) & empty & (now_s - wall.own_s[self.place] <= Extremes.SILENT_S)
        over_pu = wall.sources_pu()[1][self.seen] - self.v_max_pu
        loading = np.where(wall.p_mw[self.seen] < 0, wall.loading_percent[self.seen], 0.0)
        known = np.isfinite(wall.p_mw[self.seen]) & np.isfinite(wall.loading_percent[self.seen]) & (self.seen >= 0)
        over_mva = np.where(self.leads, (loading - self.limit_percent) / 100 * self.trafo_mva, -math.inf)
        beyond = ((over_pu > 0) & (self.per_pu > 0)) | ((over_mva > 0) & (self.per_mva > 0))
        found[of[beyond | (self.leads & ~known)]] = False
        near_pu, near_mva = over_pu > -self.margin_v_pu, over_mva > -self.margin_mva
        calm_row = ~((near_pu & (self.per_pu > 0)) | (near_mva & (self.per_mva > 0)))
        calm_row &= (-over_pu > self.agents[0].CALM_PU) & (-over_mva > self.room_mva)
        calm = np.bincount(of[~calm_row], minlength=agents) == 0
        return found, now_s + np.where(calm, self.agents[0].CALM_S, self.round_s)

    def looked(self, who: Ints, now_s: float, next_s: Floats) -> None:
        """Write down a round."""
        self.next_s[who] = next_s
        for i, at_s in zip(who.tolist(), next_s.tolist(), strict=True):
            agent = self.agents[i]
            agent.last_s, agent.next_s, agent.due_s = now_s, at_s, at_s
