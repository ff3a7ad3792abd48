"""A ratio that the agents of a feeder hold in common, pushed by whoever sees a deviation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from controllers.distributed.consensus import own_weight
from sims.core.message import Message


class SharedRatio:
    """One agent's copy of the common ratio: u_i(k+1) = sum_j w_ij u_j(k) + push.

    With the ratio travels a count of rounds for which somebody still needs it held, passed on one lower each
    round, so that the need dies out by itself once nobody renews it. Letters are sent on events only: when the
    ratio has moved by more than `dead` since the last one, when a need begins or ends, and every `BEAT` rounds
    while it is not at rest; a neighbour's last word holds for `STALE_ROUNDS`. With such a trigger agreement is
    reached to within a multiple of `dead` (Dimarogonas, Frazzoli and Johansson, IEEE Trans. Automatic Control
    57(5), 2012; Nowzari, Garcia and Cortes, Automatica 105, 2019). At rest everybody is silent.

    Parameters
    ----------
    topic : str
        Of the mail between agents.
    degrees : mapping of str to int
        Each neighbour's address and its number of neighbours.
    rest, low, high : float
        The value in quiet times, and its limits. The state itself is limited, so nothing winds up.
    reach : int
        Rounds that a need is kept; twice the number of agents bears a letter late by a beat at every hop, for
        which half of it is added in beats.
    release : float
        How far the ratio returns to rest per round once nobody needs it.
    dead : float
        Change of the own ratio that is worth a letter.
    """

    STALE_ROUNDS, BEAT = 8, 3

    def __init__(
        self, topic: str, degrees: Mapping[str, int], *, rest: float, low: float, high: float,
        reach: int, release: float, dead: float = 0.01,
    ) -> None:
        self.topic = topic
        self.weights = {name: own_weight(len(degrees), degree) for name, degree in degrees.items()}
        self.rest, self.low, self.high = rest, low, high
        self.reach, self.release, self.dead = reach + self.BEAT * (reach // 2), release, dead
        self.value = rest
        self.hold = 0
        self.heard: dict[str, tuple[float, int]] = {}
        self.awake = False
        self.said, self.said_hold, self.said_rounds = rest, False, 0
        self.as_of_ms: dict[str, int] = {}

    def hear(self, message: Message) -> None:
        """Take a neighbour's ratio and the rounds it still wants it held."""
        if message.sender not in self.weights or message.sent_ms < self.as_of_ms.get(message.sender, 0):
            return  # a stranger's letter, or one that a newer has overtaken
        self.as_of_ms[message.sender] = message.sent_ms
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

    def mail(self, sender: str, more: Callable[[], Mapping[str, Mapping[str, Any]]] | None = None) -> list[Message]:
        """Return the messages that tell the neighbours, none where there is no news.

        Parameters
        ----------
        more : callable, optional
            Returns what single neighbours are told besides, by their address; asked only if letters leave.
        """
        self.said_rounds += 1
        news = abs(self.value - self.said) > self.dead or (self.hold > 0) != self.said_hold
        news = news or (self.value == self.rest) != (self.said == self.rest)
        beat = self.said_rounds >= self.BEAT and (self.hold > 0 or self.value != self.rest)
        if not news and not beat:
            return []
        self.said, self.said_hold, self.said_rounds = self.value, self.hold > 0, 0
        extras = more() if more else {}
        common: dict[str, Any] = {"ratio": self.value, "hold": self.hold}
        out = []
        for name in self.weights:
            extra = extras.get(name, {})
            size = 52 + 8 * sum(np.size(value) for value in extra.values())
            out.append(Message(sender, name, self.topic, {**common, **extra}, size_bytes=size))
        return out
