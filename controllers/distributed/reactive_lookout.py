"""Which agents that support the TSO's voltage would find nothing new."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from controllers.distributed.lookout import Bools, Floats, Ints, Lookout

if TYPE_CHECKING:
    from controllers.distributed.interface import ShareReactive


class ReactiveLookout(Lookout):
    """Looks at what all agents hold, and at their voltages, at once.

    Nothing is to be done where no sum has come since the last look, neither a sum, a part nor an order has to be told
    again, and the own voltages come first now if they did then.
    """

    agents: list[ShareReactive]

    def arrange(self) -> None:
        """Make the tables, a row an agent."""
        count = len(self.agents)
        self.low_pu, self.high_pu = (np.array([getattr(a, n) for a in self.agents]) for n in ("low_pu", "high_pu"))
        self.next_s, self.until_s, self.busy_s = np.zeros((3, count))
        self.busy = np.zeros(count, dtype=bool)

    def note(self, i: int) -> None:
        """Note until when nothing is to be told, and whether the own voltages come first."""
        agent = self.agents[i]
        self.next_s[i], self.until_s[i] = agent.look_s, agent.quiet_s if agent.settled else -math.inf
        self.busy[i], self.busy_s[i] = agent.busy, agent.busy_s

    def idle(self, now_s: float) -> tuple[Bools, Floats]:
        """Return who finds nothing new, and when they look again [s]."""
        low, high = (table[self.place] for table in self.wall.range_pu())
        busy = (high > self.high_pu) | (low < self.low_pu) | (now_s - self.busy_s < self.agents[0].BUSY_S)
        found = (self.next_s <= now_s) & (now_s < self.until_s) & (busy == self.busy)
        return found, np.full(len(found), now_s + self.agents[0].LOOK_S)

    def looked(self, who: Ints, now_s: float, next_s: Floats) -> None:
        """Write down a look."""
        self.next_s[who] = next_s
        for i, at_s in zip(who.tolist(), next_s.tolist(), strict=True):
            agent = self.agents[i]
            agent.look_s = agent.due_s = at_s
