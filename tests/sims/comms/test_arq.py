import pytest

from sims.comms.arq import Arq, policy_for
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.outages import Outage
from sims.comms.technology import technology
from sims.core.message import Message

MS = 1_000_000


def network(arq, loss=0.0, ms=10.0, **options):
    tech = technology("ideal", loss=loss, median_ms=ms, p95_ms=ms)
    return Network(["a", "b"], [LinkSpec("a", "b", tech)], arq={"command": arq}, seed=4, **options)


def check_tries(count, tolerance):
    # a try succeeds with .9 * .9; four tries at most: (1 - .19**4) / (1 - .19) = 1.23296
    net = network(Arq(retries=3, timeout_ms=100.0), loss=0.1)
    heard = 0
    for i in range(count):
        net.send(Message("a", "b", "command/p"), i * 1000 * MS)
        if i % 1000 == 0:
            heard += len(net.advance(i * 1000 * MS))
            net.drain_log()
    heard += len(net.advance(count * 1000 * MS + 10**12))
    counts = net.counts()
    assert (count + counts["retries"]) / count == pytest.approx(1.23296, rel=tolerance)
    # all four copies lost: .1**4
    assert counts["dropped"]["lost"] == count - heard == pytest.approx(count * 1e-4, abs=5 * (count * 1e-4) ** 0.5)
    assert counts["in_flight"] == 0


def test_mean_number_of_tries():
    check_tries(200_000, 0.01)


@pytest.mark.validate
def test_mean_number_of_tries_of_two_million():
    check_tries(2_000_000, 0.003)


def test_receiver_hears_a_message_once_however_often_it_came():
    # the acknowledgement takes longer than the time-out, so that every try arrives
    net = network(Arq(retries=3, timeout_ms=15.0, backoff=1.0), ms=40.0)
    net.send(Message("a", "b", "command/p"), 0)
    assert [m.arrived_ms for m in net.advance(10**12)] == [40.0]
    counts = net.counts()
    assert (counts["retries"], counts["acks"], counts["delivered"], counts["in_flight"]) == (3, 4, 1, 0)


def test_back_off_doubles_the_wait():
    # down until 350 ms: tries at 0, 100, 300 and 700 ms; the last arrives
    net = network(Arq(retries=3, timeout_ms=100.0, backoff=2.0), outages=[Outage("a--b", 0, 350)])
    net.send(Message("a", "b", "command/p"), 0)
    assert [m.arrived_ms for m in net.advance(10**12)] == [710.0]
    assert net.counts()["retries"] == 3


def test_nobody_insists_beyond_the_time_to_live():
    net = network(Arq(retries=9, timeout_ms=100.0, backoff=1.0), loss=1.0)
    net.send(Message("a", "b", "command/p", ttl_ms=250), 0)
    assert net.advance(10**12) == []
    assert net.counts()["retries"] == 2
    assert net.counts()["dropped"]["lost"] == 1


def test_topics_without_a_policy_are_sent_once():
    net = network(Arq(retries=3, timeout_ms=100.0), loss=1.0)
    net.send(Message("a", "b", "telemetry"), 0)
    net.advance(10**12)
    assert net.counts()["retries"] == 0


def test_the_longest_prefix_counts():
    policies = {"": Arq(), "command": Arq(), "command/switch": Arq()}
    assert policy_for("command/switch/7", policies) == "command/switch"
    assert policy_for("command/p", policies) == "command"
    assert policy_for("price", policies) == ""
    assert policy_for("price", {"command": Arq()}) is None
