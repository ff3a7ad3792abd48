"""The network without its queues: fates drawn as arrays for whole batches, for long horizons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.comms import courses
from sims.comms import ledger as fate
from sims.comms.courses import Courses
from sims.comms.ledger import COLUMNS, Ledger
from sims.comms.link import LARGEST_BYTES
from sims.comms.lot import Lot
from sims.comms.network import Network
from sims.comms.outages import RandomOutage
from sims.comms.sampled_kernel import laid_out, sample
from sims.comms.streams import stream
from sims.comms.wires import CONSTANT
from sims.core.bundle import Bundle, Mail
from sims.core.errors import Problem, ScenarioError
from sims.core.message import Message

Ints = NDArray[np.int64]


class SampledNetwork:
    """Stands in for `network` where its links are never congested; the statistics are the same.

    Each link on a message's way adds its transmission time and an independent lognormal latency, and loses
    it with its loss probability; random outages act as a loss of 1 - availability. Queues, order, retries,
    duplicates, attacks and scheduled outages do not exist here: a network that has such things is refused.

    Raises
    ------
    ScenarioError
        The network has something that only the exact mode can do.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        _check(network)
        self.index, self.names = network.index, network.names
        self.ledger = Ledger(network.names, network.ledger.topics)
        self._rng = stream(network.seed, "sampled", "deliveries")
        self._links = _figures(network)
        self._courses = Courses(network, self.ledger)
        self._now_ns = 0
        self._waiting: list[tuple[Message, int, int]] = []
        self._lots: list[Lot] = []

    @property
    def now_ns(self) -> int:
        """How far the network has been run [ns]."""
        return self._now_ns

    @property
    def next_event_ns(self) -> int | None:
        """When the next message arrives [ns], or None."""
        self._sample()
        return min((lot.next_ns for lot in self._lots), default=None)

    def earliest_ns(self, concerns: Callable[[str, str], bool]) -> int | None:
        """Return when the first message arrives for whose receiver and topic `concerns` holds [ns], or None."""
        self._sample()
        concerning = self._courses.concerning(concerns)
        times = (lot.first_ns(concerning) for lot in self._lots)
        return min((at for at in times if at is not None), default=None)

    def send(self, message: Message, now_ns: int, receivers: Sequence[str] | None = None) -> None:
        """Put `message` on its way at `now_ns` (see `Network.send`)."""
        self._require_time(now_ns, message)
        ends = self._network.ends(message, receivers)
        numbers = [self._courses.number(src, dst, message.topic) for src, dst in ends]
        if receivers is None and message.receiver in self.index:
            self._courses.note(message, numbers[0])
        self._post([message] * len(ends), numbers, [now_ns] * len(ends))

    def send_all(self, mail: Sequence[Mail], at_ns: Sequence[int]) -> None:
        """Put each of `mail` on its way at its time; each message of a bundle is one of its own."""
        messages = [item for item in mail if isinstance(item, Message)]
        times = list(at_ns)
        if len(messages) < len(mail):
            times = [at for item, at in zip(mail, at_ns, strict=True) if isinstance(item, Message)]
            for item, at in zip(mail, at_ns, strict=True):
                if isinstance(item, Bundle):
                    self._send_bundle(item, at)
        numbers = self._courses.of_messages(messages)
        sizes = [message.size_bytes for message in messages]
        if not messages:
            return
        if numbers is None or min(times) < self._now_ns or min(sizes) < 0 or max(sizes) > LARGEST_BYTES:
            for message, at in zip(messages, times, strict=True):
                self.send(message, at)
        else:
            self._post(messages, numbers, times)

    def _post(self, messages: Sequence[Message], numbers: Sequence[int], at_ns: Sequence[int]) -> None:
        """Let messages wait to be drawn; each has its course, and is sent at its time."""
        self._waiting.extend(zip(messages, numbers, at_ns, strict=True))
        self.ledger.sent += len(messages)

    def _send_bundle(self, bundle: Bundle, now_ns: int) -> None:
        self._require_time(now_ns, bundle)
        numbers = self._courses.of_bundle(bundle)
        if numbers is None:
            for message in bundle.messages():
                self.send(message, now_ns)
        elif count := len(bundle):
            self.ledger.sent += count
            sent, size = np.full(count, now_ns), np.full(count, bundle.size_bytes)
            self._draw(bundle, numbers[bundle.rows], sent, size, np.full(count, bundle.ttl_ms * 1_000_000))

    def _require_time(self, now_ns: int, mail: Mail) -> None:
        if now_ns < self._now_ns:
            who = mail.addresses.senders[0] if isinstance(mail, Bundle) else mail.sender
            raise ValueError(f"{mail.topic} from {who}: {now_ns} ns has passed, it is {self._now_ns} ns")

    # ---- on the way --------------------------------------------------------------------------------

    def _sample(self) -> None:
        """Draw the fates of the messages that were sent since the last draw."""
        if self._waiting:
            messages, numbers, at_ns = zip(*self._waiting, strict=True)
            self._waiting = []
            size = np.array([message.size_bytes for message in messages])
            ttl_ns = np.array([message.ttl_ms for message in messages]) * 1_000_000
            self._draw(messages, np.array(numbers), np.array(at_ns), size, ttl_ns)

    def _draw(self, mail: Sequence[Message] | Bundle, course: Ints, sent: Ints, size: Ints, ttl_ns: Ints) -> None:
        """Draw when each message of a lot arrives; book at once what never does."""
        table = self._courses.table
        drawn, rng = int(table[course, courses.HOPS].sum()), self._rng
        codes, at = sample(
            course, sent, size, ttl_ns, table, self._courses.steps, rng.standard_normal(drawn), rng.random(drawn),
            *self._links,
        )
        order = _in_order(at)
        there = codes[order] == fate.DELIVERED
        if not there.all():
            lost = laid_out(order[~there], codes, course, sent, size, at, table)
            self.ledger.book(dict(zip(COLUMNS, lost[2], strict=True)))
            order = order[there]
        if len(order):
            course, at, log = laid_out(order, codes, course, sent, size, at, table)
            self._lots.append(Lot(mail, order, course, at, dict(zip(COLUMNS, log, strict=True))))

    def advance(self, until_ns: int) -> list[Mail]:
        """Run to `until_ns` and return what arrived, in order of arrival (see `Network.advance`)."""
        self._sample()
        self._now_ns = max(self._now_ns, until_ns)
        if not any(lot.next_ns <= until_ns for lot in self._lots):
            return []
        out: list[tuple[int, Mail]] = []
        parts = [lot.parted(until_ns) for lot in self._lots]
        for landed, _ in parts:
            if landed is not None:
                self.ledger.book(landed.log)
                out += landed.handed_over(self._courses.receivers)
        self._lots = [rest for _, rest in parts if rest is not None]
        return [item for _, item in sorted(out, key=itemgetter(0))]

    def counts(self) -> dict[str, Any]:
        """Return the books (see `Ledger.counts`)."""
        return self.ledger.counts()

    def drain_log(self) -> dict[str, NDArray[Any]]:
        """Return and forget the fates since the last call, as columns (see `Ledger.drain`)."""
        return self.ledger.drain()

    def get_state(self) -> dict[str, Any]:
        """Return what is in flight, the random state and the books."""
        self._sample()
        return {
            "now_ns": self._now_ns, "lots": list(self._lots), "courses": self._courses.get_state(),
            "rng": self._rng.bit_generator.state, "ledger": self.ledger.get_state(),
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self._now_ns, self._lots, self._waiting = state["now_ns"], list(state["lots"]), []
        self._rng.bit_generator.state = state["rng"]
        self.ledger.set_state(state["ledger"])
        self._courses.set_state(state["courses"])


def _in_order(at_ns: Ints) -> Ints:
    """Return the order of arrival; at one instant it is that of sending.

    Sorting numbers that carry their places takes a fraction of what sorting places by numbers does.
    """
    bits, since = len(at_ns).bit_length(), at_ns - at_ns.min()
    if int(since.max()) >> (62 - bits):
        return at_ns.argsort(kind="stable")
    order: Ints = np.sort((since << bits) + np.arange(len(at_ns))) & ((1 << bits) - 1)
    return order


def _figures(network: Network) -> tuple[NDArray[Any], ...]:
    """Return mu, sigma, constant latency, rate, probability of being down and of loss, [link] each."""
    outages = network.disruptions.outages
    up = {row.name: row.availability for row in outages if isinstance(row, RandomOutage)}
    links = network.links
    down = [1.0 - up.get(link.label, up.get(link.name, 1.0)) for link in links]
    return (
        np.array([link.mu for link in links]), np.array([link.sigma for link in links]),
        np.array([max(link.row[CONSTANT], 0) for link in links], dtype=np.int64),
        np.array([link.rate for link in links], dtype=np.int64), np.array(down),
        np.array([link.loss for link in links]),
    )  # fmt: skip


def _check(network: Network) -> None:
    found = []
    outages = network.disruptions.outages
    for what, there in (
        ("attacks", bool(network.disruptions.attacks)),
        ("scheduled outages", any(not isinstance(row, RandomOutage) for row in outages)),
        ("failing nodes", any(row.kind == "node" for row in outages)),
        ("acknowledgements (arq)", network.insists),
        ("duplicating links", any(link.p_duplicate for link in network.links)),
    ):
        if there:
            text = f"the sampled mode knows no {what}; use the exact network, or leave them out"
            found.append(Problem("comms", "", text))
    if found:
        raise ScenarioError(found)
