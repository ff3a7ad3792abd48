"""Whatever happens to messages, the books balance: sent = delivered + dropped by cause + in flight."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.comms.arq import Arq
from sims.comms.attacks import Drop, Replay
from sims.comms.ledger import DROPS, FATES, Ledger
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.node import Node
from sims.comms.outages import Outage
from sims.comms.technology import technology
from sims.core.message import Message

NAMES = "abcd"
SOON_MS = 400

spans = st.tuples(st.integers(0, SOON_MS), st.integers(1, 200)).map(lambda s: (s[0], s[0] + s[1]))
letters = st.lists(
    st.tuples(
        st.integers(0, SOON_MS), st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, 3000),
        st.integers(0, 1), st.sampled_from([0, 50, 5000]), st.sampled_from(["note", "command/x"]),
    ),
    min_size=1, max_size=60,
)  # fmt: skip
worlds = st.fixed_dictionaries({
    "loss": st.sampled_from([0.0, 0.1, 0.7]), "duplicate": st.sampled_from([0.0, 0.5]),
    "rate": st.sampled_from([0, 20_000, 1_000_000]), "queue": st.integers(0, 5), "latency_ms": st.integers(0, 80),
    "link_down": spans, "node_down": spans, "dropping": spans, "replaying": spans,
    "stores": st.booleans(), "insists": st.booleans(), "seed": st.integers(0, 2**32),
})  # fmt: skip


def network(world):
    """A ring of four, so that there is a way round, with everything that may befall a message."""
    tech = technology(
        "ideal", rate_bit_s=world["rate"], median_ms=float(world["latency_ms"]), p95_ms=2.0 * world["latency_ms"],
        loss=world["loss"],
    )
    links = [
        LinkSpec(a, b, tech, queue_packets=world["queue"], duplicate=world["duplicate"])
        for a, b in ("ab", "bc", "cd", "da")
    ]
    return Network(
        [Node(name, stores=world["stores"], buffer_packets=2) for name in NAMES], links, seed=world["seed"],
        outages=[Outage("a--b", *world["link_down"]), Outage("c", *world["node_down"], "node")],
        attacks=[Drop("b--c", *world["dropping"]), Replay("c--d", *world["replaying"], delay_ms=30)],
        arq={"command": Arq(retries=2, timeout_ms=40)} if world["insists"] else {},
    )


def balanced(counts):
    assert set(counts["dropped"]) == set(DROPS)
    assert counts["in_flight"] >= 0
    assert counts["sent"] == counts["delivered"] + sum(counts["dropped"].values()) + counts["in_flight"]


@settings(max_examples=60, deadline=None)
@given(worlds, letters, st.integers(0, 600))
def test_every_message_has_one_fate_and_the_books_balance_at_any_time(world, sent, stop_ms):
    net = network(world)
    for number, (at_ms, sender, receiver, size, priority, ttl_ms, topic) in enumerate(sorted(sent)):
        message = Message(sender, receiver, topic, {"n": number}, at_ms, size, ttl_ms or 10**9, priority)
        net.send(message, at_ms * 1_000_000)
    arrived = net.advance(stop_ms * 1_000_000)
    balanced(net.counts())
    other = network(world)
    other.set_state(net.get_state())
    rest = net.advance(10**15)
    assert [(m.values["n"], m.arrived_ms) for m in other.advance(10**15)] == [
        (m.values["n"], m.arrived_ms) for m in rest
    ]
    counts = net.counts()
    balanced(counts)
    assert counts == other.counts()
    assert counts["in_flight"] == 0
    assert counts["sent"] == len(sent)
    log = net.drain_log()
    fates = Counter(FATES[code] for code in log["fate"].tolist())
    assert fates["delivered"] == counts["delivered"]
    assert {cause: fates[cause] for cause in DROPS} == counts["dropped"]
    times = Counter(m.values["n"] for m in (*arrived, *rest))
    # Who comes without having been delivered comes as an attacker's copy of what was lost on its way.
    assert counts["delivered"] <= len(times) <= counts["delivered"] + fates["replayed"]
    assert sum(times.values()) == sum(fates[kind] for kind in ("delivered", "duplicate", "replayed"))
    assert (np.isnan(log["arrived_ms"]) == np.isin(log["fate"], [FATES.index(cause) for cause in DROPS])).all()


def test_a_replayed_acknowledgement_is_no_mail():
    tech = technology("ideal", median_ms=5.0, p95_ms=5.0)
    replayed = [Replay("a--b", 0, 1000, topic="ack", delay_ms=30)]
    net = Network("ab", [LinkSpec("a", "b", tech)], attacks=replayed, arq={"command": Arq()})
    net.send(Message("a", "b", "command/x", {"n": 1}), 0)
    (only,) = net.advance(10**12)
    assert (only.topic, only.values) == ("command/x", {"n": 1})
    counts = net.counts()
    assert (counts["acks"], counts["replays"], counts["delivered"]) == (1, 1, 1)
    assert FATES.index("replayed") not in net.drain_log()["fate"].tolist()


books = st.lists(
    st.tuples(st.integers(0, len(FATES) - 1), st.sampled_from(["v", "p", "q"]), st.booleans()), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(books)
def test_one_by_one_or_many_at_once_the_log_holds_each_in_its_order(entries):
    ledger = Ledger(["a", "b"], ["v"])
    for number, (fate, topic, together) in enumerate(entries):
        ledger.sent += FATES[fate] not in ("duplicate", "replayed")
        if together:
            one, none, code = np.array([1]), np.array([0]), np.array(ledger.topic_codes([topic]))
            at = np.array([number * 10**6])
            ledger.settle_many(np.array([fate]), none, one, code, at, at / 1e6, one, one)
        else:
            ledger.settle(fate, 0, 1, topic, number * 10**6, float(number), 1, 1)
    balanced(ledger.counts())
    assert ledger.counts()["in_flight"] == 0
    log = ledger.drain()
    assert log["sent_ms"].tolist() == list(range(len(entries)))
    assert log["fate"].tolist() == [fate for fate, *_ in entries]
    assert [ledger.topics[code] for code in log["topic"].tolist()] == [topic for _, topic, _ in entries]
    assert not len(ledger.drain()["fate"]), "what was drained is gone"
