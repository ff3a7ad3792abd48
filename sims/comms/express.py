"""The fast way: while nothing is out of the ordinary, plain packets travel as rows of numbers in compiled code."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from sims.comms import express_kernel as kernel
from sims.comms import ledger as fate
from sims.comms.arq import Arq
from sims.comms.attacks import Attack
from sims.comms.express_kernel import (
    CONCERNS,
    ENDED,
    ENTERED,
    EVENTS,
    HOPS,
    NEXT,
    POSTED,
    SERIAL,
    SIZE,
    WIRE,
    Ints,
)
from sims.comms.hold import Asked, Hold
from sims.comms.link import LinkSpec
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.packet import DATA, Packet, Timer
from sims.comms.post import Post
from sims.comms.transit import Concerned, Transit
from sims.comms.ways import Ways
from sims.comms.wires import HEAD, TAIL, WAITING

_FIRST = 1024


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
        self._hold = Hold()
        self._heap = np.zeros((_FIRST, 3), dtype=np.int64)
        self._ended = np.zeros((_FIRST, 3), dtype=np.int64)
        self._counters = np.zeros(4, dtype=np.int64)
        self._ways = Ways(self.routes, self.links, self._node_down)
        self._posts: list[Post] = []
        self._asker: Concerned | None = None
        self._asked: dict[int, bool] = {}
        self._board()

    # ---- running -----------------------------------------------------------------------------------

    def _post(self, post: Post) -> None:
        """Note what is to be sent, in the order of time."""
        if not (self._posts and self._posts[-1].took(post)):
            self._posts.append(post)

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
            for message, way, at in chain.from_iterable(post.each() for post in self._posts):
                env.run_through(at)
                self._start(message, *self._ways.ends(way), at)
            self._posts.clear()
        env.run_through(until_ns)
        if not self._aboard:
            self._board()

    def _carry(self, bound_at: int, bound_serial: int) -> None:
        """Run the compiled loop up to an event of the other one."""
        counters = self._counters
        posts = self._admit(bound_at)
        if not len(posts) and not (counters[EVENTS] and self._heap[0, 0] <= bound_at):
            return
        under_way = self._hold.under_way
        need = int(counters[EVENTS]) + under_way
        if need > len(self._heap):
            self._heap = np.concatenate([self._heap, np.zeros((2 * need, 3), np.int64)])
        if under_way > len(self._ended):
            self._ended = np.zeros((2 * under_way, 3), np.int64)
        counters[POSTED] = counters[ENDED] = 0
        wires = self._wires
        while (
            wire := kernel.carry(
                wires.table, wires.rest, wires.stock, self._hold.rows, self._ways.steps, self._heap, counters,
                self._ended, posts, bound_at, bound_serial,
            )
        ) >= 0:  # fmt: skip
            self.links[wire].draw()
        if counters[ENDED]:
            self._part(self._ended[: counters[ENDED]])

    def _admit(self, bound_at: int) -> Ints:
        """Take the posts before `bound_at` aboard; return times and packets."""
        admitted: list[Ints] = []
        posts = self._posts
        while posts and posts[0].at_ns[0] < bound_at:
            post = posts.pop(0)
            if post.at_ns[-1] >= bound_at:
                post, rest = post.parted(bound_at)
                posts.insert(0, rest)
            self.ledger.sent += len(post)
            self._serial += len(post)
            admitted.append(self._hold.stow(post, self._ways.trace(np.array(post.ways))))
        return np.concatenate(admitted) if admitted else _NONE

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
        self._hold.leave(ended[:, 0])

    def _book(self, ended: Ints) -> None:
        if not len(ended):
            return
        hold, places, codes = self._hold, ended[:, 0], ended[:, 2]
        rows, there = hold.rows[places], codes == fate.DELIVERED
        arrived = np.where(there, ended[:, 1] / 1e6, np.nan)
        self._delivered += hold.arrived(places[there], arrived[there])
        met = list(dict.fromkeys(rows[:, kernel.TOPIC].tolist()))
        topics = np.zeros(len(hold.topics), dtype=np.int64)
        topics[met] = self.ledger.topic_codes([hold.topics[number] for number in met])
        self.ledger.settle_many(
            codes, rows[:, kernel.SRC], rows[:, kernel.DST], topics[rows[:, kernel.TOPIC]], rows[:, kernel.SENT],
            arrived, rows[:, SIZE], rows[:, HOPS],
        )

    # ---- from one way to the other -----------------------------------------------------------------

    def _packet(self, slot: int) -> Packet:
        """Return the row of a packet as an object."""
        row = self._hold.rows[slot].tolist()
        packet = Packet(0, self._hold.message(slot), row[kernel.SRC], row[kernel.DST], row[kernel.SENT])
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
                slot = int(self._hold.rows[slot, NEXT])
            table[wire, HEAD] = table[wire, TAIL] = -1
        self._counters[EVENTS] = 0
        self._hold.clear()

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
                kernel.queue_up(table, self._hold.rows, slot, wire)

    def _row(self, packet: Packet) -> int:
        """Give a packet on a wire or before one its row, with the rest of its way from the far end; return it."""
        message, receiver = packet.message, self.names[packet.dst]
        # one that a group's message has split into goes on under the name of its own receiver
        mail = message if message.receiver == receiver else replace(message, receiver=receiver)
        way = self._ways.number(packet.link.dst, packet.dst)
        slot = int(self._hold.stow(Post([mail], [way], [packet.sent_ns]), self._ways.trace(np.array([way])))[0, 1])
        row = self._hold.rows[slot]
        row[kernel.SRC], row[SIZE], row[kernel.EXPIRES] = packet.src, packet.size_bytes, packet.expires_ns
        row[WIRE], row[ENTERED], row[HOPS] = packet.link.index, packet.entered_ns, packet.hops
        return slot

    # ---- what comes next ---------------------------------------------------------------------------

    def _next_ns(self) -> int | None:
        """Return when something happens next aboard [ns], or None."""
        return int(self._heap[0, 0]) if self._counters[EVENTS] else None

    def _next_of_concern(self, concerns: Concerned) -> int | None:
        """Return when something next happens aboard to a packet that concerns someone [ns], or None."""
        packets, where = self._hold.rows, (self._wires.table, self._hold.rows, self._heap, self._counters)
        if concerns is not self._asker:
            self._asker, self._asked = concerns, Asked(concerns, self.names, self._hold.topics)
            packets[:, CONCERNS], self._hold.fresh = -1, True
        if self._hold.fresh:
            new = kernel.unasked(*where)
            keys = packets[new, kernel.TOPIC] * len(self.names) + packets[new, kernel.DST]
            packets[new, CONCERNS], self._hold.fresh = [self._asked[key] for key in keys.tolist()], False
        first = kernel.first_of_concern(*where)
        return first if first >= 0 else None


_NONE = np.zeros((0, 2), dtype=np.int64)


def _is_plain(event: Packet | Timer) -> bool:
    if isinstance(event, Timer):
        return event.kind not in ("retry", "flood")
    return event.kind == DATA and event.members is None and not event.shared and not event.held
