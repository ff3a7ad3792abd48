"""What a fleet reports at once: many messages of one sort as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.message import Message

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Addresses:
    """Who writes to whom, a row each. Make them once and send with them again: their ways are found once."""

    senders: tuple[str, ...]
    receivers: tuple[str, ...]

    def __deepcopy__(self, memo: Any) -> Addresses:
        """Return the addresses themselves, which nobody changes."""
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Messages on one topic that leave at one time: a message a row, a field a column.

    Simulators send and hear them where a fleet speaks. To the network each row is a message of its own, with
    its own delay and fate; rows that arrive together come out as one bundle. Controllers get `messages`.

    Parameters
    ----------
    addresses : Addresses
    rows : ndarray of int, [message]
        Which of the addresses each message has.
    values : mapping of str to ndarray, [message]
        Nobody may change them.
    arrived_ms : ndarray of float, [message]
        Once delivered, when each arrived; in order of arrival.
    """

    addresses: Addresses
    rows: Ints
    topic: str
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sent_ms: int = 0
    size_bytes: int = 100
    ttl_ms: int = 0
    priority: int = 1
    arrived_ms: Floats = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.rows)

    def some(self, which: Ints) -> Bundle:
        """Return those of the messages that `which` numbers, in its order."""
        return self.arrived(which, self.arrived_ms[which] if len(self.arrived_ms) else self.arrived_ms)

    def arrived(self, which: Ints, arrived_ms: Floats) -> Bundle:
        """Return those of the messages that arrived, and when [ms]."""
        values = {name: column[which] for name, column in self.values.items()}
        return Bundle(
            self.addresses, self.rows[which], self.topic, values, self.sent_ms, self.size_bytes, self.ttl_ms,
            self.priority, arrived_ms,
        )

    def parted(self, until_ms: float) -> tuple[Bundle, Bundle]:
        """Return what had arrived by `until_ms`, and the rest."""
        count = int(np.searchsorted(self.arrived_ms, until_ms, side="right"))
        return self.some(np.arange(count)), self.some(np.arange(count, len(self)))

    def message(self, number: int) -> Message:
        """Return one message as an object."""
        row, values = int(self.rows[number]), {name: column[number] for name, column in self.values.items()}
        return Message(
            self.addresses.senders[row], self.addresses.receivers[row], self.topic,
            {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()},
            self.sent_ms, self.size_bytes, self.ttl_ms, self.priority,
            float(self.arrived_ms[number]) if len(self.arrived_ms) else 0.0,
        )  # fmt: skip

    def messages(self) -> list[Message]:
        """Return each message as an object."""
        senders, receivers, names = self.addresses.senders, self.addresses.receivers, tuple(self.values)
        told = zip(*(column.tolist() for column in self.values.values()), strict=True) if names else ((),) * len(self)
        arrived = self.arrived_ms.tolist() or [0.0] * len(self)
        topic, sent, size, ttl, rank = self.topic, self.sent_ms, self.size_bytes, self.ttl_ms, self.priority
        each = zip(self.rows.tolist(), told, arrived, strict=True)
        return [
            Message(senders[row], receivers[row], topic, dict(zip(names, one, strict=True)), sent, size, ttl, rank, at)
            for row, one, at in each
        ]


Mail = Message | Bundle


def unbundled(mail: Iterable[Mail]) -> list[Message]:
    """Return all messages of `mail`, those of bundles as objects of their own."""
    out: list[Message] = []
    for item in mail:
        if isinstance(item, Bundle):
            out += item.messages()
        else:
            out.append(item)
    return out
