"""A packet's way: from node to node, over wires and past attackers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappush

from sims.comms import ledger as fate
from sims.comms.arq import Arq
from sims.comms.attacks import Attack
from sims.comms.delivery import Delivery
from sims.comms.disruption import Disruptions
from sims.comms.link import BIT_NS, Link, LinkSpec
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.packet import ACK, DATA, FLOOD, REPLAY, Callbacks, Packet, Timer
from sims.comms.routing import Routes
from sims.comms.streams import Draws
from sims.comms.wires import BYTES, CUT, FREE, PACKETS, UNTIL_LOSS, WAITING, WAKING, Wires
from sims.core.message import Message

Concerned = Callable[[str, str], bool]
"""Receiver and topic -> whether somebody there acts on it at once."""


class Transit(Delivery):
    """The works behind `Network`: callbacks on SimPy events, no process per message."""

    def __init__(
        self, nodes: Sequence[Node], links: Sequence[LinkSpec], seed: int,
        outages: Sequence[Outage | RandomOutage], attacks: Sequence[Attack], arq: Mapping[str, Arq],
        topics: Sequence[str],
    ) -> None:  # fmt: skip
        super().__init__([node.name for node in nodes], arq, topics)
        self.nodes = tuple(nodes)
        self.index = {name: code for code, name in enumerate(self.names)}
        self.links: list[Link] = []
        draws = Draws(seed)
        self._wires = Wires(sum(1 if spec.simplex else 2 for spec in links))
        for spec in links:
            for ends in [(spec.a, spec.b)] if spec.simplex else [(spec.a, spec.b), (spec.b, spec.a)]:
                a, b = self.index[ends[0]], self.index[ends[1]]
                self.links.append(Link(len(self.links), spec, a, b, ends, draws, self._wires))
        self._out: list[list[Link]] = [[] for _ in nodes]
        for link in self.links:
            self._out[link.src].append(link)
        self._node_down = [0] * len(nodes)
        self._lines: dict[tuple[int, int], list[Link]] = {}
        for link in self.links:
            if link.topic:
                self._lines.setdefault((link.src, link.dst), []).append(link)
        shared = [link for link in self.links if not link.topic]
        self.routes = Routes(len(nodes), shared, self._node_down)
        self.disruptions = Disruptions(outages, attacks, self.links, self.names, seed)
        self._known = self.routes.known
        self._on_arrive: Callbacks = [self._arrive]
        self._on_enter: Callbacks = [self._enter_late]
        self._on_timer: Callbacks = [self._timer]
        self._serial = 0
        self._parked: dict[int, list[Packet]] = {}
        self._linked: set[int] = set()
        self.disruptions.start(self)
        self._env.run_through(0)

    # ---- on the way --------------------------------------------------------------------------------

    def _line(self, src: int, dst: int, topic: str) -> Link | None:
        """Return the line that `topic` has to itself between two nodes, if there is one."""
        for link in self._lines.get((src, dst), ()):
            if topic.startswith(link.topic):
                return link
        return None

    def _depart(self, packet: Packet) -> None:
        line = self._line(packet.src, packet.dst, packet.message.topic) if self._lines else None
        if line is None:
            self._reach(packet, packet.src)
        elif line.down or self._node_down[packet.src]:
            self._drop(packet, fate.LINK_DOWN if line.down else fate.NODE_DOWN)
        else:
            self._take(line, packet)

    def _require(self, src: int, dst: int, topic: str) -> None:
        """Refuse a message that no link could ever carry to its receiver."""
        key = src * len(self.names) + dst
        if key not in self._linked:
            if self._line(src, dst, topic) is not None:
                return
            if not self.routes.exists(src, dst):
                ends = f"'{self.names[src]}' to '{self.names[dst]}'"
                raise ValueError(f"no links lead from {ends}; add a rule or link that joins them")
            self._linked.add(key)

    def _start(self, message: Message, src: int, dst: int, now_ns: int) -> None:
        self.ledger.sent += 1
        self._serial += 1
        packet = Packet(self._serial, message, src, dst, now_ns)
        if self._arq:
            self._insist(packet)
        if self._lines:
            self._depart(packet)
        else:
            self._reach(packet, src)

    def _send_many(self, message: Message, src: int, codes: Sequence[int], now_ns: int) -> None:
        if self._policy(message.topic) is not None:
            for dst in codes:
                self._start(message, src, dst, now_ns)
        elif codes:
            self.ledger.sent += len(codes)
            self._serial += 1
            self._reach(Packet(self._serial, message, src, -1, now_ns, members=tuple(codes)), src)

    def _arrive(self, packet: Packet) -> None:
        link = packet.link
        if packet.entered_ns <= link.row[CUT]:
            self._drop(packet, fate.LINK_DOWN)
        else:
            packet.hops += 1
            self._reach(packet, link.dst)

    def _reach(self, packet: Packet, node: int) -> None:
        """Hand `packet` over at `node`, or send it on from there."""
        link = self._known.get((node << 32) + packet.dst)
        if link is None:
            self._look_round(packet, node)
        elif packet.expires_ns and self._env._now > packet.expires_ns:
            self._drop(packet, fate.EXPIRED)
        elif link.attacks:
            self._take(link, packet)
        elif link.row[WAITING] or link.row[FREE] > self._env._now:
            self._wait(link, packet)
        else:
            self._transmit(link, packet)

    def _look_round(self, packet: Packet, node: int) -> None:
        """Deal with `packet` where no way on from `node` is known yet: it is there, has to part, or may be stuck."""
        if self._node_down[node]:
            self._drop(packet, fate.NODE_DOWN)
        elif packet.expires_ns and self._env._now > packet.expires_ns:
            self._drop(packet, fate.EXPIRED)
        elif packet.dst == node:
            if packet.kind == DATA and not packet.shared:
                self._hand_over(packet, fate.DELIVERED)
            else:
                self._deliver(packet)
        elif packet.members is not None:
            self._split(packet, node)
        elif self.routes.next_link(node, packet.dst) is None:
            self._strand(packet, node)
        else:
            self._reach(packet, node)

    def _enter(self, link: Link, packet: Packet) -> None:
        """Put `packet` on the wire, or in the queue before it."""
        if link.row[FREE] > self._env.now or link.row[WAITING]:
            self._wait(link, packet)
        else:
            self._transmit(link, packet)

    def _wait(self, link: Link, packet: Packet) -> None:
        if not link.wait(packet):
            self._drop(packet, fate.QUEUE_FULL)
        elif not link.row[WAKING]:
            link.row[WAKING] = True
            self._env.at(link.row[FREE], Timer("wake", link.index), self._on_timer)

    def _transmit(self, link: Link, packet: Packet) -> None:
        """Occupy the wire, draw latency and loss, and let the packet arrive."""
        env, row = self._env, link.row
        at = now = packet.entered_ns = env._now
        packet.link = link
        row[PACKETS] += 1
        row[BYTES] += packet.size_bytes
        if rate := link.rate:
            at = row[FREE] = now + (packet.size_bytes * BIT_NS + rate - 1) // rate
        at += link.latency_ns()
        if not link.plain:
            at = link.restrain(at, now)
        if row[UNTIL_LOSS] > 1:
            row[UNTIL_LOSS] -= 1
        elif link.loss and link.loses():
            self._drop(packet, fate.LOST)
            return
        packet.callbacks = self._on_arrive
        heappush(env._queue, (at, 1, next(env._eid), packet))
        if link.p_duplicate and link.duplicates() and packet.kind == DATA and packet.members is None:
            self._share(packet).copies += 1
            self.ledger.extras["duplicates"] += 1
            env.at(max(at, now + link.latency_ns()), packet.twin(), self._on_arrive)

    def _wake(self, link: Link) -> None:
        """Serve whoever is first, now that the wire is free."""
        row, now = link.row, self._env.now
        row[WAKING] = False
        while row[WAITING] and row[FREE] <= now:
            packet = link.next_packet()
            if packet.expires_ns and now > packet.expires_ns:
                self._drop(packet, fate.EXPIRED)
            else:
                self._transmit(link, packet)
        if row[WAITING]:
            row[WAKING] = True
            self._env.at(row[FREE], Timer("wake", link.index), self._on_timer)

    def _split(self, packet: Packet, node: int) -> None:
        """Send a multicast packet on, once over each link; what is left for one receiver is a plain packet."""
        ways: dict[int, list[int]] = {}
        for dst in packet.members or ():
            link = None if dst == node else self.routes.next_link(node, dst)
            if link is not None:
                ways.setdefault(link.index, []).append(dst)
            elif dst == node:
                self._deliver(self._single(packet, dst))
            else:
                self._strand(self._single(packet, dst), node)
        for code, members in ways.items():
            if len(members) == 1:
                self._take(self.links[code], self._single(packet, members[0]))
            else:
                self._take(self.links[code], packet.twin(members=tuple(members)))

    def _single(self, packet: Packet, dst: int) -> Packet:
        self._serial += 1
        return packet.twin(uid=self._serial, dst=dst, members=None)

    def _take(self, link: Link, packet: Packet) -> None:
        """Put `packet` on `link`, past whoever sits there."""
        if not link.attacks:
            self._enter(link, packet)
            return
        passing, lied = self.disruptions.touch(link, packet.message, self._env.now)
        if not passing:
            self._drop(packet, fate.ATTACKED)
            return
        self.ledger.extras["tampered"] += lied
        self.ledger.extras["replays"] += len(passing) - 1
        for number, (delay, message) in enumerate(passing):
            kind = REPLAY if packet.kind == DATA else packet.kind  # a second acknowledgement is no mail
            one = packet.twin(kind=kind, shared=False) if number else packet
            one.message, one.size_bytes = message, message.size_bytes
            if delay:
                one.link, one.held = link, True
                self._env.at(self._env.now + delay, one, self._on_enter)
            else:
                self._enter(link, one)

    def _enter_late(self, packet: Packet) -> None:
        link, packet.held = packet.link, False
        if link.down and link.topic:
            self._drop(packet, fate.LINK_DOWN)
        elif link.down:
            self._reach(packet, link.src)
        else:
            self._enter(link, packet)

    def _strand(self, packet: Packet, node: int) -> None:
        """No way is up: keep the packet where the node can, or give it up."""
        spec = self.nodes[node]
        if not spec.stores:
            self._drop(packet, fate.NODE_DOWN if self._node_down[packet.dst] else fate.NO_ROUTE)
        elif len(self._parked.get(node, ())) >= spec.buffer_packets:
            self._drop(packet, fate.BUFFER_FULL)
        else:
            self._parked.setdefault(node, []).append(packet)

    # ---- timers and what is done to the network ----------------------------------------------------

    def _timer(self, timer: Timer) -> None:
        if timer.kind == "wake":
            self._wake(self.links[timer.number])
        elif timer.kind == "retry":
            self._retry(timer.number)
        else:
            self.disruptions.fire(timer, int(self._env.now), self)

    def set_timer(self, at_ns: int, timer: Timer) -> None:
        """Let `timer` fire at `at_ns`."""
        self._env.at(at_ns, timer, self._on_timer)

    def _touches(self, event: Packet | Timer, concerns: Concerned) -> bool:
        """Tell whether `event` may bring a message that `concerns` someone nearer to its receiver."""
        if isinstance(event, Packet):
            return event.kind != FLOOD and event.kind != ACK and self._concerns(event, concerns)
        if event.kind == "wake":
            return any(self._concerns(packet, concerns) for packet in self.links[event.number].packets_waiting())
        if event.kind == "retry":
            return event.number in self._tickets
        return event.kind == "up" and any(self._parked.values())

    def _concerns(self, packet: Packet, concerns: Concerned) -> bool:
        codes = (packet.dst,) if packet.members is None else packet.members
        return any(concerns(self.names[code], packet.message.topic) for code in codes)

    def fail(self, links: Sequence[Link], node: int, *, loses_in_flight: bool) -> None:
        """Take `links` and `node` (-1: none) down; what waits there finds another way or is lost."""
        for link in links:
            link.down += 1
            if loses_in_flight:
                link.row[CUT] = int(self._env.now)
        if node >= 0:
            self._node_down[node] += 1
        self.routes.changed(links, node)
        if node >= 0:
            links = self._out[node]
        for link in links:
            for packet in link.flush():
                if self.nodes[link.src].stores and not self._node_down[link.src] and not link.topic:
                    self._reach(packet, link.src)
                else:
                    self._drop(packet, fate.NODE_DOWN if node >= 0 else fate.LINK_DOWN)

    def restore(self, links: Sequence[Link], node: int) -> None:
        """Bring `links` and `node` back, and send on what was kept for them."""
        for link in links:
            link.down -= 1
        if node >= 0:
            self._node_down[node] -= 1
        self.routes.changed(links, node)
        for place in sorted(self._parked):
            if not self._node_down[place]:
                for packet in self._parked.pop(place):
                    self._reach(packet, place)

    def flood(self, link: Link, message: Message) -> None:
        """Put an attacker's packet on `link`; it ends at the far end."""
        packet = Packet(0, message, link.src, link.dst, int(self._env.now), FLOOD)
        self.ledger.extras["floods"] += 1
        if link.down:
            self._drop(packet, fate.LINK_DOWN)
        else:
            self._enter(link, packet)
