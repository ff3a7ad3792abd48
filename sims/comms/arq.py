"""Acknowledge, retry, back off: how a sender insists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sims.core.errors import Problem
from sims.core.message import Message


@dataclass(frozen=True, slots=True)
class Arq:
    """Automatic repeat request between the two ends of a message.

    The receiver acknowledges every copy and passes on the first; the sender repeats after `timeout_ms`,
    then after `backoff` times as long, at most `retries` times and never beyond the message's time to live.
    """

    retries: int = 3
    timeout_ms: float = 1000.0
    backoff: float = 2.0
    ack_bytes: int = 40

    def problems(self, where: str) -> list[Problem]:
        """Return what makes this policy impossible."""
        found = []
        for name, least in (("retries", 0), ("timeout_ms", 1e-6), ("backoff", 1.0), ("ack_bytes", 0)):
            if not getattr(self, name) >= least:
                found.append(Problem(where, name, f"{getattr(self, name)} must be at least {least:g}"))
        return found


@dataclass(slots=True)
class Ticket:
    """What is known of a message of which several copies may be about.

    `copies` are on their way; `wait_ns` is the next time-out, 0 where nobody waits for an acknowledgement;
    `cause` and `hops` tell of the last copy that was dropped.
    """

    message: Message
    src: int
    dst: int
    sent_ns: int
    copies: int = 1
    delivered: bool = False
    policy: str = ""
    tries: int = 1
    wait_ns: int = 0
    cause: int = 0
    hops: int = 0


def policy_for(topic: str, policies: Mapping[str, Arq]) -> str | None:
    """Return the key of the longest topic prefix in `policies` that `topic` starts with, or None."""
    found = [prefix for prefix in policies if topic.startswith(prefix)]
    return max(found, key=len) if found else None
