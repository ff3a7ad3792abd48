import pickle

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sims.comms.attacks import Drop
from sims.comms.ledger import FATES
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.outages import Outage, RandomOutage
from sims.comms.sampled import SampledNetwork
from sims.comms.technology import technology
from sims.core.bundle import Addresses, Bundle, unbundled
from sims.core.errors import ScenarioError
from sims.core.message import Message

MS = 1_000_000


def network(outages=(), **options):
    specs = [
        LinkSpec("sub", "primary", technology("lte450", loss=0.02)),
        LinkSpec("primary", "dms", technology("fibre", loss=0.01)),
        LinkSpec("dms", "tso", technology("xdsl")),
    ]
    return Network(["sub", "primary", "dms", "tso"], specs, seed=8, outages=outages, **options)


def delays(net, count=20_000, **fields):
    for i in range(count):
        net.send(Message("sub", "dms", "m", sent_ms=i * 1000, **fields), i * 1000 * MS)
    return np.array([m.arrived_ms - m.sent_ms for m in net.advance(10**15)])


def test_both_modes_have_the_same_distribution():
    exact, sampled = network(), SampledNetwork(network())
    a, b = delays(exact), delays(sampled)
    assert ks_2samp(a, b).pvalue > 0.01
    assert np.quantile(b, [0.05, 0.5, 0.95]) == pytest.approx(np.quantile(a, [0.05, 0.5, 0.95]), rel=0.02)
    # lost on neither link: .98 * .99
    assert len(a) / 20_000 == pytest.approx(0.9702, abs=0.004)
    assert len(b) / 20_000 == pytest.approx(0.9702, abs=0.004)


def test_the_test_can_tell_two_distributions_apart():
    slower = Network(["sub", "dms"], [LinkSpec("sub", "dms", technology("lte450", median_ms=35.0))])
    assert ks_2samp(delays(network(), 5000), delays(SampledNetwork(slower), 5000)).pvalue < 1e-6


def test_transmission_time_is_exact():
    tech = technology("ideal", rate_bit_s=1_000_000, median_ms=12.0, p95_ms=12.0)
    net = SampledNetwork(Network(["a", "b", "c"], [LinkSpec("a", "b", tech), LinkSpec("b", "c", tech)]))
    net.send(Message("a", "c", "m", size_bytes=128), 0)
    assert net.next_event_ns == 2 * (1_024_000 + 12_000_000)
    (got,) = net.advance(net.next_event_ns)
    assert got.arrived_ms == 26.048
    assert net.drain_log()["hops"].tolist() == [2]


def test_random_outages_become_loss():
    net = SampledNetwork(network([RandomOutage.of("sub--primary", 0.9, 60_000.0)]))
    heard = len(delays(net))
    assert heard / 20_000 == pytest.approx(0.9 * 0.9702, abs=0.008)
    counts = net.counts()
    assert counts["dropped"]["link_down"] == pytest.approx(2000, rel=0.1)
    assert counts["sent"] == counts["delivered"] + sum(counts["dropped"].values())


def test_a_link_that_is_down_at_the_start_is_no_short_cut():
    net = SampledNetwork(network([RandomOutage.of("sub--primary", 0.05, 60_000.0)]))
    arrived = delays(net)
    assert len(arrived) / 20_000 == pytest.approx(0.05 * 0.9702, abs=0.006)
    assert arrived.min() > 2.0
    assert set(net.drain_log()["hops"]) == {2}


def test_late_messages_expire():
    net = SampledNetwork(network())
    arrived = delays(net, ttl_ms=40)
    assert arrived.max() <= 40.0
    assert net.counts()["dropped"]["expired"] > 1000


def test_arrivals_come_in_order_and_not_before_their_time():
    net = SampledNetwork(network())
    for i in range(500):
        net.send(Message("sub", "dms", "m"), i * MS)
    first = net.advance(250 * MS)
    assert all(m.arrived_ms <= 250.0 for m in first)
    both = [m.arrived_ms for m in first + net.advance(10**12)]
    assert both == sorted(both)
    with pytest.raises(ValueError, match="has passed"):
        net.send(Message("sub", "dms", "m"), 0)
    with pytest.raises(ValueError, match="did you mean dms"):
        net.send(Message("sub", "dmss", "m"), 10**12)


def test_snapshot_continues_bit_identical():
    def drive(net, start, end):
        out = []
        for i in range(start, end):
            net.send(Message("sub", "tso", "m", sent_ms=i), i * MS)
            out += net.advance(i * MS)
        return out

    net, again = SampledNetwork(network()), SampledNetwork(network())
    drive(net, 0, 300)
    state = net.get_state()
    again.set_state(state)
    assert drive(net, 300, 600) == drive(again, 300, 600)
    assert net.counts() == again.counts()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attacks": [Drop("dms--tso", 0, 10)]}, "knows no attacks"),
        ({"outages": [Outage("dms--tso", 0, 10)]}, "knows no scheduled outages"),
        ({"outages": [RandomOutage("dms", 10.0, 10.0, "node")]}, "knows no failing nodes"),
    ],
)
def test_what_only_the_exact_mode_can_do_is_refused(options, text):
    with pytest.raises(ScenarioError, match=text):
        SampledNetwork(network(**options))


def fleet(count, sender="sub", receiver="dms"):
    return Addresses((sender,) * count, (receiver,) * count)


def test_a_bundle_has_the_statistics_of_single_messages_and_the_same_books():
    failing, count = [RandomOutage.of("sub--primary", 0.9, 60_000.0)], 20_000
    net = SampledNetwork(network(failing))
    net.send_all([Bundle(fleet(count), np.arange(count), "m", {"i": np.arange(count)})], [0])
    assert net.counts()["in_flight"] + sum(net.counts()["dropped"].values()) == count
    half, rest = net.advance(28 * MS), net.advance(10**15)
    (first,), (later,) = half, rest
    assert first.arrived_ms.max() <= 28.0 < later.arrived_ms.min()
    arrived = np.concatenate([first.arrived_ms, later.arrived_ms])
    assert (np.diff(arrived) >= 0).all()
    single = delays(SampledNetwork(network(failing)))
    assert ks_2samp(arrived, single).pvalue > 0.01
    assert len(arrived) / count == pytest.approx(0.9 * 0.9702, abs=0.008)
    seen = np.concatenate([first.values["i"], later.values["i"]])
    assert len(set(seen.tolist())) == len(seen)
    assert np.array_equal(first.rows, first.values["i"])
    counts, log = net.counts(), net.drain_log()
    assert (counts["sent"], counts["delivered"], counts["in_flight"]) == (count, len(arrived), 0)
    assert len(log["fate"]) == count
    there = np.isfinite(log["arrived_ms"])
    assert np.array_equal(log["arrived_ms"][there], arrived)
    assert np.bincount(log["fate"], minlength=len(FATES)).tolist() == net.ledger.fates
    assert set(log["hops"]) == {2}
    empty, exact = net.drain_log(), network().drain_log()
    assert empty["fate"].size == 0
    assert {name: column.dtype for name, column in log.items()} == {k: column.dtype for k, column in exact.items()}


def test_messages_and_bundles_arrive_in_one_order_and_are_all_in_the_log():
    def ideal():
        tech = technology("ideal", median_ms=5.0, p95_ms=5.0)
        return SampledNetwork(Network(["a", "b", "c"], [LinkSpec("a", "b", tech)]))

    net, two = ideal(), Bundle(fleet(2, "a", "b"), np.arange(2), "second", {"i": np.array([1, 2])})
    net.send_all([Message("a", "b", "first"), two, Message("b", "a", "third")], [0, MS, 2 * MS])
    again = ideal()
    again.set_state(pickle.loads(pickle.dumps(net.get_state())))
    for either in (net, again):
        got = unbundled(either.advance(10 * MS))
        assert [(m.topic, m.arrived_ms) for m in got] == [
            ("first", 5.0), ("second", 6.0), ("second", 6.0), ("third", 7.0)
        ]  # fmt: skip
        assert [m.values["i"] for m in got[1:3]] == [1, 2]
        names, log = either.ledger.names()["topic"], either.drain_log()
        told = zip(log["arrived_ms"].tolist(), [names[code] for code in log["topic"]], strict=True)
        assert sorted(told) == [(5.0, "first"), (6.0, "second"), (6.0, "second"), (7.0, "third")]
    with pytest.raises(ValueError, match="no links lead from 'a' to 'c'"):
        net.send_all([Bundle(fleet(2, "a", "c"), np.arange(2), "m", sent_ms=10)], [10 * MS])
    with pytest.raises(ValueError, match="has passed"):
        net.send_all([two], [0])


def test_the_next_arrival_that_concerns_somebody_is_found_in_a_bundle():
    tech = technology("lte450", loss=0.0)
    net = SampledNetwork(Network(["a", "b", "c"], [LinkSpec("a", "b", tech), LinkSpec("a", "c", tech)], seed=3))
    net.send_all([Bundle(Addresses(("a",) * 3, ("b", "c", "b")), np.array([0, 1, 2]), "m")], [0])
    assert net.earliest_ns(lambda receiver, topic: receiver == "nobody") is None
    at = net.earliest_ns(lambda receiver, topic: (receiver, topic) == ("c", "m"))
    of_c = [m.arrived_ms for m in unbundled(net.advance(10**12)) if m.receiver == "c"]
    assert of_c == [at / 1e6]


def test_a_bundle_for_a_group_goes_to_each_of_its_members():
    tech = technology("ideal", median_ms=1.0, p95_ms=1.0)
    links = [LinkSpec("a", "b", tech), LinkSpec("a", "c", tech)]
    for kind in (lambda net: net, SampledNetwork):
        net = kind(Network(["a", "b", "c"], links, groups={"all": ["a", "b", "c"]}))
        net.send_all([Bundle(Addresses(("a", "a"), ("all", "b")), np.array([0, 1]), "m")], [0])
        assert sorted(m.receiver for m in unbundled(net.advance(10**9))) == ["b", "b", "c"]
        assert net.counts()["sent"] == 3
