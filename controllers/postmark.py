"""The postmark: who really sends a message and when, and that it carries no number that is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from controllers.contract import Site
from sims.core.errors import ControllerError
from sims.core.message import Message

ORDER = "command/"
"""How the topic of an order begins; its duty follows."""


def stamped(site: Site, decided: Sequence[Message], now_ms: int, kept: str) -> list[Message]:
    """Return messages with their true sender and time; those to the receiver `kept` do not travel and may have gaps.

    Raises
    ------
    ControllerError
        One carries a number that is none. An order with an infinite value takes a set-point back; anywhere else
        it is a slip, as nan always is.
    """
    _require_numbers(site, [one for one in decided if one.receiver != kept], now_ms)
    return [
        Message(site.name, one.receiver, one.topic, one.values, now_ms, one.size_bytes, one.ttl_ms, one.priority,
                one.arrived_ms)
        for one in decided
    ]


def _require_numbers(site: Site, decided: Sequence[Message], now_ms: int) -> None:
    """Raise where a message has a number that may not be sent; all arrays are looked at in one go."""
    suspect = False
    orders: list[Any] = []
    others: list[Any] = []
    for message in decided:
        arrays = orders if message.topic.startswith(ORDER) else others
        for value in message.values.values():
            if isinstance(value, float):
                suspect |= not math.isfinite(value)
            elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
                arrays.append(value if value.ndim == 1 else value.ravel())
    suspect |= len(orders) > 0 and bool(np.isnan(np.concatenate(orders)).any())
    suspect |= len(others) > 0 and not np.isfinite(np.concatenate(others)).all()
    if suspect:
        for message in decided:
            for name, value in message.values.items():
                if not _sendable(value, message.topic.startswith(ORDER)):
                    raise ControllerError(site.name, now_ms, f"sent {message.topic} with {name} not finite")


def _sendable(value: Any, in_order: bool) -> bool:
    """Tell whether a value has no number in it, or such as may be sent."""
    numbers = isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fc")
    return not numbers or not bool((np.isnan(value) if in_order else ~np.isfinite(value)).any())
