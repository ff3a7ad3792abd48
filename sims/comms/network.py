"""The network: messages go in, and come out later, or never, for a reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms.arq import Arq, Ticket
from sims.comms.attacks import Attack, attack_problems
from sims.comms.link import Link, LinkSpec
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage, outage_problems
from sims.comms.packet import Packet, Schedule, Timer
from sims.comms.transit import Transit
from sims.core.errors import Problem, ScenarioError, nearest
from sims.core.message import Message


class Network(Transit):
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
        _check([node.name for node in specs], links, outages, attacks, arq or {}, groups or {})
        self.seed = seed
        super().__init__(specs, links, seed, outages, attacks, arq or {}, topics)
        self.groups = {
            name: tuple(self.index[member] for member in members) for name, members in (groups or {}).items()
        }

    @property
    def now_ns(self) -> int:
        """How far the network has been run [ns]."""
        return int(self._env.now)

    @property
    def next_event_ns(self) -> int | None:
        """When something happens next inside [ns], or None."""
        at = self._env.peek()
        return None if at == math.inf else int(at)

    def earliest_ns(self, concerns: Callable[[str, str], bool]) -> int | None:
        """Return a time before which no message arrives for whose receiver and topic `concerns` holds [ns], or None.

        It is the next thing that happens to such a message, or to a queue or node that may hold one.
        """
        first = None
        for at, event in self._env.coming():
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
            Unknown sender or receiver, no links between them at all, a negative size, or a time that
            has passed.
        """
        now = self._env.now
        if now_ns > now:
            self._env.run_through(now_ns)
        elif now_ns < now:
            raise ValueError(f"{message.topic} from {message.sender}: {now_ns} ns has passed, it is {now} ns")
        if receivers is None and message.size_bytes >= 0:
            src, dst = self.index.get(message.sender, -1), self.index.get(message.receiver, -1)
            if src * len(self.names) + dst in self._linked and src >= 0 and dst >= 0:
                self._start(message, src, dst, now_ns)
                return
        pairs = self.ends(message, receivers)
        if receivers is None and message.receiver in self.index:
            self._start(message, *pairs[0], now_ns)
        elif pairs:
            self._send_many(message, pairs[0][0], [dst for _, dst in pairs], now_ns)

    def ends(self, message: Message, receivers: Sequence[str] | None = None) -> list[tuple[int, int]]:
        """Return (source, destination) node numbers of `message`: one pair, or one per member of a group.

        Raises
        ------
        ValueError
            As `send`.
        """
        src = self._code(message.sender, "sender", message)
        if message.size_bytes < 0:
            text = f"size_bytes {message.size_bytes} is below 0"
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

    @property
    def insists(self) -> bool:
        """Whether any topic asks for acknowledgements."""
        return bool(self._arq)

    def advance(self, until_ns: int) -> list[Message]:
        """Run to `until_ns` (that instant included) and return what arrived, in order of arrival."""
        self._env.run_through(until_ns)
        out, self._delivered = self._delivered, []
        return out

    def counts(self) -> dict[str, Any]:
        """Return the books: sent = delivered + dropped by cause + in flight (see `Ledger.counts`)."""
        return self.ledger.counts()

    def drain_log(self) -> dict[str, NDArray[Any]]:
        """Return and forget the fates since the last call, as columns (see `Ledger.drain`)."""
        return self.ledger.drain()

    def traffic(self) -> dict[str, NDArray[Any]]:
        """Return ``link`` (names of directions), ``packets`` and ``bytes`` carried so far."""
        return {
            "link": np.array([link.name for link in self.links]),
            "packets": np.array([link.packets for link in self.links], dtype=np.int64),
            "bytes": np.array([link.bytes for link in self.links], dtype=np.int64),
        }

    def availability(self, name: str, kind: str = "link") -> float:
        """Return the share of time so far that the link or node `name` was up."""
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
            found.extend(Problem(where, "", _no_node(name, self.names)) for name in unknown)
            if not unknown and not self._joined(self.index[sender], self.index[receiver]):
                text = f"no links lead from '{sender}' to '{receiver}'; add a rule or link that joins them"
                found.append(Problem(where, "", text))
        if found:
            raise ScenarioError(found)

    def _joined(self, src: int, dst: int) -> bool:
        return (src, dst) in self._lines or self.routes.exists(src, dst)

    def get_state(self) -> dict[str, Any]:
        """Return everything in flight, queued or kept, clocks, random states and books, as plain data."""
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

    def _event_row(self, event: Packet | Timer) -> dict[str, Any]:
        if isinstance(event, Timer):
            return {"timer": (event.kind, event.number, event.message)}
        return event.row()

    def _code(self, name: str, role: str, message: Message) -> int:
        code = self.index.get(name)
        if code is None:
            text = _no_node(name, (*self.names, *self.groups))
            raise ValueError(f"{message.topic} from {message.sender}: {role} {text}")
        return code


def _no_node(name: str, known: Sequence[str]) -> str:
    return f"'{name}' is not a node of the network{nearest(name, known)}"


def _check(
    names: Sequence[str], links: Sequence[LinkSpec], outages: Sequence[Outage | RandomOutage],
    attacks: Sequence[Attack], arq: Mapping[str, Arq], groups: Mapping[str, Sequence[str]],
) -> None:  # fmt: skip
    """Collect every fault of the inputs and refuse them together."""
    known = set(names)
    found: list[Problem] = []
    for name, times in Counter(names).items():
        if times > 1:
            found.append(Problem(f"node {name}", "name", f"given {times} times; names are unique"))
    for spec in links:
        found.extend(spec.problems())
        where = f"link {spec.label}"
        found.extend(Problem(where, "", _no_node(end, names)) for end in (spec.a, spec.b) if end not in known)
    for label, times in Counter(spec.label for spec in links).items():
        if times > 1:
            found.append(Problem(f"link {label}", "name", f"given {times} times; name parallel links apart"))
    labels = {spec.label for spec in links}
    unlimited = set()
    for spec in links:
        ways = {spec.label, f"{spec.label}:{spec.a}>{spec.b}"}
        if not spec.simplex:
            ways.add(f"{spec.label}:{spec.b}>{spec.a}")
        labels |= ways
        if not spec.technology.rate_bit_s:
            unlimited |= ways
    found.extend(outage_problems(outages, labels, known))
    found.extend(attack_problems(attacks, labels, unlimited))
    for prefix, policy in arq.items():
        found.extend(policy.problems(f"arq {prefix!r}"))
    for group, members in groups.items():
        if group in known:
            found.append(Problem(f"group {group}", "name", "is a node's name as well; choose another"))
        found.extend(Problem(f"group {group}", "", _no_node(m, names)) for m in members if m not in known)
    if found:
        raise ScenarioError(found)
