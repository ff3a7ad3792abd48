"""The network: messages go in, and come out later, or never, for a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms.arq import Arq, Ticket
from sims.comms.attacks import Attack
from sims.comms.express import Express
from sims.comms.link import LARGEST_BYTES, Link, LinkSpec
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.packet import Packet, Schedule, Timer
from sims.comms.post import Post
from sims.comms.soundness import no_node, require_sound
from sims.comms.wires import BYTES, PACKETS
from sims.core.bundle import Addresses, Bundle, Mail
from sims.core.errors import Problem, ScenarioError
from sims.core.message import Message


class Network(Express):
    """Carries messages over links with latency, queues, loss, outages and attackers; time is integer ns.

    Parameters
    ----------
    nodes : sequence of Node or str
    links : sequence of LinkSpec
    seed : int
        Every link, outage and attack draws from a stream of its own, keyed by its name.
    outages, attacks : sequences, optional
    arq : mapping, optional
        Topic prefix -> policy of those who insist on an acknowledgement; the longest prefix counts.
    groups : mapping, optional
        Name -> nodes; a message to the name goes to each of them but its sender.
    topics : sequence of str, optional
        Start of the topic table of the log; others are appended as they come.

    Raises
    ------
    ScenarioError
        All that is wrong with nodes, links, outages and attacks, at once.
    """

    def __init__(
        self, nodes: Sequence[Node | str], links: Sequence[LinkSpec], *, seed: int = 0,
        outages: Sequence[Outage | RandomOutage] = (), attacks: Sequence[Attack] = (),
        arq: Mapping[str, Arq] | None = None, groups: Mapping[str, Sequence[str]] | None = None,
        topics: Sequence[str] = (),
    ) -> None:  # fmt: skip
        specs = [Node(node) if isinstance(node, str) else node for node in nodes]
        require_sound([node.name for node in specs], links, outages, attacks, arq or {}, groups or {})
        self.seed = seed
        super().__init__(specs, links, seed, outages, attacks, arq or {}, topics)
        self._sent_ns = 0
        self._known_ways: dict[tuple[str, str], int] = {}
        self._bundle_ways: dict[tuple[Addresses, str], NDArray[np.int64]] = {}
        self.groups = {
            name: tuple(self.index[member] for member in members) for name, members in (groups or {}).items()
        }

    @property
    def now_ns(self) -> int:
        """How far the network has been run [ns]."""
        return max(int(self._env.now), self._sent_ns)

    @property
    def next_event_ns(self) -> int | None:
        """When something happens next inside [ns], or None."""
        self._run(self.now_ns)
        at, inside = self._env.peek(), self._next_ns()
        return inside if at == math.inf else int(at) if inside is None else min(int(at), inside)

    def earliest_ns(self, concerns: Callable[[str, str], bool]) -> int | None:
        """Return a time before which no message arrives for whose receiver and topic `concerns` holds [ns], or None.

        It is the next thing that happens to such a message, or to a queue or node that may hold one.
        """
        self._run(self.now_ns)
        first = self._next_of_concern(concerns)
        for at, event in self._env.coming() if self._parked or not self._aboard else ():
            if (first is None or at < first) and self._touches(event, concerns):
                first = at
        return first

    def send(self, message: Message, now_ns: int, receivers: Sequence[str] | None = None) -> None:
        """Put `message` on its way at `now_ns`; sends come in the order of time.

        Parameters
        ----------
        receivers : sequence of str, optional
            Nodes to reach instead of ``message.receiver``. A message to several nodes or to a group uses
            a link that their ways share once, unless its topic asks for acknowledgements.

        Raises
        ------
        ValueError
            Unknown sender or receiver, no links between them at all, a size below 0 or above 1 GiB, or a time
            that has passed.
        """
        if now_ns < self._sent_ns or now_ns < self._env._now:
            text = f"{now_ns} ns has passed, it is {self.now_ns} ns"
            raise ValueError(f"{message.topic} from {message.sender}: {text}")
        way = -1 if receivers is not None else self._way_of(message)
        self._sent_ns = now_ns
        if way < 0:
            ends = self.ends(message, receivers)
            self._run(now_ns)
            self._land()
            self._send_many(message, self.index[message.sender], [dst for _, dst in ends], now_ns)
        elif self._aboard:
            self._post(Post([message], [way], [now_ns]))
        else:
            self._env.run_through(now_ns)
            self._start(message, *self._ways.ends(way), now_ns)

    def send_all(self, mail: Sequence[Mail], at_ns: Sequence[int]) -> None:
        """Put each of `mail` on its way at its time, in the order of time; see `send`.

        Each message of a bundle travels on its own.
        """
        messages: list[Message] = []
        times: list[int] = []
        for item, at in zip(mail, at_ns, strict=True):
            if isinstance(item, Bundle):
                self._send_messages(messages, times)
                self._send_bundle(item, at)
                messages, times = [], []
            else:
                messages.append(item)
                times.append(at)
        self._send_messages(messages, times)

    def _send_bundle(self, bundle: Bundle, now_ns: int) -> None:
        """Put all messages of `bundle` on their way as they are, or one by one where they are to be met ashore."""
        ways = self._ways_of(bundle) if self._aboard and now_ns >= self.now_ns else None
        if ways is None:
            for message in bundle.messages():
                self.send(message, now_ns)
        elif len(bundle):
            self._post(Post(bundle, ways[bundle.rows], [now_ns]))
            self._sent_ns = now_ns

    def _ways_of(self, bundle: Bundle) -> NDArray[np.int64] | None:
        """Return the number of the way of each address, None where one is a group's."""
        key = (bundle.addresses, bundle.topic)
        if key not in self._bundle_ways:
            ends = self.ends_of(bundle)
            if ends is None:
                return None
            lines = [self._line(*pair, bundle.topic) for pair in ends]
            each = zip(ends, lines, strict=True)
            self._bundle_ways[key] = np.array([self._ways.number(*e, line.index if line else -1) for e, line in each])
        return self._bundle_ways[key]

    def _send_messages(self, messages: list[Message], at_ns: list[int]) -> None:
        if not messages:
            return
        find = self._known_ways.get
        ways = [find((message.sender, message.receiver), -1) for message in messages]
        if -1 in ways:
            ways = [self._way_of(message) for message in messages]
        plain = self._aboard and -1 not in ways and at_ns[0] >= self.now_ns
        sizes = [message.size_bytes for message in messages]
        if plain and min(sizes) >= 0 and max(sizes) <= LARGEST_BYTES:
            self._post(Post(messages, ways, at_ns))
            self._sent_ns = at_ns[-1]
        else:
            for message, at in zip(messages, at_ns, strict=True):
                self.send(message, at)

    def _way_of(self, message: Message) -> int:
        """Return the number of `message`'s way, -1 where it is for a group; refuse what `send` refuses."""
        names = (message.sender, message.receiver)
        way = self._known_ways.get(names, -1)
        if way < 0 or not 0 <= message.size_bytes <= LARGEST_BYTES:
            ends = self.ends(message, None)
            if message.receiver in self.index:
                line = self._line(*ends[0], message.topic)
                way = self._ways.number(*ends[0], -1 if line is None else line.index)
                if ends[0] not in self._lines:
                    self._known_ways[names] = way
        return way

    def ends(self, message: Message, receivers: Sequence[str] | None = None) -> list[tuple[int, int]]:
        """Return (source, destination) node numbers of `message`: one pair, or one per member of a group.

        Raises
        ------
        ValueError
            As `send`.
        """
        src = self._code(message.sender, "sender", message)
        if not 0 <= message.size_bytes <= LARGEST_BYTES:
            text = f"size_bytes {message.size_bytes} is not within 0..{LARGEST_BYTES}"
            raise ValueError(f"{message.topic} from {message.sender}: {text}")
        dst = self.index.get(message.receiver)
        if receivers is None and dst is not None:
            codes = [dst]
        elif receivers is not None:
            codes = list(dict.fromkeys(self._code(name, "receiver", message) for name in receivers))
        elif message.receiver in self.groups:
            codes = [code for code in self.groups[message.receiver] if code != src]
        else:
            codes = [self._code(message.receiver, "receiver", message)]
        for code in codes:
            self._require(src, code, message.topic)
        return [(src, code) for code in codes]

    def ends_of(self, bundle: Bundle) -> list[tuple[int, int]] | None:
        """Return (source, destination) node numbers of each of a bundle's addresses; None where one is a group.

        Raises
        ------
        ValueError
            As `send`.
        """
        who = zip(bundle.addresses.senders, bundle.addresses.receivers, strict=True)
        ends = [self.ends(Message(a, b, bundle.topic, size_bytes=bundle.size_bytes)) for a, b in who]
        return None if self.groups.keys() & bundle.addresses.receivers else [pair for (pair,) in ends]

    @property
    def insists(self) -> bool:
        """Whether any topic asks for acknowledgements."""
        return bool(self._arq)

    def advance(self, until_ns: int) -> list[Mail]:
        """Run to `until_ns` (that instant included) and return what arrived, in order of arrival.

        Messages of a bundle that have arrived stand together where the first of them does.
        """
        self._run(until_ns)
        out, self._delivered = self._delivered, []
        return out

    def counts(self) -> dict[str, Any]:
        """Return the books: sent = delivered + dropped by cause + in flight (see `Ledger.counts`)."""
        self._run(self.now_ns)
        return self.ledger.counts()

    def drain_log(self) -> dict[str, NDArray[Any]]:
        """Return and forget the fates since the last call, as columns (see `Ledger.drain`)."""
        self._run(self.now_ns)
        return self.ledger.drain()

    def traffic(self) -> dict[str, NDArray[Any]]:
        """Return ``link`` (names of directions), ``packets`` and ``bytes`` carried so far."""
        self._run(self.now_ns)
        return {
            "link": np.array([link.name for link in self.links]),
            "packets": self._wires.table[:, PACKETS].copy(),
            "bytes": self._wires.table[:, BYTES].copy(),
        }

    def availability(self, name: str, kind: str = "link") -> float:
        """Return the share of time so far that the link or node `name` was up."""
        self._run(self.now_ns)
        return self.disruptions.availability(kind, name, self.now_ns)

    def way(self, src: int, dst: int, topic: str) -> tuple[Link, ...] | None:
        """Return the links from node `src` to node `dst` while everything is up, or None."""
        line = self._line(src, dst, topic) if self._lines else None
        return (line,) if line is not None else self.routes.whole(src, dst)

    def require_routes(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Refuse a network in which some (sender, receiver) of `pairs` has no way to go.

        Raises
        ------
        ScenarioError
            Unknown names and unreachable destinations, all at once.
        """
        found: list[Problem] = []
        for sender, receiver in pairs:
            unknown = [name for name in (sender, receiver) if name not in self.index]
            where = f"route {sender} to {receiver}"
            found.extend(Problem(where, "", no_node(name, self.names)) for name in unknown)
            if not unknown and not self._joined(self.index[sender], self.index[receiver]):
                text = f"no links lead from '{sender}' to '{receiver}'; add a rule or link that joins them"
                found.append(Problem(where, "", text))
        if found:
            raise ScenarioError(found)

    def _joined(self, src: int, dst: int) -> bool:
        return (src, dst) in self._lines or self.routes.exists(src, dst)

    def get_state(self) -> dict[str, Any]:
        """Return everything in flight, queued or kept, clocks, random states and books, as plain data."""
        self._run(self.now_ns)
        self._land()
        return {
            "now_ns": self.now_ns,
            "serial": self._serial,
            "pending": [(at, self._event_row(event)) for at, event in self._env.pending()],
            "parked": {node: [packet.row() for packet in kept] for node, kept in self._parked.items()},
            "links": {link.index: state for link in self.links if (state := link.get_state()) is not None},
            "node_down": list(self._node_down),
            "tickets": {
                uid: {name: getattr(ticket, name) for name in Ticket.__slots__}
                for uid, ticket in self._tickets.items()
            },
            "delivered": list(self._delivered),
            "ledger": self.ledger.get_state(),
            "disruptions": self.disruptions.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue, to the bit, from what `get_state` of an equally built network returned."""
        self._land()
        self._posts.clear()
        self._sent_ns = 0
        for link in self.links:
            kept = state["links"].get(link.index)
            waiting = [Packet.from_row(row, self.links) for row in kept["queue"]] if kept else []
            link.set_state(kept, waiting)
        self._node_down[:] = state["node_down"]
        self.routes.recount()
        self._serial = state["serial"]
        self._tickets = {uid: Ticket(**fields) for uid, fields in state["tickets"].items()}
        self._parked = {
            node: [Packet.from_row(row, self.links) for row in rows] for node, rows in state["parked"].items()
        }
        self._delivered = list(state["delivered"])
        self.ledger.set_state(state["ledger"])
        self.disruptions.set_state(state["disruptions"])
        self._env = Schedule(state["now_ns"])
        for at, row in state["pending"]:
            if "timer" in row:
                self.set_timer(at, Timer(*row["timer"]))
            else:
                packet = Packet.from_row(row, self.links)
                self._env.at(at, packet, self._on_enter if packet.held else self._on_arrive)
        self._board()

    def _event_row(self, event: Packet | Timer) -> dict[str, Any]:
        if isinstance(event, Timer):
            return {"timer": (event.kind, event.number, event.message)}
        return event.row()

    def _code(self, name: str, role: str, message: Message) -> int:
        code = self.index.get(name)
        if code is None:
            text = no_node(name, (*self.names, *self.groups))
            raise ValueError(f"{message.topic} from {message.sender}: {role} {text}")
        return code
