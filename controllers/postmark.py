"""The postmark: who really sends a message and when, and that it carries no number that is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sims.core.bundle import Bundle, Mail
from sims.core.errors import ControllerError
from sims.core.message import Message

ORDER = "command/"
"""How the topic of an order begins; its duty follows."""


def stamped(name: str, decided: Sequence[Message], now_ms: int, kept: str) -> list[Message]:
    """Return messages with their true sender `name` and time; those to `kept` do not travel and may have gaps.

    Raises
    ------
    ControllerError
        One carries a number that is none. An order with an infinite value takes a set-point back; anywhere else
        it is a slip, as nan always is.
    """
    _require_numbers(name, decided, now_ms, kept)
    return [
        Message(name, one.receiver, one.topic, one.values, now_ms, one.size_bytes, one.ttl_ms, one.priority,
                one.arrived_ms)
        for one in decided
    ]


def franked(mail: Sequence[Mail], now_ms: int, kept: str) -> list[Mail]:
    """Return what comes from a bench, which knows who of it sends what, with its true time; else as `stamped`."""
    out: list[Mail] = []
    for item in mail:
        if isinstance(item, Bundle):
            for name, column in item.values.items():
                for row in np.flatnonzero(~np.isfinite(column))[:1]:
                    sender = item.addresses.senders[item.rows[row]]
                    raise ControllerError(sender, now_ms, f"sent {item.topic} with {name} not finite")
            out.append(replace(item, sent_ms=now_ms))
        else:
            out += stamped(item.sender, [item], now_ms, kept)
    return out


def _require_numbers(name: str, decided: Sequence[Message], now_ms: int, kept: str) -> None:
    """Raise where a message that travels has a number that may not be sent; all are looked at in one go."""
    total = 0.0  # a sum with a number in it that is none is none itself
    orders: list[Any] = []
    others: list[Any] = []
    for message in decided:
        if message.receiver == kept:
            continue
        arrays = orders if message.topic.startswith(ORDER) else others
        for value in message.values.values():
            if isinstance(value, float):
                total += value
            elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
                arrays.append(value if value.ndim == 1 else value.ravel())
    suspect = not math.isfinite(total)
    suspect = suspect or (len(orders) > 0 and bool(np.isnan(_joined(orders)).any()))
    suspect = suspect or (len(others) > 0 and not np.isfinite(_joined(others)).all())
    if suspect:
        for message in decided:
            for key, value in message.values.items():
                if message.receiver != kept and not _sendable(value, message.topic.startswith(ORDER)):
                    raise ControllerError(name, now_ms, f"sent {message.topic} with {key} not finite")


def _joined(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _sendable(value: Any, in_order: bool) -> bool:
    """Tell whether a value has no number in it, or such as may be sent."""
    numbers = isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fc")
    return not numbers or not bool((np.isnan(value) if in_order else ~np.isfinite(value)).any())
