"""The compiled way and the event way give the same run, message by message."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from sims.comms.attacks import Drop, Tamper
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.technology import technology
from sims.core.bundle import Addresses, Bundle, unbundled
from sims.core.message import Message

MS = 1_000_000
END = 10**12


class Ashore(Network):
    """The same network, on the event way only."""

    def _board(self):
        pass


def ring(kind, *, seed=4, **options):
    """A ring of eight with two leaves each, of all sorts of links: slow, unlimited, in order, on duty, lossy."""
    rng = np.random.default_rng(12)
    core = [technology("lte450", loss=0.02), technology("fibre"), technology("ideal", median_ms=5.0, p95_ms=5.0)]
    last = [
        technology("lte", loss=0.01), technology("lorawan", rate_bit_s=60_000), technology("nb_plc"),
        technology("lte", in_order=True), technology("ideal"),
    ]
    nodes = [Node(f"n{i}", stores=i % 3 == 0, buffer_packets=6) for i in range(8)] + [f"s{i}" for i in range(16)]
    links = [LinkSpec(f"n{i}", f"n{(i + 1) % 8}", core[i % 3], 4) for i in range(8)]
    links.append(LinkSpec("n1", "n6", core[1], 3))
    links += [LinkSpec(f"s{i}", f"n{i % 8}", last[int(rng.integers(5))], 2) for i in range(16)]
    return kind(nodes, links, seed=seed, **options)


def letters(span_ms, count=3000, seed=7, busy=True):
    """What is sent when: bursts from one sender, sizes and ranks at random, some that expire."""
    rng = np.random.default_rng(seed)
    names = [f"n{i}" for i in range(8)] + [f"s{i}" for i in range(16)]
    times = np.sort(rng.integers(0, span_ms, count) // (40 if busy else 1) * (40 if busy else 1))
    return [
        Message(
            names[rng.integers(24)], names[rng.integers(24)], f"topic/{rng.integers(5)}", {"i": i}, int(at),
            int(rng.integers(0, 1500)), int(rng.choice([0, 0, 30, 400])), int(rng.integers(0, 3)),
        )
        for i, at in enumerate(times)
    ]  # fmt: skip


def told(net, mail, step_ms, concerns):
    """Everything that the network says while `mail` goes through it in steps of `step_ms`."""
    said, at = [], 0
    for now in range(step_ms, mail[-1].sent_ms + 2 * step_ms, step_ms):
        while at < len(mail) and mail[at].sent_ms < now:
            net.send(mail[at], mail[at].sent_ms * MS)
            at += 1
        said.append((net.now_ns, net.next_event_ns, net.earliest_ns(concerns)))
        said += net.advance(now * MS)
        said.append((net.counts(), net.next_event_ns))
    said += net.advance(END)
    log = {name: column.tobytes() for name, column in net.drain_log().items()}
    traffic = {name: column.tolist() for name, column in net.traffic().items()}
    return said, log, net.counts(), traffic, net.ledger.topics


OUTAGES = [
    Outage("n1--n2", 2000, 6000), Outage("n5", 3000, 3500, "node"), Outage("s3--n3", 2500, 4000),
    Outage("s9", 2500, 9000, "node"), Outage("n0--n1", 3400, 5000, loses_in_flight=False),
    Outage("n7--n0:n0>n7", 1000, 9000), RandomOutage("n3--n4", 1500.0, 300.0),
    RandomOutage("n6", 4000.0, 100.0, "node"),
]  # fmt: skip


@pytest.mark.parametrize("step_ms", [4, 13, 900])
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("outages", [[], OUTAGES])
def test_both_ways_say_the_same_message_by_message(step_ms, busy, outages):
    mail = letters(8000, busy=busy)
    fast, slow = (ring(kind, outages=outages) for kind in (Network, Ashore))
    assert fast._aboard
    assert not slow._aboard

    def concerns(receiver, topic):
        return receiver < "n5" and topic == "topic/2"

    heard = told(fast, mail, step_ms, concerns)
    assert heard == told(slow, mail, step_ms, concerns)
    met = {cause for cause, count in heard[2]["dropped"].items() if count}
    by_outage = {"link_down", "node_down", "no_route", "buffer_full"} if outages else set()
    assert met == {"expired", "lost", "queue_full"} | by_outage


def test_an_attack_or_a_group_is_met_ashore_and_the_rest_goes_on_aboard():
    attacks = [Tamper("s1--n1", 1000, 2000, bias={"i": 0.5}), Drop("n2--n3", 1500, 2500, probability=0.3)]
    groups = {"leaves": [f"s{i}" for i in range(0, 16, 2)]}
    seen, both = set(), []
    for kind in (Network, Ashore):
        net = ring(kind, attacks=attacks, groups=groups)
        heard = []
        for now in range(0, 5000, 50):
            for message in letters(50, 30, seed=now):
                net.send(message, now * MS)
            if now % 500 == 0:
                net.send(Message("n4", "leaves", "call", {}, now, 60), now * MS)
            heard += net.advance((now + 50) * MS)
            if kind is Network:
                seen.add((net.disruptions.attacking, net._aboard))
        both.append((heard + net.advance(END), net.counts(), net.drain_log()["hops"].tolist()))
    assert both[0] == both[1]
    assert both[0][1]["tampered"] > 0
    assert seen == {(True, False), (False, True), (False, False)}


def test_a_snapshot_of_one_way_goes_on_on_the_other():
    mail = letters(6000)
    early, late = mail[:1500], mail[1500:]
    runs = []
    for first, then in ((Network, Network), (Network, Ashore), (Ashore, Network), (Ashore, Ashore)):
        net = ring(first, outages=OUTAGES)
        for message in early:
            net.send(message, message.sent_ms * MS)
        state = pickle.loads(pickle.dumps(net.get_state()))
        assert net.counts()["in_flight"] > 50
        assert any(link["queue"] for link in state["links"].values())
        again = ring(then, outages=OUTAGES)
        again.set_state(state)
        for message in late:
            again.send(message, message.sent_ms * MS)
        runs.append((again.advance(END), again.counts(), [c.tobytes() for c in again.drain_log().values()]))
    assert runs[0] == runs[1] == runs[2] == runs[3]


def test_asking_and_looking_changes_nothing():
    mail = letters(3000)
    watched, plain = ring(Network), ring(Network)
    for k, message in enumerate(mail):
        watched.send(message, message.sent_ms * MS)
        plain.send(message, message.sent_ms * MS)
        if k % 97 == 0:
            watched.get_state()
            watched.earliest_ns(lambda receiver, topic: True)
        if k % 31 == 0:
            assert watched.next_event_ns >= watched.now_ns
    assert watched.advance(END) == plain.advance(END)


def test_many_packets_at_once_make_room_for_themselves():
    net = Network(["a", "b"], [LinkSpec("a", "b", technology("fibre", loss=0.0), 10**6)])
    for i in range(5000):
        net.send(Message("a", "b", "m", {"i": i}, priority=i % 2), 0)
    assert net.counts()["in_flight"] == 5000
    waiting = [m.values["i"] for m in net.advance(END)]
    assert sorted(waiting) == list(range(5000))
    assert net.traffic()["packets"].tolist() == [5000, 0]


def test_what_waits_in_a_snapshot_is_served_in_its_order_by_a_new_network():
    """More of it than a new network has room for: the table grows while it boards."""
    net, again = (Network(["a", "b"], [LinkSpec("a", "b", technology("fibre", loss=0.0), 10**6)]) for _ in range(2))
    for i in range(3000):
        net.send(Message("a", "b", "m", {"i": i}, priority=i % 3), 0)
    again.set_state(net.get_state())
    got = [(m.values["i"], m.arrived_ms) for m in again.advance(END)]
    assert got == [(m.values["i"], m.arrived_ms) for m in net.advance(END)]
    assert len(got) == 3000


@pytest.mark.parametrize("outages", [[], [Outage("phone", 1000, 3000), Outage("n2", 4000, 5000, "node")]])
def test_a_line_of_a_topic_is_travelled_aboard_as_ashore(outages):
    def made(kind):
        phone = LinkSpec("n1", "n2", technology("phone", median_ms=400.0, p95_ms=900.0), name="phone", topic="topic/1")
        links = [LinkSpec(f"n{i}", f"n{(i + 1) % 4}", technology("lte450", loss=0.05), 4) for i in range(4)]
        return kind([f"n{i}" for i in range(4)], [*links, phone], seed=5, outages=outages)

    ends = [(f"n{m.values['i'] % 4}", f"n{m.values['i'] // 4 % 4}") for m in letters(8000)]
    mail = [replace(m, sender=a, receiver=b) for m, (a, b) in zip(letters(8000), ends, strict=True)]
    fast, slow = made(Network), made(Ashore)
    assert fast._aboard
    heard = told(fast, mail, 13, lambda receiver, topic: topic == "topic/1")
    assert heard == told(slow, mail, 13, lambda receiver, topic: topic == "topic/1")
    slowest = max(m.arrived_ms - m.sent_ms for m in heard[0] if isinstance(m, Message))
    assert slowest > 300, "somebody rang up"
    assert (heard[2]["dropped"]["link_down"] > 0) == bool(outages)


@pytest.mark.parametrize("outages", [[], OUTAGES])
def test_a_bundle_travels_as_its_messages_would(outages):
    """Compiled, ashore, or message by message: the same mail at the same time, and the same log."""
    names = [f"s{i}" for i in range(16)]
    addresses = Addresses(tuple(names), tuple(f"n{i % 8}" for i in range(16)))
    runs = []
    for kind, single in ((Network, False), (Ashore, False), (Network, True)):
        net, heard = ring(kind, outages=outages), []
        for second in range(8):
            at_ms, rows = 1000 * second, np.arange(second % 3, 16)
            bundle = Bundle(addresses, rows, "topic/1", {"i": rows + 100 * second}, at_ms, 300, 400)
            note = Message("n0", "s5", "topic/2", {"i": 0}, at_ms)
            mail = [note, *(bundle.messages() if single else [bundle])]
            net.send_all(mail, [at_ms * MS] * len(mail))
            heard += unbundled(net.advance((at_ms + 30) * MS)) + unbundled(net.advance((at_ms + 900) * MS))
        log = {name: column.tobytes() for name, column in net.drain_log().items()}
        runs.append((sorted(heard, key=lambda m: (m.arrived_ms, m.receiver)), log, net.counts()))
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0][0]) > 60


def test_a_snapshot_with_a_bundle_under_way_continues():
    addresses = Addresses(("s0", "s1", "s2"), ("n5", "n6", "n7"))
    net, again = ring(Network), ring(Network)
    net.send_all([Bundle(addresses, np.arange(3), "m", {"i": np.arange(3)})], [0])
    again.set_state(pickle.loads(pickle.dumps(net.get_state())))
    rest = [(m.values["i"], m.arrived_ms) for m in unbundled(again.advance(END))]
    assert rest == [(m.values["i"], m.arrived_ms) for m in unbundled(net.advance(END))]
    assert rest
