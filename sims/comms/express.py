"""The fast way: while nothing is out of the ordinary, plain packets travel as rows of numbers in compiled code."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms import express_kernel as kernel
from sims.comms import ledger as fate
from sims.comms.arq import Arq
from sims.comms.attacks import Attack
from sims.comms.express_kernel import (
    CONCERNS,
    ENDED,
    ENTERED,
    EVENTS,
    EXPIRES,
    HOPS,
    NEXT,
    POSTED,
    PRIORITY,
    ROW,
    SERIAL,
    SIZE,
    WIRE,
    Ints,
)
from sims.comms.link import LinkSpec
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.packet import DATA, Packet, Timer
from sims.comms.transit import Concerned, Transit
from sims.comms.ways import BEGIN, THERE, Ways
from sims.comms.wires import HEAD, TAIL, WAITING
from sims.core.bundle import Bundle, Mail
from sims.core.message import Message

_FIRST = 1024
Floats = NDArray[np.float64]
Posts = tuple[list[Mail], list[int], list[int], list[int]]
"""Mail, and for each: its way, when it is sent [ns], and its place in its bundle (-1: a message)."""


class Express(Transit):
    """Carries all plain packets aboard one compiled loop, and hands them to `Transit` when that is over.

    Aboard, sends wait as posts until something asks what became of them. Outages happen ashore: all packets
    land before one, and those that are left board again after it. Attacks, acknowledgements, duplicates
    and groups keep everything ashore. Both ways draw the same numbers, and order events of one instant
    alike, so that nobody can tell from the outcome which was taken.
    """

    def __init__(
        self, nodes: Sequence[Node], links: Sequence[LinkSpec], seed: int,
        outages: Sequence[Outage | RandomOutage], attacks: Sequence[Attack], arq: Mapping[str, Arq],
        topics: Sequence[str],
    ) -> None:  # fmt: skip
        super().__init__(nodes, links, seed, outages, attacks, arq, topics)
        self._plain = not (arq or any(link.p_duplicate for link in self.links))
        self._aboard = False
        self._packets = np.zeros((0, len(kernel.COLUMNS)), dtype=np.int64)
        self._heap = np.zeros((_FIRST, 3), dtype=np.int64)
        self._ended = np.zeros((_FIRST, 3), dtype=np.int64)
        self._counters = np.zeros(4, dtype=np.int64)
        self._ways = Ways(self.routes, self.links, self._node_down)
        self._mail: list[Any] = []
        self._free: list[int] = []
        self._posts: Posts = ([], [], [], [])
        self._asker: Concerned | None = None
        self._board()

    # ---- running -----------------------------------------------------------------------------------

    def _post(
        self, mail: Sequence[Mail], ways: Sequence[int], at_ns: Sequence[int], rows: Sequence[int] | None = None
    ) -> None:
        """Note what is to be sent when and on which way, in the order of time; `rows` are places in a bundle."""
        self._posts[0].extend(mail)
        self._posts[1].extend(ways)
        self._posts[2].extend(at_ns)
        self._posts[3].extend([-1] * len(mail) if rows is None else rows)

    def _run(self, until_ns: int) -> None:
        """Send what is posted and run everything up to and at `until_ns`."""
        env = self._env
        while self._aboard:
            at, serial = env.first(until_ns)
            self._carry(at, serial)
            if at > until_ns:
                break
            self._land()
            env.run_through(at)
            self._board()
        else:
            for mail, way, at, row in zip(*self._posts, strict=True):
                env.run_through(at)
                self._start(_single(mail, row), *self._ways.ends(way), at)
            self._posts = ([], [], [], [])
        env.run_through(until_ns)
        if not self._aboard:
            self._board()

    def _carry(self, bound_at: int, bound_serial: int) -> None:
        """Run the compiled loop up to an event of the other one."""
        counters = self._counters
        posts = self._admit(bound_at)
        if not len(posts) and not (counters[EVENTS] and self._heap[0, 0] <= bound_at):
            return
        under_way = len(self._packets) - len(self._free)
        need = int(counters[EVENTS]) + under_way
        if need > len(self._heap):
            self._heap = np.concatenate([self._heap, np.zeros((2 * need, 3), np.int64)])
        if under_way > len(self._ended):
            self._ended = np.zeros((2 * under_way, 3), np.int64)
        counters[POSTED] = counters[ENDED] = 0
        wires = self._wires
        while (
            wire := kernel.carry(
                wires.table, wires.rest, wires.stock, self._packets, self._ways.steps, self._heap, counters,
                self._ended, posts, bound_at, bound_serial,
            )
        ) >= 0:  # fmt: skip
            self.links[wire].draw()
        if counters[ENDED]:
            self._part(self._ended[: counters[ENDED]])

    def _admit(self, bound_at: int) -> Ints:
        """Take the posts before `bound_at` aboard; return times and packets."""
        messages, ways, times, places = self._posts
        count = len(times) if not times or times[-1] < bound_at else bisect_left(times, bound_at)
        if not count:
            return _NONE
        self._posts = (messages[count:], ways[count:], times[count:], places[count:])
        del messages[count:], ways[count:], times[count:], places[count:]
        self.ledger.sent += count
        self._serial += count
        slots = self._slots(count)
        mail = self._mail
        for slot, message in zip(slots, messages, strict=True):
            mail[slot] = message
        at = np.array(times)
        ttl = np.array([message.ttl_ms for message in messages]) * 1_000_000
        rows = np.zeros((count, len(kernel.COLUMNS)), dtype=np.int64)
        rows[:, kernel.OF_WAY] = self._ways.trace(np.array(ways))[:, : THERE + 1]
        rows[:, kernel.SENT] = at
        rows[:, SIZE] = [message.size_bytes for message in messages]
        rows[:, PRIORITY] = [message.priority for message in messages]
        rows[:, EXPIRES] = np.where(ttl > 0, at + ttl, 0)
        rows[:, WIRE] = rows[:, NEXT] = rows[:, CONCERNS] = -1
        rows[:, ROW] = places
        self._packets[slots] = rows
        return np.stack([at, np.array(slots)], axis=1)

    def _slots(self, count: int) -> list[int]:
        """Return the places of `count` new packets."""
        free = self._free
        if len(free) < count:
            had = len(self._packets)
            more = max(_FIRST, had, count)
            self._packets = np.concatenate([self._packets, np.zeros((more, len(kernel.COLUMNS)), np.int64)])
            self._mail.extend([None] * more)
            free[:0] = range(had + more - 1, had - 1, -1)
        slots = free[-count:]
        del free[-count:]
        return slots

    # ---- at the end of the way ---------------------------------------------------------------------

    def _part(self, ended: Ints) -> None:
        """Deliver and book what has come to its end, in its order."""
        stuck = np.flatnonzero(ended[:, 2] == kernel.LOOK_ROUND).tolist()
        begin = 0
        for place in stuck:
            self._book(ended[begin:place])
            slot, at, _ = ended[place].tolist()
            packet = self._packet(slot)
            self._env.stand_at(at)
            if packet.link is None:
                self._depart(packet)
            else:
                self._look_round(packet, packet.link.dst)
            begin = place + 1
        self._book(ended[begin:])
        self._free.extend(ended[:, 0].tolist())

    def _book(self, ended: Ints) -> None:
        if not len(ended):
            return
        codes, rows = ended[:, 2], self._packets[ended[:, 0]]
        mail = [self._mail[slot] for slot in ended[:, 0].tolist()]
        there = codes == fate.DELIVERED
        arrived = np.where(there, ended[:, 1] / 1e6, np.nan)
        each = zip(mail, arrived.tolist(), there.tolist(), strict=True)
        if (rows[:, ROW] < 0).all():
            self._delivered += [_arrived(message, at) for message, at, is_there in each if is_there]
        else:
            self._hand_over_all(mail, rows[:, ROW].tolist(), arrived, there.tolist())
        topics = np.array(self.ledger.topic_codes([item.topic for item in mail]))
        self.ledger.settle_many(
            codes, rows[:, kernel.SRC], rows[:, kernel.DST], topics, rows[:, kernel.SENT], arrived, rows[:, SIZE],
            rows[:, HOPS],
        )

    def _hand_over_all(
        self, mail: Sequence[Mail], rows: Sequence[int], arrived_ms: Floats, there: Sequence[bool]
    ) -> None:
        """Hand over what has arrived in order; what did of a bundle stands together where the first of it does."""
        bundles: dict[int, tuple[int, list[int]]] = {}
        out = self._delivered
        for place, (item, at, is_there) in enumerate(zip(mail, arrived_ms.tolist(), there, strict=True)):
            if not is_there:
                continue
            if not isinstance(item, Bundle):
                out.append(_arrived(item, at))
            elif id(item) in bundles:
                bundles[id(item)][1].append(place)
            else:
                bundles[id(item)] = len(out), [place]
                out.append(item)
        for number, places in bundles.values():
            bundle = out[number]
            assert isinstance(bundle, Bundle)
            out[number] = bundle.arrived(np.array([rows[place] for place in places]), arrived_ms[places])

    # ---- from one way to the other -----------------------------------------------------------------

    def _packet(self, slot: int) -> Packet:
        """Return the row of a packet as an object."""
        row = self._packets[slot].tolist()
        message = _single(self._mail[slot], row[ROW])
        packet = Packet(0, message, row[kernel.SRC], row[kernel.DST], row[kernel.SENT])
        packet.hops, packet.entered_ns = row[HOPS], row[ENTERED]
        packet.link = self.links[row[WIRE]] if row[WIRE] >= 0 else None
        return packet

    def _land(self) -> None:
        """Hand all packets and wakings to the other way, as they stand."""
        if not self._aboard:
            return
        self._aboard = False
        rows = self._env.lift()
        for at, serial, what in self._heap[: self._counters[EVENTS]].tolist():
            event: Packet | Timer = self._packet(what) if what >= 0 else Timer("wake", -1 - what)
            event.callbacks = self._on_arrive if what >= 0 else self._on_timer
            rows.append((at, serial, event))
        self._env.lay(rows, int(self._counters[SERIAL]))
        table = self._wires.table
        for wire in np.flatnonzero(table[:, WAITING]).tolist():
            link = self.links[wire]
            link.queue = {}
            slot = int(table[wire, HEAD])
            while slot >= 0:
                packet = self._packet(slot)
                link.queue.setdefault(packet.message.priority, deque()).append(packet)
                slot = int(self._packets[slot, NEXT])
            table[wire, HEAD] = table[wire, TAIL] = -1
        self._counters[EVENTS] = 0
        self._free = list(range(len(self._packets) - 1, -1, -1))

    def _board(self) -> None:
        """Take all packets and wakings aboard, unless one of them, or what is done to a link, does not allow it."""
        if not self._plain or self.disruptions.attacking or self._tickets:
            return
        if not all(_is_plain(event) for _, event in self._env.coming()):
            return
        table = self._wires.table
        queues = [(w, self.links[w].packets_waiting()) for w in np.flatnonzero(table[:, WAITING]).tolist()]
        if not all(_is_plain(packet) for _, waiting in queues for packet in waiting):
            return
        self._aboard = True
        self._ways.forget()
        rows = self._env.lift()
        stay = [row for row in rows if isinstance(row[2], Timer) and row[2].kind != "wake"]
        serial = self._env.lay(stay)
        if len(rows) > len(self._heap):
            self._heap = np.zeros((2 * len(rows), 3), np.int64)
        self._counters[:] = (serial, 0, 0, 0)
        for at, number, event in rows:
            if isinstance(event, Packet):
                kernel.push(self._heap, self._counters, at, number, self._row(event))
            elif event.kind == "wake":
                kernel.push(self._heap, self._counters, at, number, -1 - event.number)
        for wire, waiting in queues:
            self.links[wire].queue = {}
            table[wire, WAITING] = 0
            for packet in waiting:
                packet.link = self.links[wire]
                slot = self._row(packet)  # which may make room: only then is the table the one to write to
                kernel.queue_up(table, self._packets, slot, wire)

    def _row(self, packet: Packet) -> int:
        """Give a packet on a wire or before one its row, with the rest of its way from the far end; return it."""
        (slot,) = self._slots(1)
        message, receiver = packet.message, self.names[packet.dst]
        # one that a group's message has split into goes on under the name of its own receiver
        self._mail[slot] = message if message.receiver == receiver else replace(message, receiver=receiver)
        rest = self._ways.trace(np.array([self._ways.number(packet.link.dst, packet.dst)]))
        self._packets[slot] = (
            packet.src, packet.dst, packet.sent_ns, packet.size_bytes, packet.message.priority, packet.expires_ns,
            *rest[0, BEGIN : THERE + 1], packet.link.index, packet.entered_ns, packet.hops, -1, -1, -1,
        )  # fmt: skip
        return slot

    # ---- what comes next ---------------------------------------------------------------------------

    def _next_ns(self) -> int | None:
        """Return when something happens next aboard [ns], or None."""
        return int(self._heap[0, 0]) if self._counters[EVENTS] else None

    def _next_of_concern(self, concerns: Concerned) -> int | None:
        """Return when something next happens aboard to a packet that concerns someone [ns], or None."""
        packets, where = self._packets, (self._wires.table, self._packets, self._heap, self._counters)
        if concerns is not self._asker:
            self._asker = concerns
            packets[:, CONCERNS] = -1
        new = kernel.unasked(*where).tolist()
        if new:
            topics = [self._mail[slot].topic for slot in new]
            receivers = packets[new, kernel.DST].tolist()
            packets[new, CONCERNS] = [concerns(self.names[r], t) for r, t in zip(receivers, topics, strict=True)]
        first = kernel.first_of_concern(*where)
        return first if first >= 0 else None


_NONE = np.zeros((0, 2), dtype=np.int64)


def _single(mail: Mail, row: int) -> Message:
    """Return `mail`, or what stands in row `row` of it where it is a bundle, as a message."""
    return mail.message(row) if isinstance(mail, Bundle) else mail


def _arrived(message: Message, at_ms: float) -> Message:
    return Message(
        message.sender, message.receiver, message.topic, message.values, message.sent_ms, message.size_bytes,
        message.ttl_ms, message.priority, at_ms,
    )


def _is_plain(event: Packet | Timer) -> bool:
    if isinstance(event, Timer):
        return event.kind not in ("retry", "flood")
    return event.kind == DATA and event.members is None and not event.shared and not event.held
