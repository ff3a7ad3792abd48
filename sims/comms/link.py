"""One direction of a link: what a packet meets between two nodes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sims.comms.streams import Draws
from sims.comms.technology import Technology
from sims.comms.wires import (
    BLOCK,
    BYTES,
    CONSTANT,
    CUT,
    FREE,
    IN_ORDER,
    LAST,
    LEFT,
    LIMIT,
    LOSSY,
    PACKETS,
    RATE,
    UNTIL_LOSS,
    WAITING,
    WAKING,
    Wires,
)
from sims.core.errors import Problem

if TYPE_CHECKING:
    from sims.comms.packet import Packet

NS_PER_MS = 1_000_000
BIT_NS = 8_000_000_000
"""Nanoseconds that one byte takes at 1 bit/s."""
LARGEST_BYTES = 1 << 30
"""Size of the largest message: what takes longer than 64 bits of nanoseconds at 1 bit/s is none."""
_PURPOSES = ("latency", "loss", "duplicate")
_LATENCY, _LOSS, _DUPLICATE = range(3)
_TYPICAL_BYTES = 100


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A link between nodes `a` and `b` as the scenario states it; both directions unless `simplex`.

    Parameters
    ----------
    queue_packets : int
        How many packets of one priority may wait for the wire (the one on it not counted) before the
        tail is dropped; each priority has a queue of its own, so a flood never shuts out what ranks higher.
    duplicate : float
        Probability that a packet arrives twice.
    name : str
        How outages and attacks address it; ``a--b`` where empty.
    topic : str
        Where given, the link is a line of its own: messages between its two ends whose topic starts so take
        it, up or down, and nothing else ever does (a telephone beside a data link).
    """

    a: str
    b: str
    technology: Technology
    queue_packets: int = 1000
    duplicate: float = 0.0
    simplex: bool = False
    name: str = ""
    topic: str = ""

    @property
    def label(self) -> str:
        """The link's address."""
        return self.name or f"{self.a}--{self.b}"

    def problems(self) -> list[Problem]:
        """Return what makes this link impossible."""
        where = f"link {self.label}"
        found = self.technology.problems(where)
        if not 0.0 <= self.duplicate <= 1.0:
            found.append(Problem(where, "duplicate", f"{self.duplicate} is not a probability"))
        if self.queue_packets < 0:
            found.append(Problem(where, "queue_packets", f"{self.queue_packets} must be >= 0"))
        if self.a == self.b:
            found.append(Problem(where, "", f"leads from '{self.a}' to itself"))
        return found


class Link:
    """One direction of a link: a server of finite rate, strict priorities, then latency and loss.

    Packets are served without interruption, priority 0 first, first come first served within a priority.
    While nothing waits, the one number FREE (when the wire is free) is the whole queue. What it remembers
    stands in `row`, its line of the network's `Wires`; one that belongs to no network has a table of its own.
    """

    __slots__ = (
        "_blocks",
        "_draws",
        "attacks",
        "down",
        "dst",
        "in_order",
        "index",
        "label",
        "limit",
        "loss",
        "mu",
        "name",
        "p_duplicate",
        "plain",
        "queue",
        "rate",
        "rest",
        "row",
        "sigma",
        "src",
        "stock",
        "topic",
        "until_duplicate",
        "weight_ns",
    )

    def __init__(
        self, index: int, spec: LinkSpec, src: int, dst: int, ends: tuple[str, str], draws: Draws,
        wires: Wires | None = None,
    ) -> None:  # fmt: skip
        tech = spec.technology
        self.index, self.src, self.dst = index, src, dst
        self.label, self.topic = spec.label, spec.topic
        self.name = f"{spec.label}:{ends[0]}>{ends[1]}"
        self.rate = int(tech.rate_bit_s) if tech.rate_bit_s >= 1 or tech.rate_bit_s == 0 else 1
        self.limit = spec.queue_packets
        self.loss, self.p_duplicate = tech.loss, spec.duplicate
        self.in_order = tech.in_order
        self.rest = 1.0 / tech.duty - 1.0
        self.plain = not (self.rest or self.in_order)
        self.sigma = tech.sigma
        self.mu = math.log(tech.median_ms * NS_PER_MS) if tech.median_ms > 0.0 else 0.0
        # what routing compares: the expected time of a typical frame; one ns more makes hops count
        self.weight_ns = round(tech.mean_ms * NS_PER_MS) + self.service_ns(_TYPICAL_BYTES) + 1
        self._draws = draws
        self._blocks = [0, 0, 0]
        self.until_duplicate = 0
        self.down = 0
        self.queue: dict[int, deque[Packet]] = {}
        self.attacks: tuple[int, ...] = ()
        at = index
        if wires is None:
            wires, at = Wires(1), 0
        wires.rest[at] = self.rest
        self.row = memoryview(wires.table[at])
        self.stock = wires.stock[at]
        row = self.row
        row[RATE], row[LIMIT], row[LOSSY], row[IN_ORDER] = self.rate, self.limit, self.loss > 0.0, self.in_order
        row[CONSTANT] = -1 if self.sigma else round(tech.median_ms * NS_PER_MS)

    @property
    def waiting(self) -> int:
        """How many packets wait for the wire."""
        return self.row[WAITING]

    def service_ns(self, size_bytes: int) -> int:
        """Return how long `size_bytes` occupy the wire [ns], rounded up."""
        return (size_bytes * BIT_NS + self.rate - 1) // self.rate if self.rate else 0

    def restrain(self, at_ns: int, now_ns: int) -> int:
        """Close the channel after a packet that has just left, and return when it arrives in its order."""
        row = self.row
        row[FREE] += round((row[FREE] - now_ns) * self.rest) if self.rate else 0
        if self.in_order:
            at_ns = row[LAST] = max(at_ns, row[LAST])
        return at_ns

    def wait(self, packet: Packet) -> bool:
        """Let `packet` wait for the wire; False where its queue is full."""
        queue = self.queue.get(packet.message.priority)
        if queue is None:
            queue = self.queue[packet.message.priority] = deque()
            self.queue = dict(sorted(self.queue.items()))
        if len(queue) >= self.limit:
            return False
        queue.append(packet)
        self.row[WAITING] += 1
        return True

    def next_packet(self) -> Packet:
        """Take the first of the highest priority that waits."""
        self.row[WAITING] -= 1
        return next(queue for queue in self.queue.values() if queue).popleft()

    def packets_waiting(self) -> list[Packet]:
        """Return what waits, in the order of service."""
        return [packet for queue in self.queue.values() for packet in queue]

    def flush(self) -> list[Packet]:
        """Take all that waits, in the order of service."""
        out = self.packets_waiting()
        self.queue, self.row[WAITING] = {}, 0
        return out

    def latency_ns(self) -> int:
        """Draw one latency [ns]."""
        row = self.row
        if not self.sigma:
            return row[CONSTANT]
        if not row[LEFT]:
            self.draw()
        left = row[LEFT] = row[LEFT] - 1
        return int(self.stock.item(left))

    def loses(self) -> bool:
        """Tell whether the next packet is lost; the gaps between losses are drawn, not each packet."""
        if not self.loss:
            return False
        row = self.row
        if not row[UNTIL_LOSS]:
            self.draw()
        left = row[UNTIL_LOSS] = row[UNTIL_LOSS] - 1
        return left == 0

    def draw(self) -> None:
        """Draw what the link has run out of: a block of latencies, the packets up to the next loss."""
        row = self.row
        if self.sigma and not row[LEFT]:
            self.stock[:] = np.rint(self._rng(_LATENCY).lognormal(self.mu, self.sigma, BLOCK))
            row[LEFT] = BLOCK
        if self.loss and not row[UNTIL_LOSS]:
            row[UNTIL_LOSS] = int(self._rng(_LOSS).geometric(self.loss))

    def duplicates(self) -> bool:
        """Tell whether the next packet arrives twice."""
        if not self.p_duplicate:
            return False
        if not self.until_duplicate:
            self.until_duplicate = int(self._rng(_DUPLICATE).geometric(self.p_duplicate))
        self.until_duplicate -= 1
        return self.until_duplicate == 0

    def _rng(self, purpose: int) -> np.random.Generator:
        number = self._blocks[purpose]
        self._blocks[purpose] = number + 1
        return self._draws.block(self.name, _PURPOSES[purpose], number)

    def get_state(self) -> dict[str, Any] | None:
        """Return the link's memory as plain data, or None where nothing has ever happened."""
        row = self.row
        if not (row[PACKETS] or self.down or row[WAITING] or row[CUT] >= 0):
            return None
        return {
            "numbers": [row[column] for column in _MEMORY], "until_duplicate": self.until_duplicate,
            "down": self.down, "latencies": self.stock[: row[LEFT]].tolist(),
            "queue": [packet.row() for queue in self.queue.values() for packet in queue],
            "blocks": list(self._blocks),
        }  # fmt: skip

    def set_state(self, state: dict[str, Any] | None, waiting: Sequence[Packet] = ()) -> None:
        """Continue from what `get_state` returned, with the packets of its queue rebuilt."""
        row = self.row
        for column, number in zip(_MEMORY, state["numbers"] if state else _NEW, strict=True):
            row[column] = number
        self.until_duplicate, self.down = (state["until_duplicate"], state["down"]) if state else (0, 0)
        self.queue, row[WAITING] = {}, len(waiting)
        for packet in waiting:
            self.queue.setdefault(packet.message.priority, deque()).append(packet)
        latencies = state["latencies"] if state else []
        row[LEFT] = len(latencies)
        self.stock[: len(latencies)] = latencies
        self._blocks = list(state["blocks"]) if state else [0, 0, 0]


_MEMORY = (UNTIL_LOSS, FREE, LAST, CUT, WAKING, PACKETS, BYTES)
_NEW = (0, 0, 0, -1, 0, 0, 0)
