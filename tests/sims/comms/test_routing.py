import pytest

from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.outages import Outage
from sims.comms.technology import technology
from sims.core.message import Message

MS = 1_000_000


def tech(ms):
    return technology("ideal", median_ms=ms, p95_ms=ms)


def names(net, a, b):
    path = net.routes.path(net.index[a], net.index[b])
    return None if path is None else "".join(net.names[link.src] for link in path) + b


def diamond(**options):
    """s hangs on a; a-b-d takes 30 ms, a-c-d 50 ms, a-d 90 ms; t hangs on d."""
    specs = [
        LinkSpec("s", "a", tech(1)), LinkSpec("a", "b", tech(10)), LinkSpec("b", "d", tech(20)),
        LinkSpec("a", "c", tech(20)), LinkSpec("c", "d", tech(30)), LinkSpec("a", "d", tech(90)),
        LinkSpec("d", "t", tech(1)),
    ]  # fmt: skip
    return Network(list("sabcdt"), specs, **options)


def test_the_way_is_the_one_of_least_expected_latency():
    net = diamond()
    assert names(net, "s", "t") == "sabdt"
    assert names(net, "t", "s") == "tdbas"
    assert names(net, "b", "c") == "bac"


def test_expected_latency_counts_the_tail_of_the_lognormal():
    # median 10 ms with a long tail has mean 10 exp(1.3998**2 / 2) = 26.6 ms, worse than a steady 20 ms
    wild = technology("lte", median_ms=10.0, p95_ms=100.0, rate_bit_s=0)
    specs = [LinkSpec("a", "b", wild), LinkSpec("a", "c", tech(10)), LinkSpec("c", "b", tech(10))]
    assert names(Network(list("abc"), specs), "a", "b") == "acb"


def test_rate_counts_where_latency_is_equal():
    slow = technology("ideal", median_ms=5.0, p95_ms=5.0, rate_bit_s=9600)
    specs = [LinkSpec("a", "b", slow, name="slow"), LinkSpec("a", "b", tech(6), name="fast")]
    net = Network(list("ab"), specs)
    assert net.routes.path(0, 1)[0].label == "fast"


def test_messages_go_around_what_is_down_and_back():
    net = diamond(outages=[Outage("b--d", 100, 200), Outage("c", 150, 200, "node")])
    arrivals = {}
    for at in (0, 110, 160, 300):
        net.send(Message("s", "t", "m", sent_ms=at), at * MS)
    for message in net.advance(10**12):
        arrivals[message.sent_ms] = message.arrived_ms - message.sent_ms
    assert arrivals == pytest.approx({0: 32.0, 110: 52.0, 160: 92.0, 300: 32.0})


def test_a_message_on_its_way_is_rerouted_at_the_next_node():
    # when it is at b, the way b-d is gone: back over a and c
    net = diamond(outages=[Outage("b--d", 5, 200)])
    net.send(Message("s", "t", "m"), 0)
    (got,) = net.advance(10**12)
    assert got.arrived_ms == 1 + 10 + 10 + 20 + 30 + 1


def test_no_way_up_is_no_route():
    net = diamond(outages=[Outage("d--t", 0, 100)])
    net.send(Message("s", "t", "m"), MS)
    assert net.advance(10**12) == []
    assert net.counts()["dropped"]["no_route"] == 1


def test_a_leaf_never_carries_foreign_traffic():
    # a leaf with two links to its hub stays a leaf
    twins = [LinkSpec("hub", "leaf", tech(1)), LinkSpec("hub", "leaf", tech(2), name="b")]
    specs = [LinkSpec("hub", "x", tech(50)), *twins]
    net = Network(["hub", "x", "leaf"], specs, outages=[Outage("hub--leaf", 10, 20)])
    assert names(net, "leaf", "x") == "leafhubx"
    net.send(Message("x", "leaf", "m"), 0)
    net.send(Message("hub", "leaf", "m"), 11 * MS)
    assert [m.arrived_ms for m in net.advance(10**12)] == [13.0, 51.0]


def test_two_nodes_and_a_simplex_link():
    net = Network(["a", "b"], [LinkSpec("a", "b", tech(1), simplex=True)])
    assert names(net, "a", "b") == "ab"
    assert net.routes.exists(0, 1)
    assert not net.routes.exists(1, 0)


def test_star_of_leaves_reaches_every_leaf():
    specs = [LinkSpec("hub", f"x{i}", tech(i + 1)) for i in range(5)]
    net = Network(["hub", *(f"x{i}" for i in range(5))], specs)
    assert names(net, "x1", "x3") == "x1" + "hub" + "x3"
    assert [link.label for link in net.routes.path(2, 4)] == ["hub--x1", "hub--x3"]
