"""A ratio that the agents of a feeder hold in common, pushed by whoever sees a deviation."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.distributed.consensus import own_weight
from sims.core.message import Message


class SharedRatio:
    """One agent's copy of the common ratio: u_i(k+1) = sum_j w_ij u_j(k) + push.

    Two things travel with the ratio: a count of rounds for which somebody still needs it held, passed on
    one lower each round, so that the need dies out by itself once nobody renews it; and nothing else. Agents
    whose ratio is at rest and hears of no need stay silent.

    Parameters
    ----------
    topic : str
        Of the mail between agents.
    degrees : mapping of str to int
        Each neighbour's address and its number of neighbours.
    rest, low, high : float
        The value in quiet times, and its limits. The state itself is limited, so nothing winds up.
    reach : int
        Rounds that a need is kept; at least the diameter of the graph of agents.
    release : float
        How far the ratio returns to rest per round once nobody needs it.
    """

    STALE_ROUNDS = 4

    def __init__(
        self, topic: str, degrees: Mapping[str, int], *, rest: float, low: float, high: float,
        reach: int, release: float,
    ) -> None:
        self.topic = topic
        self.weights = {name: own_weight(len(degrees), degree) for name, degree in degrees.items()}
        self.rest, self.low, self.high = rest, low, high
        self.reach, self.release = reach, release
        self.value = rest
        self.hold = 0
        self.heard: dict[str, tuple[float, int]] = {}
        self.awake = False

    def hear(self, message: Message) -> None:
        """Take a neighbour's ratio and the rounds it still wants it held."""
        if message.sender not in self.weights:
            return
        other, hold = float(message.values["ratio"]), int(message.values["hold"])
        self.heard[message.sender] = (other, 0)
        self.hold = max(self.hold, hold - 1)
        # News of rest wakes nobody, or two resting agents would answer each other for ever.
        self.awake = self.awake or hold > 0 or abs(other - self.rest) >= 1e-3

    def step(self, push: float, needed: bool) -> None:
        """Advance one round.

        Parameters
        ----------
        push : float
            What this agent adds for the deviation it sees itself.
        needed : bool
            This agent sees a deviation, or too little margin to let go.
        """
        value = self.value
        for name, (other, age) in list(self.heard.items()):
            # A neighbour that has fallen silent no longer counts; its weight goes to the own value.
            if age >= self.STALE_ROUNDS:
                del self.heard[name]
                continue
            value += self.weights[name] * (other - self.value)
            self.heard[name] = (other, age + 1)
        value += push
        if needed:
            self.hold = self.reach
        elif self.hold > 0:
            self.hold -= 1
        else:
            value += min(max(self.rest - value, -self.release), self.release)
        self.value = min(max(value, self.low), self.high)
        others_rest = all(abs(other - self.rest) < 1e-3 for other, _ in self.heard.values())
        if self.hold == 0 and abs(self.value - self.rest) < 1e-3 and others_rest:
            self.value = self.rest
        self.awake = needed or self.hold > 0 or self.value != self.rest

    def mail(self, sender: str) -> list[Message]:
        """Return the messages that tell the neighbours."""
        values = {"ratio": self.value, "hold": self.hold}
        return [Message(sender, name, self.topic, values, size_bytes=52) for name in self.weights]
