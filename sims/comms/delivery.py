"""The end of a packet's way: delivered, dropped, acknowledged, sent again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from sims.comms import ledger as fate
from sims.comms.arq import Arq, Ticket, policy_for
from sims.comms.ledger import Ledger
from sims.comms.link import NS_PER_MS
from sims.comms.packet import ACK, DATA, FLOOD, REPLAY, Packet, Schedule, Timer
from sims.core.bundle import Mail
from sims.core.message import Message


class Delivery(ABC):
    """Books each message's fate once, however many copies of it are about."""

    def __init__(self, names: Sequence[str], arq: Mapping[str, Arq], topics: Sequence[str]) -> None:
        self.names = tuple(names)
        self.ledger = Ledger(self.names, topics)
        self._env = Schedule(0)
        self._arq = dict(arq)
        self._policies: dict[str, str | None] = {}
        self._tickets: dict[int, Ticket] = {}
        self._delivered: list[Mail] = []

    @abstractmethod
    def _depart(self, packet: Packet) -> None:
        """Send `packet` off from its source; whoever moves packets knows how."""

    @abstractmethod
    def set_timer(self, at_ns: int, timer: Timer) -> None:
        """Let `timer` fire at `at_ns`."""

    def _deliver(self, packet: Packet) -> None:
        """Take in what is no plain message: a copy, an acknowledgement, an attacker's packet."""
        if packet.kind == REPLAY:
            self._hand_over(packet, fate.REPLAYED)
        elif packet.kind == FLOOD:
            return
        elif packet.kind == ACK:
            if ticket := self._tickets.get(packet.uid):
                ticket.wait_ns = 0
                self._review(packet.uid, ticket)
        elif not packet.shared:
            self._hand_over(packet, fate.DELIVERED)
        else:
            ticket = self._tickets[packet.uid]
            ticket.copies -= 1
            if not ticket.delivered:
                ticket.delivered = True
                self._hand_over(packet, fate.DELIVERED)
            elif not ticket.policy:
                self._hand_over(packet, fate.DUPLICATE)
            if ticket.policy:
                self._acknowledge(packet, ticket)
            self._review(packet.uid, ticket)

    def _hand_over(self, packet: Packet, code: int) -> None:
        message, dst = packet.message, packet.dst
        arrived_ms = self._env._now / 1e6
        size = message.size_bytes
        arrived = Message(
            message.sender, self.names[dst], message.topic, message.values, message.sent_ms,
            size, message.ttl_ms, message.priority, arrived_ms,
        )  # fmt: skip
        self._delivered.append(arrived)
        self.ledger.settle(
            code, packet.src, dst, message.topic, packet.sent_ns, arrived_ms, size, packet.hops
        )

    def _drop(self, packet: Packet, cause: int) -> None:
        if packet.kind != DATA:
            self.ledger.extras["floods_dropped"] += packet.kind == FLOOD
        elif packet.shared:
            ticket = self._tickets[packet.uid]
            ticket.copies -= 1
            ticket.cause, ticket.hops = cause, packet.hops
            self._review(packet.uid, ticket)
        else:
            message = packet.message
            for dst in (packet.dst,) if packet.members is None else packet.members:
                self.ledger.settle(
                    cause, packet.src, dst, message.topic, packet.sent_ns, math.nan,
                    message.size_bytes, packet.hops,
                )  # fmt: skip

    # ---- several copies of one message -------------------------------------------------------------

    def _share(self, packet: Packet) -> Ticket:
        """Return the ticket of a message of which there are, or will be, several copies."""
        if not packet.shared:
            packet.shared = True
            ticket = Ticket(packet.message, packet.src, packet.dst, packet.sent_ns)
            self._tickets[packet.uid] = ticket
        return self._tickets[packet.uid]

    def _policy(self, topic: str) -> str | None:
        if topic not in self._policies:
            self._policies[topic] = policy_for(topic, self._arq)
        return self._policies[topic]

    def _insist(self, packet: Packet) -> None:
        """Wait for an acknowledgement of `packet`, where its topic asks for one."""
        policy = self._policy(packet.message.topic)
        if policy is None or packet.src == packet.dst:
            return
        ticket = self._share(packet)
        ticket.policy = policy
        ticket.wait_ns = round(self._arq[policy].timeout_ms * NS_PER_MS)
        self.set_timer(self._env.now + ticket.wait_ns, Timer("retry", packet.uid))

    def _retry(self, uid: int) -> None:
        """Send a message again whose time-out has passed, or give up."""
        ticket = self._tickets.get(uid)
        if ticket is None or not ticket.wait_ns:
            return
        policy, now = self._arq[ticket.policy], self._env.now
        ttl_ms = ticket.message.ttl_ms
        if ticket.tries > policy.retries or (ttl_ms and now > ticket.sent_ns + ttl_ms * NS_PER_MS):
            ticket.wait_ns = 0
            self._review(uid, ticket)
            return
        ticket.tries += 1
        ticket.copies += 1
        self.ledger.extras["retries"] += 1
        ticket.wait_ns = round(ticket.wait_ns * policy.backoff)
        self.set_timer(now + ticket.wait_ns, Timer("retry", uid))
        again = Packet(uid, ticket.message, ticket.src, ticket.dst, ticket.sent_ns)
        again.shared = True
        self._depart(again)

    def _acknowledge(self, packet: Packet, ticket: Ticket) -> None:
        size = self._arq[ticket.policy].ack_bytes
        names = self.names
        message = Message(
            names[ticket.dst], names[ticket.src], "ack", size_bytes=size, priority=packet.message.priority
        )
        ack = Packet(packet.uid, message, ticket.dst, ticket.src, int(self._env.now), ACK)
        self.ledger.extras["acks"] += 1
        self._depart(ack)

    def _review(self, uid: int, ticket: Ticket) -> None:
        """Close a message's books once no copy is about and nobody will send another."""
        if ticket.copies or ticket.wait_ns or uid not in self._tickets:
            return
        del self._tickets[uid]
        if not ticket.delivered:
            message = ticket.message
            self.ledger.settle(
                ticket.cause, ticket.src, ticket.dst, message.topic, ticket.sent_ns, math.nan,
                message.size_bytes, ticket.hops,
            )  # fmt: skip
