import numpy as np
import pytest

from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.technology import technology
from sims.core.errors import ScenarioError
from sims.core.message import Message

MS = 1_000_000


def tech(ms, rate=0):
    return technology("ideal", median_ms=ms, p95_ms=ms, rate_bit_s=rate)


def network(outages, ms=10.0, nodes=("a", "b"), rate=0):
    return Network(nodes, [LinkSpec("a", "b", tech(ms, rate))], outages=outages)


def send_at(net, *times_ms):
    out = []
    for time_ms in times_ms:
        net.send(Message("a", "b", "m", sent_ms=time_ms), time_ms * MS)
    out += net.advance(10**13)
    return [m.sent_ms for m in out]


def test_what_is_in_flight_when_a_link_fails_is_lost():
    net = network([Outage("a--b", 100, 200)])
    # 90 ms: arrives as the link fails and is through; 95 is on the way; 150 finds no way; 200 finds it again
    assert send_at(net, 89, 95, 150, 200) == [89, 200]
    assert net.counts()["dropped"]["link_down"] == 1
    assert net.counts()["dropped"]["no_route"] == 1


def test_what_is_in_flight_may_be_told_to_get_through():
    net = network([Outage("a--b", 100, 200, loses_in_flight=False)])
    assert send_at(net, 95, 150) == [95]


def test_what_waits_for_a_dead_wire_is_dropped():
    # 1000 B at 80 kbit/s: 100 ms each; at 150 ms the second is on the wire and two wait
    net = network([Outage("a--b", 150, 160, loses_in_flight=False)], ms=0.0, rate=80_000)
    for _ in range(4):
        net.send(Message("a", "b", "m", size_bytes=1000), 0)
    assert [m.arrived_ms for m in net.advance(10**12)] == [100.0, 200.0]
    assert net.counts()["dropped"]["link_down"] == 2


def test_a_node_that_is_down_neither_hears_nor_speaks():
    net = network([Outage("b", 100, 200, "node")])
    assert send_at(net, 85, 95, 150, 195, 201) == [85, 201]
    # 95 arrives while it is down; 150 and 195 are not even sent, for the way is known to be dead
    assert net.counts()["dropped"]["node_down"] == 3
    net = network([Outage("a", 100, 200, "node")])
    assert send_at(net, 95, 150, 201) == [95, 201]


def test_store_and_forward_keeps_messages_until_the_link_is_back():
    nodes = [Node("a", stores=True, buffer_packets=2), "b"]
    net = network([Outage("a--b", 100, 200)], nodes=nodes)
    for time_ms in (110, 120, 130):
        net.send(Message("a", "b", "m", sent_ms=time_ms), time_ms * MS)
    assert [(m.sent_ms, m.arrived_ms) for m in net.advance(10**12)] == [(110, 210.0), (120, 210.0)]
    assert net.counts()["dropped"]["buffer_full"] == 1


def test_a_kept_message_still_ages():
    net = network([Outage("a--b", 100, 200)], nodes=[Node("a", stores=True), "b"])
    net.send(Message("a", "b", "m", ttl_ms=50), 110 * MS)
    assert net.advance(10**12) == []
    assert net.counts()["dropped"]["expired"] == 1


def test_a_storing_node_sends_what_waits_another_way():
    specs = [LinkSpec("a", "b", tech(1.0, 80_000)), LinkSpec("a", "c", tech(50.0)), LinkSpec("c", "b", tech(50.0))]
    net = Network([Node("a", stores=True), "b", "c"], specs, outages=[Outage("a--b", 150, 10_000)])
    for i in range(4):
        net.send(Message("a", "b", "m", {"i": i}, size_bytes=1000), 0)
    arrived = [(m.values["i"], m.arrived_ms) for m in net.advance(10**12)]
    # the detour costs 100 ms; what was on the wire is lost
    assert arrived == [(0, 101.0), (2, 250.0), (3, 250.0)]


def test_one_direction_may_fail_alone():
    net = network([Outage("a--b:a>b", 0, 100)])
    net.send(Message("a", "b", "m"), 10 * MS)
    net.send(Message("b", "a", "m"), 10 * MS)
    assert [m.receiver for m in net.advance(10**12)] == ["a"]


def check_availability(cycles, tolerance):
    # MTBF 990 s, MTTR 10 s
    net = network([RandomOutage("a--b", 990_000.0, 10_000.0), RandomOutage("b", 990_000.0, 10_000.0, "node")])
    net.advance(cycles * 1000 * 1000 * MS)
    assert net.availability("a--b") == pytest.approx(0.99, rel=tolerance)
    assert net.availability("b", "node") == pytest.approx(0.99, rel=tolerance)
    assert net.availability("a--b") != net.availability("b", "node")


def test_availability_of_random_outages():
    check_availability(20_000, 0.003)


@pytest.mark.validate
def test_availability_of_random_outages_over_a_long_time():
    check_availability(2_000_000, 0.0003)


def test_random_outages_are_steady_from_the_start():
    outage = RandomOutage.of("x", 0.8, 1000.0)
    assert outage.mtbf_ms == pytest.approx(4000.0)
    rng = np.random.default_rng(1)
    down = [outage.starts_down(rng) for _ in range(20_000)]
    assert np.mean(down) == pytest.approx(0.2, rel=0.05)


def test_messages_feel_the_availability():
    net = network([RandomOutage("a--b", 900.0, 100.0)], ms=0.0)
    for i in range(50_000):
        net.send(Message("a", "b", "m"), i * 37 * MS)
    heard = len(net.advance(10**13))
    assert heard / 50_000 == pytest.approx(0.9, rel=0.01)


@pytest.mark.parametrize(
    ("outages", "text"),
    [
        ([Outage("a--b", 0, 100), Outage("a--b", 90, 200)], "overlaps 0-100 ms"),
        ([Outage("a--c", 0, 100)], r"no such link \(did you mean a--b\?\)"),
        ([Outage("q", 0, 100, "node")], "no such node"),
        ([Outage("a--b", 100, 100)], "no span of time"),
        ([Outage("a--b", -5, 100)], "no span of time"),
        ([RandomOutage("a--b", 0.0, 10.0)], "must be above 0"),
    ],
)
def test_impossible_outages_are_refused(outages, text):
    with pytest.raises(ScenarioError, match=text):
        network(outages)


def test_outages_that_touch_do_not_overlap():
    net = network([Outage("a--b", 100, 200), Outage("a--b", 200, 300), Outage("a", 150, 250, "node")])
    assert send_at(net, 50, 250, 299, 300) == [50, 300]
