"""Supervision of distributed agents: the state and goal each one reports, and who has gone quiet or is stuck.

A control room that hands decisions to agents still answers for them. It reads their reports, it does not steer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sims.core.message import Message

HISTORY = 32
"""Goals kept of each agent."""


@dataclass(eq=False)
class AgentRecord:
    """What is known of one agent.

    Parameters
    ----------
    name : str
    seen_ms : int
        When it last reported, -1 for never.
    state, goal : dict
        Its newest internal state and goal, as reported.
    goals : list of (ms, duty, goal)
        The newest of them, oldest first.
    """

    name: str
    seen_ms: int = -1
    state: dict[str, Any] = field(default_factory=dict)
    goal: dict[str, Any] = field(default_factory=dict)
    goals: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True)
class Concern:
    """An agent that needs a look: ``silent`` (no report), ``stuck`` (mismatch does not fall), ``unknown``."""

    agent: str
    why: str
    since_ms: int


class Supervisor:
    """Keeps the newest report of every agent.

    Parameters
    ----------
    agents : iterable of str
        Who is expected to report.
    silence_ms : int
        After so long without a report an agent is silent.
    measure : str
        The entry of a state that falls to zero as an agent gets where it wants, such as ``mismatch``.
    stuck_ms : int
        After so long without a new lowest value of it an agent is stuck.
    settled : float
        Below that value it has arrived.
    """

    def __init__(
        self, agents: Iterable[str], silence_ms: int = 300_000, measure: str = "mismatch", stuck_ms: int = 600_000,
        settled: float = 1e-3,
    ) -> None:
        self.records = {name: AgentRecord(name) for name in agents}
        self._silence_ms, self._measure, self._stuck_ms = silence_ms, measure, stuck_ms
        self._settled = settled
        self._unknown: dict[str, int] = {}
        self._lowest: dict[str, tuple[float, int]] = {}

    def take(self, reports: Iterable[Message]) -> None:
        """Take reports on the topics ``state`` and ``goal``; older ones than known change nothing."""
        for message in reports:
            record = self.records.get(message.sender)
            if record is None:
                self._unknown.setdefault(message.sender, message.sent_ms)
                continue
            if message.topic == "goal":
                entry = (message.sent_ms, str(message.values.get("duty", "")), dict(message.values))
                record.goals = sorted([*record.goals, entry], key=lambda e: e[0])[-HISTORY:]
                record.goal = record.goals[-1][2]
            elif message.topic == "state" and message.sent_ms >= record.seen_ms:
                record.state = dict(message.values)
                self._note(message)
            record.seen_ms = max(record.seen_ms, message.sent_ms)

    def _note(self, message: Message) -> None:
        value = message.values.get(self._measure)
        if value is None:
            return
        size = abs(float(value))
        low = self._lowest.get(message.sender)
        if low is None or size < low[0] or size <= self._settled:
            self._lowest[message.sender] = (size, message.sent_ms)

    def concerns(self, now_ms: int) -> list[Concern]:
        """Return the agents that need a look now, by name."""
        found = [Concern(name, "unknown", since) for name, since in self._unknown.items()]
        for name, record in self.records.items():
            low = self._lowest.get(name)
            if now_ms - max(record.seen_ms, 0) > self._silence_ms:
                found.append(Concern(name, "silent", record.seen_ms))
            elif low is not None and low[0] > self._settled and now_ms - low[1] > self._stuck_ms:
                found.append(Concern(name, "stuck", low[1]))
        return sorted(found, key=lambda c: (c.agent, c.why))
