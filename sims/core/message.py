"""The one thing that travels between places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
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
