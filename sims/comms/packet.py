"""What SimPy schedules: packets on their way, and timers; both plain data, so a run can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

import simpy

from sims.core.message import Message

DATA, ACK, FLOOD, REPLAY = range(4)
"""What a packet is: a message, its acknowledgement, an attacker's noise, an attacker's copy."""

Callbacks = list[Callable[[Any], None]]


class Packet:
    """One copy of a message on its way; the same object is scheduled again at each hop.

    To SimPy it is an event: all that its loop asks of one are `callbacks`, `_ok` and `_value`. Not deriving
    from `simpy.Event`, and one shared list of callbacks for all packets, make a hop cheap.
    """

    __slots__ = (
        "callbacks",
        "dst",
        "entered_ns",
        "expires_ns",
        "held",
        "hops",
        "kind",
        "link",
        "members",
        "message",
        "sent_ns",
        "shared",
        "size_bytes",
        "src",
        "uid",
    )
    _ok = True
    _value = None
    if TYPE_CHECKING:
        callbacks: Callbacks

    def __init__(
        self, uid: int, message: Message, src: int, dst: int, sent_ns: int, kind: int = DATA,
        members: tuple[int, ...] | None = None,
    ) -> None:  # fmt: skip
        self.uid = uid
        self.message = message
        self.src = src
        self.dst = dst
        self.sent_ns = sent_ns
        self.kind = kind
        self.members = members
        ttl_ms = message.ttl_ms
        self.size_bytes = message.size_bytes
        self.expires_ns = sent_ns + ttl_ms * 1_000_000 if ttl_ms else 0
        self.hops = 0
        self.shared = self.held = False
        self.entered_ns = 0
        self.link: Any = None

    def twin(self, **changes: Any) -> Packet:
        """Return a second packet, equal but for `changes`."""
        other = Packet.__new__(Packet)
        for name in _FIELDS:
            setattr(other, name, changes.get(name, getattr(self, name)))
        return other

    def row(self) -> dict[str, Any]:
        """Return the packet as plain data; its link by index."""
        row = {name: getattr(self, name) for name in _FIELDS}
        row["link"] = self.link.index if self.link is not None else None
        return row

    @staticmethod
    def from_row(row: dict[str, Any], links: list[Any]) -> Packet:
        """Rebuild what `row` described."""
        packet = Packet.__new__(Packet)
        for name, value in row.items():
            setattr(packet, name, value)
        packet.link = None if row["link"] is None else links[row["link"]]
        return packet


_FIELDS = tuple(name for name in Packet.__slots__ if name != "callbacks")


class Timer:
    """Something the network has to do at a time: `kind` names it, `number` says to what."""

    __slots__ = ("callbacks", "kind", "message", "number")
    _ok = True
    _value = None
    if TYPE_CHECKING:
        callbacks: Callbacks

    def __init__(self, kind: str, number: int, message: Message | None = None) -> None:
        self.kind = kind
        self.number = number
        self.message = message


Row = tuple[int, int, "Packet | Timer"]


class Schedule(simpy.Environment):  # type: ignore[misc]
    """SimPy's event loop on integer nanoseconds, run through an instant and open to a snapshot."""

    _now: int
    _eid: Iterator[int]

    def at(self, at_ns: int, event: Packet | Timer, callbacks: Callbacks) -> None:
        """Run `callbacks` on `event` at `at_ns`; equal times keep the order of scheduling.

        The same push as `simpy.Environment.schedule`, at an absolute time.
        """
        event.callbacks = callbacks
        heappush(self._queue, (at_ns, 1, next(self._eid), event))

    def run_through(self, until_ns: int) -> None:
        """Run every event up to and at `until_ns`, and stand there.

        What `simpy.Environment.step` does, without its care for events that fail: these cannot.
        """
        queue = self._queue
        while queue and queue[0][0] <= until_ns:
            self._now, _, _, event = heappop(queue)
            event.callbacks[0](event)
        if until_ns > self._now:
            self._now = until_ns

    def first(self, until_ns: int) -> tuple[int, int]:
        """Return time and number of the first event up to `until_ns`, or of what is after all of those."""
        at, _, number, _ = self._queue[0] if self._queue else (until_ns + 1, 0, 0, None)
        return (at, number) if at <= until_ns else (until_ns + 1, -1)

    def stand_at(self, now_ns: int) -> None:
        """Set the clock to an instant that another loop has come to."""
        self._now = now_ns

    def lift(self) -> list[Row]:
        """Take all events off: (time, number, event), in no order."""
        rows = [(at, number, event) for at, _, number, event in self._queue]
        self._queue.clear()
        return rows

    def lay(self, rows: list[Row], number: int | None = None) -> int:
        """Put events back with the numbers they had; return the number of the next, `number` where given."""
        self._queue.extend((at, 1, given, event) for at, given, event in rows)
        heapify(self._queue)
        number = next(self._eid) if number is None else number
        self._eid = count(number)
        return number

    def coming(self) -> list[tuple[int, Packet | Timer]]:
        """Return what is still to come, in no order."""
        return [(at, event) for at, _, _, event in self._queue]

    def pending(self) -> list[tuple[int, Packet | Timer]]:
        """Return what is still to come, in its order."""
        return [(at, event) for at, _, _, event in sorted(self._queue, key=lambda item: item[:3])]
