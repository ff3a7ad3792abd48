import numpy as np
import pytest

from sims.comms.attacks import Attack, Delay, Drop, Flood, Replay, Tamper
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.technology import technology
from sims.core.errors import ScenarioError
from sims.core.message import Message

MS = 1_000_000


def network(*attacks, ms=10.0, rate=0):
    tech = technology("ideal", median_ms=ms, p95_ms=ms, rate_bit_s=rate)
    return Network(["a", "b"], [LinkSpec("a", "b", tech)], attacks=attacks, seed=2)


def pass_at(net, *times_ms, topic="m", **values):
    for time_ms in times_ms:
        net.send(Message("a", "b", topic, dict(values), sent_ms=time_ms), time_ms * MS)
    return net.advance(10**13)


def test_drop_swallows_what_passes_while_it_lasts():
    net = network(Drop("a--b", 100, 200))
    assert [m.sent_ms for m in pass_at(net, 99, 100, 199, 200)] == [99, 200]
    assert net.counts()["dropped"]["attacked"] == 2


def test_drop_by_chance():
    net = network(Drop("a--b", 0, 10**9, probability=0.3))
    heard = len(pass_at(net, *range(10_000)))
    assert heard == pytest.approx(7000, rel=0.03)


def test_delay_holds_back():
    net = network(Delay("a--b", 0, 100, delay_ms=250.0))
    assert [(m.sent_ms, m.arrived_ms) for m in pass_at(net, 50, 150)] == [(150, 160.0), (50, 310.0)]


def test_replay_sends_a_copy_that_is_booked_as_such():
    net = network(Replay("a--b", 0, 100, delay_ms=1000.0))
    assert [m.arrived_ms for m in pass_at(net, 50)] == [60.0, 1060.0]
    counts = net.counts()
    assert (counts["sent"], counts["delivered"], counts["replays"], counts["in_flight"]) == (1, 1, 1, 0)


def test_tamper_biases_and_replaces_without_touching_the_original():
    net = network(Tamper("a--b", 0, 100, bias={"p_mw": -2.0, "name": 1.0}, replacement={"closed": False, "q": 1}))
    p_mw = np.array([1.0, 3.0])
    (got,) = pass_at(net, 50, p_mw=p_mw, closed=True, name="sw")
    assert got.values["p_mw"].tolist() == [-1.0, 1.0]
    assert p_mw.tolist() == [1.0, 3.0]
    assert not got.values["p_mw"].flags.writeable
    assert got.values["closed"] is False
    assert got.values["name"] == "sw"
    assert "q" not in got.values
    assert net.counts()["tampered"] == 1


def test_a_topic_narrows_the_attack():
    for topic, heard in (("command/p", 0), ("m", 1)):
        assert len(pass_at(network(Drop("a--b", 0, 100, topic="command")), 10, topic=topic)) == heard


def test_one_direction_may_be_attacked_alone():
    net = network(Drop("a--b:b>a", 0, 1000))
    assert len(pass_at(net, 10)) == 1


def test_attackers_in_a_row_touch_in_turn():
    net = network(Tamper("a--b", 0, 100, bias={"x": 1.0}), Tamper("a--b", 0, 100, bias={"x": 10.0}))
    (got,) = pass_at(net, 50, x=0.0)
    assert got.values["x"] == 11.0


def test_flood_delays_its_own_priority_but_not_what_ranks_higher():
    # 1000 B at 800 kbit/s: 10 ms a packet, flooded at 1.5 times the rate for 200 s; 5 ms on the way
    def run(priority, load):
        attacks = [Flood("a--b:a>b", 0, 200_000, load=load)] if load else []
        net = network(*attacks, ms=5.0, rate=800_000)
        for i in range(1000):
            net.send(Message("a", "b", "m", sent_ms=i * 197, size_bytes=1000, priority=priority), i * 197 * MS)
        waits = [m.arrived_ms - m.sent_ms for m in net.advance(10**13)]
        return np.array(waits), net.counts()

    urgent, counts = run(0, 1.5)
    assert len(urgent) == 1000
    assert 15.0 < np.quantile(urgent, 0.95) < 2 * 10.0 + 5.0
    assert counts["floods"] == pytest.approx(200_000 / 10 * 1.5, rel=0.02)
    # the wire serves two thirds of it, the queue of 1000 packets and the one on the wire the rest
    assert counts["floods_dropped"] == pytest.approx(counts["floods"] / 3, rel=0.12)
    plain, counts = run(1, 1.5)
    assert counts["dropped"]["queue_full"] > 200
    assert np.median(plain) > 5000.0
    quiet, _ = run(1, 0.0)
    assert quiet.max() == 15.0


def test_a_user_s_own_attack():
    class Swap(Attack):
        def touch(self, message, now_ms, rng):
            return [(0.0, Message(message.sender, message.receiver, "swapped", dict(message.values)))]

    (got,) = pass_at(network(Swap("a--b", 0, 100)), 50)
    assert got.topic == "swapped"


@pytest.mark.parametrize(
    ("attack", "text"),
    [
        (Drop("a--c", 0, 10), r"no such link \(did you mean a--b\?\)"),
        (Drop("a--b", 0, 10, probability=1.2), "not within 0..1"),
        (Delay("a--b", 10, 5, delay_ms=1.0), "no span of time"),
        (Delay("a--b", 0, 5, delay_ms=-1.0), "delay_ms: must be >= 0"),
        (Flood("a--b", 0, 5), "no rate limit"),
        (Flood("a--b", 0, 5, load=0.0), "must be above 0"),
    ],
)
def test_impossible_attacks_are_refused(attack, text):
    with pytest.raises(ScenarioError, match=text):
        network(attack)
