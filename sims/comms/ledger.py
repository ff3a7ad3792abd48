"""The books of the network: every message's fate, as counts and as columns for the run file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DROPS = (
    "lost", "queue_full", "link_down", "node_down", "no_route", "expired", "attacked", "buffer_full",
)  # fmt: skip
"""Why a message never arrived."""

FATES = ("delivered", "duplicate", "replayed", *DROPS)
"""Fate codes of the log; `duplicate` and `replayed` are arrivals beyond the message's own."""

DELIVERED, DUPLICATE, REPLAYED = range(3)
LOST, QUEUE_FULL, LINK_DOWN, NODE_DOWN, NO_ROUTE, EXPIRED, ATTACKED, BUFFER_FULL = range(3, 11)

EXTRAS = ("duplicates", "replays", "retries", "acks", "tampered", "floods", "floods_dropped")

COUNTERS = ("sent", "delivered", "in_flight", *DROPS, *EXTRAS)
"""Order of the counters' array."""

OTHER = "other"
"""Topic under which a closed table books what it does not name."""

_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("sender", np.int32), ("receiver", np.int32), ("topic", np.int32), ("sent_ms", np.float64),
    ("arrived_ms", np.float64), ("size_bytes", np.int32), ("hops", np.int16), ("fate", np.int8),
)  # fmt: skip

COLUMNS = tuple(name for name, _ in _COLUMNS)
"""Names of the columns of the log."""

Log = Mapping[str, NDArray[Any]]
"""Columns of the log."""

Row = tuple[int, int, str, int, float, int, int, int]
"""One line of the log, in the order of its columns; topic by name and sending time in ns until drained."""


class Ledger:
    """Counts sent = delivered + dropped by cause + in flight, and keeps the log until it is drained."""

    def __init__(self, nodes: Sequence[str], topics: Sequence[str] = ()) -> None:
        self.nodes = tuple(nodes)
        self.topics: list[str] = list(dict.fromkeys(topics))
        self._topic_codes = {topic: code for code, topic in enumerate(self.topics)}
        self.sent = 0
        self.fates = [0] * len(FATES)
        self.extras = dict.fromkeys(EXTRAS, 0)
        self.rows: list[Row] = []
        self.blocks: list[Log] = []

    def topic_code(self, topic: str) -> int:
        """Return the code of `topic`; a new one counts as ``other`` where the table has that, else is appended."""
        code = self._topic_codes.get(topic, self._topic_codes.get(OTHER))
        if code is None:
            code = self._topic_codes[topic] = len(self.topics)
            self.topics.append(topic)
        return code

    def topic_codes(self, topics: Sequence[str]) -> list[int]:
        """Return the code of each topic; what is booked already comes first in the table."""
        self._seal()
        found = {topic: self.topic_code(topic) for topic in dict.fromkeys(topics)}
        return [found[topic] for topic in topics]

    def settle(
        self, fate: int, sender: int, receiver: int, topic: str,
        sent_ns: int, arrived_ms: float, size_bytes: int, hops: int,
    ) -> None:  # fmt: skip
        """Book one fate; `arrived_ms` is NaN for a drop."""
        self.fates[fate] += 1
        self.rows.append((sender, receiver, topic, sent_ns, arrived_ms, size_bytes, hops, fate))

    def settle_many(
        self, fates: NDArray[np.int64], senders: NDArray[np.int64], receivers: NDArray[np.int64],
        topics: NDArray[np.int64], sent_ns: NDArray[np.int64], arrived_ms: NDArray[np.float64],
        size_bytes: NDArray[np.int64], hops: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Book many messages, topics by code; in the log they follow the rows that are there."""
        given = (senders, receivers, topics, sent_ns / 1e6, arrived_ms, size_bytes, hops, fates)
        self.book({name: values.astype(kind) for (name, kind), values in zip(_COLUMNS, given, strict=True)})

    def book(self, log: Log) -> None:
        """Book many messages by what the log is to say of each, in the types of its columns."""
        self._seal()
        for code, count in enumerate(np.bincount(log["fate"], minlength=len(FATES)).tolist()):
            self.fates[code] += count
        self.blocks.append(log)

    def _seal(self) -> None:
        """Turn the rows so far into columns."""
        if self.rows:
            rows, self.rows = self.rows, []
            self.blocks.append(self._columns(rows))

    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the tables behind the codes: ``node``, ``topic``, ``fate``."""
        return {"node": self.nodes, "topic": tuple(self.topics), "fate": FATES}

    def counts(self) -> dict[str, Any]:
        """Return ``sent``, ``delivered``, ``dropped`` (by cause), ``in_flight`` and the extras."""
        dropped = dict(zip(DROPS, self.fates[LOST:], strict=True))
        delivered = self.fates[DELIVERED]
        in_flight = self.sent - delivered - sum(dropped.values())
        return {
            "sent": self.sent, "delivered": delivered, "dropped": dropped, "in_flight": in_flight,
            **self.extras,
        }  # fmt: skip

    def array(self) -> NDArray[np.int64]:
        """Return the counts in the order of `COUNTERS`."""
        counts = self.counts()
        flat = {**counts, **counts["dropped"]}
        return np.array([flat[name] for name in COUNTERS], dtype=np.int64)

    def drain(self) -> dict[str, NDArray[Any]]:
        """Return and forget the log as columns; times [ms], NaN where a message never arrived."""
        blocks = [*self.blocks, self._columns(self.rows)]
        self.rows, self.blocks = [], []
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[-1]}

    def _columns(self, rows: list[Row]) -> dict[str, NDArray[Any]]:
        columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(_COLUMNS)
        columns[2] = map(self.topic_code, columns[2])
        out = {
            name: np.fromiter(values, dtype=kind, count=len(rows))
            for (name, kind), values in zip(_COLUMNS, columns, strict=True)
        }
        out["sent_ms"] /= 1e6
        return out

    def get_state(self) -> dict[str, Any]:
        """Return the books as plain data."""
        return {
            "topics": list(self.topics), "sent": self.sent, "fates": list(self.fates),
            "extras": dict(self.extras), "rows": list(self.rows),
            "blocks": list(self.blocks),
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.topics = list(state["topics"])
        self._topic_codes = {topic: code for code, topic in enumerate(self.topics)}
        self.sent, self.fates = state["sent"], list(state["fates"])
        self.extras, self.rows = dict(state["extras"]), list(state["rows"])
        self.blocks = list(state["blocks"])
