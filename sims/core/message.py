"""The one thing that travels between places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, init=False)
class Message:
    """A message as it left its sender, and, once delivered, when it arrived.

    `values` maps names to numbers, strings or read-only arrays; nobody may change them. `ttl_ms` is how
    long after `sent_ms` the content may be used; 0 means without limit. `priority` 0 is served first.
    """

    sender: str
    receiver: str
    topic: str
    values: Mapping[str, Any] = field(default_factory=dict)
    sent_ms: int = 0
    size_bytes: int = 100
    ttl_ms: int = 0
    priority: int = 1
    arrived_ms: float = 0.0

    def __init__(
        self, sender: str, receiver: str, topic: str, values: Mapping[str, Any] | None = None, sent_ms: int = 0,
        size_bytes: int = 100, ttl_ms: int = 0, priority: int = 1, arrived_ms: float = 0.0,
    ) -> None:  # fmt: skip
        _become(self, "__class__", _Open)
        self.sender = sender  # type: ignore[misc]
        self.receiver = receiver  # type: ignore[misc]
        self.topic = topic  # type: ignore[misc]
        self.values = {} if values is None else values  # type: ignore[misc]
        self.sent_ms = sent_ms  # type: ignore[misc]
        self.size_bytes = size_bytes  # type: ignore[misc]
        self.ttl_ms = ttl_ms  # type: ignore[misc]
        self.priority = priority  # type: ignore[misc]
        self.arrived_ms = arrived_ms  # type: ignore[misc]
        self.__class__ = Message

    def __deepcopy__(self, memo: Any) -> Message:
        """Return the message itself, which nobody changes: who keeps it knows it again."""
        return self


_become = object.__setattr__


class _Open:
    """What a message is while it is filled: the same places, still to be written.

    A frozen dataclass writes each field through `object.__setattr__`, at more than twice the cost; hundreds of
    thousands are made a day.
    """

    __slots__ = Message.__slots__
