"""The postmark: who really sends a message and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from controllers.soundness import slips
from sims.core.bundle import Bundle, Mail
from sims.core.errors import ControllerError
from sims.core.message import Message


def stamped(name: str, decided: Sequence[Message], now_ms: int) -> list[Message]:
    """Return messages with their true sender `name` and time."""
    return [
        Message(name, one.receiver, one.topic, one.values, now_ms, one.size_bytes, one.ttl_ms, one.priority,
                one.arrived_ms)
        for one in decided
    ]


def franked(mail: Sequence[Mail], now_ms: int) -> list[Mail]:
    """Return what comes from a bench, which knows who of it sends what, with its true time.

    Raises
    ------
    ControllerError
        A message cannot leave (see `soundness.slips`).
    """
    messages = [item for item in mail if not isinstance(item, Bundle)]
    for place, text in slips(messages).items():
        raise ControllerError(messages[place].sender, now_ms, text)
    out: list[Mail] = []
    for item in mail:
        if isinstance(item, Bundle):
            for name, column in item.values.items():
                for row in np.flatnonzero(~np.isfinite(column))[:1]:
                    sender = item.addresses.senders[item.rows[row]]
                    raise ControllerError(sender, now_ms, f"sent {item.topic} with {name} not finite")
            out.append(replace(item, sent_ms=now_ms))
        else:
            out += stamped(item.sender, [item], now_ms)
    return out
