"""Who has nothing to decide: seats of one class looked at as one table, which decide one by one only if need be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from controllers.distributed.wall import wall_of
from sims.core.bundle import Bundle, Mail
from sims.core.message import Message

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Lookout:
    """A bench (see `controllers.bench`) whose agents decide one by one, but for those for whom nothing is to be done.

    Nobody has written to such an agent, and what it sees and holds is such that it would send nothing: a test of one
    row of a table, made of what that agent alone knows. It is noted that it has looked, and it is passed over.

    A subclass says who that is (`idle`), what it has to know of each for that (`note`), and how having looked is
    written down (`looked`). What is noted is of the agent's own state, and true until it decides again.

    Attributes
    ----------
    place : ndarray of int [agent]
        Of its picture on the wall.
    """

    topics: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, agents: Sequence[Any]) -> None:
        self.agents = list(agents)
        self.wall = wall_of([agent.board for agent in agents])
        self.place: Ints = np.array([agent.board.place for agent in agents], dtype=np.int64)
        self.arrange()
        for i in range(len(agents)):
            self.note(i)

    def __deepcopy__(self, memo: Any) -> None:
        """Return nothing: who is copied is seated anew."""

    def arrange(self) -> None:
        """Make the tables."""
        raise NotImplementedError

    def note(self, i: int) -> None:
        """Note what agent `i` holds now."""
        raise NotImplementedError

    def idle(self, now_s: float) -> tuple[Bools, Floats]:
        """Return which of all agents have nothing to do if they look now, and when they look again then [s].

        True of those alone whose place on the wall has been looked at.
        """
        raise NotImplementedError

    def looked(self, who: Ints, now_s: float, next_s: Floats) -> None:
        """Write down that some agents have looked, and when they do again."""
        raise NotImplementedError

    def called(self, bundle: Bundle) -> list[int] | None:
        """Return None: letters come one by one."""
        return None

    def decide(
        self, now_s: float, due: Sequence[int], inboxes: Mapping[int, Sequence[Message]], letters: Sequence[Bundle] = ()
    ) -> list[Mail]:
        """Let those decide who have something to."""
        self.wall.look(self.place[due].tolist())
        agents, out = self.agents, list[Mail]()
        passed, next_s = self.idle(now_s)
        quiet = np.array([i for i in due if i not in inboxes], dtype=np.int64)
        over = quiet[passed[quiet]]
        if len(over):
            self.looked(over, now_s, next_s[over])
        if len(over) < len(due):
            skipped = set(over.tolist())
            for i in due:
                if i not in skipped:
                    out += agents[i].decide(now_s, inboxes.get(i, ()))
                    self.note(i)
        return out
