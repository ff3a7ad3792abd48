"""Queues against the closed forms of queueing theory (Kleinrock 1975/76), latency and loss against theirs.

Service has mean 1 s (1 MB at 8 Mbit/s), so that rho is the arrival rate. Seeds are fixed; the spread of the
estimates at 200 000 customers is 1.1/1.2/2.5 % for M/M/1 at rho .3/.5/.8.
"""

import numpy as np
import pytest

from sims.comms.attacks import Attack
from sims.comms.link import Link, LinkSpec
from sims.comms.network import Network
from sims.comms.packet import Packet
from sims.comms.streams import Draws
from sims.comms.technology import technology
from sims.core.message import Message

S = 1_000_000_000
MEAN_BYTES = 1_000_000
CUSTOMERS = 200_000
MANY = 2_000_000


def server(rate=8_000_000):
    return technology("ideal", rate_bit_s=rate)


def run(sizes, at_ns, *, priorities=None, queue_packets=10**9):
    """Send through one server; return sojourn minus service [s] by customer (NaN: dropped), and the counts."""
    net = Network(["a", "b"], [LinkSpec("a", "b", server(), queue_packets)])
    waits = np.full(len(sizes), np.nan)

    def collect(arrived):
        for message in arrived:
            i = message.values["i"]
            waits[i] = message.arrived_ms / 1e3 - at_ns[i] / S - sizes[i] / MEAN_BYTES

    at = at_ns.tolist()
    for i, size in enumerate(sizes.tolist()):
        priority = 1 if priorities is None else int(priorities[i])
        net.send(Message("a", "b", "m", {"i": i}, size_bytes=size, priority=priority), at[i])
        if i % 10_000 == 0:
            collect(net.advance(at[i]))
            net.drain_log()
    collect(net.advance(at[-1] + 10**15))
    return waits, net.counts()


def poisson(rng, rate, count):
    return np.cumsum(np.rint(rng.exponential(S / rate, count)).astype(np.int64))


def exponential(rng, count):
    return np.rint(rng.exponential(MEAN_BYTES, count)).astype(np.int64)


def check_mm1(rho, expected, tolerance, count, seed):
    rng = np.random.default_rng(seed)
    waits, counts = run(exponential(rng, count), poisson(rng, rho, count))
    assert counts["delivered"] == count
    assert waits.mean() == pytest.approx(expected, rel=tolerance)


def check_md1(rho, expected, tolerance, count, seed):
    rng = np.random.default_rng(seed)
    waits, _ = run(np.full(count, MEAN_BYTES), poisson(rng, rho, count))
    assert waits.mean() == pytest.approx(expected, rel=tolerance)


def check_mm1k(rho, places, expected, tolerance, count, seed):
    rng = np.random.default_rng(seed)
    # K customers in the system: one on the wire and K - 1 waiting
    waits, counts = run(exponential(rng, count), poisson(rng, rho, count), queue_packets=places - 1)
    assert counts["dropped"]["queue_full"] == np.isnan(waits).sum()
    assert counts["dropped"]["queue_full"] / count == pytest.approx(expected, rel=tolerance)


def check_priority(count, tolerances, seed):
    rng = np.random.default_rng(seed)
    first = rng.random(count) < 0.3 / 0.8
    waits, _ = run(exponential(rng, count), poisson(rng, 0.8, count), priorities=np.where(first, 0, 1))
    assert waits[first].mean() == pytest.approx(1.14286, rel=tolerances[0])
    assert waits[~first].mean() == pytest.approx(5.71429, rel=tolerances[1])


class Resize(Attack):
    """Gives each packet a new exponential size, so that service at the hops is independent."""

    def touch(self, message, now_ms, rng):
        size = round(rng.exponential(MEAN_BYTES))
        return [(0.0, Message(message.sender, message.receiver, message.topic, message.values, 0, size))]


def check_tandem(count, tolerance, seed):
    rng = np.random.default_rng(seed)
    rates = (8_000_000, 12_000_000, 16_000_000)
    links = [
        LinkSpec(a, b, server(rate), 10**9) for a, b, rate in zip("abc", "bcd", rates, strict=True)
    ]
    resizing = [Resize(link.label, 0, 10**12) for link in links]
    net = Network(["a", "b", "c", "d"], links, attacks=resizing, seed=seed)
    at = poisson(rng, 0.5, count).tolist()
    total, heard = 0.0, 0
    for i, at_ns in enumerate(at):
        net.send(Message("a", "d", "m", {"i": i}, size_bytes=1), at_ns)
        if i % 10_000 == 0 or i == count - 1:
            for message in net.advance(at_ns if i < count - 1 else at_ns + 10**15):
                total += message.arrived_ms / 1e3 - at[message.values["i"]] / S
                heard += 1
            net.drain_log()
    assert heard == count
    assert total / count == pytest.approx(1 / 0.5 + 1 / 1.0 + 1 / 1.5, rel=tolerance)  # 3.66667 s


MM1 = [(0.3, 0.42857, 0.02), (0.5, 1.0, 0.02), (0.8, 4.0, 0.034)]
MD1 = [(0.3, 0.21429, 0.02), (0.5, 0.5, 0.02), (0.8, 2.0, 0.034)]
MM1K = [(0.8, 5, 0.08882), (0.5, 3, 0.06667), (1.2, 10, 0.19259)]


@pytest.mark.parametrize(("rho", "expected", "tolerance"), MM1)
def test_mm1_waiting_time(rho, expected, tolerance):
    check_mm1(rho, expected, tolerance, CUSTOMERS, seed=11)


@pytest.mark.parametrize(("rho", "expected", "tolerance"), MD1)
def test_md1_waiting_time(rho, expected, tolerance):
    check_md1(rho, expected, tolerance, CUSTOMERS, seed=12)


@pytest.mark.parametrize(("rho", "places", "expected"), MM1K)
def test_mm1k_share_of_tail_drops(rho, places, expected):
    check_mm1k(rho, places, expected, 0.03, CUSTOMERS, seed=13)


def test_strict_priority_waiting_times():
    check_priority(CUSTOMERS, (0.04, 0.06), seed=14)


def test_tandem_of_three_hops():
    check_tandem(CUSTOMERS, 0.03, seed=15)


@pytest.mark.validate
@pytest.mark.parametrize(("rho", "expected", "tolerance"), MM1)
def test_mm1_waiting_time_of_two_million(rho, expected, tolerance):
    check_mm1(rho, expected, tolerance, MANY, seed=21)


@pytest.mark.validate
@pytest.mark.parametrize(("rho", "expected", "tolerance"), MD1)
def test_md1_waiting_time_of_two_million(rho, expected, tolerance):
    check_md1(rho, expected, tolerance, MANY, seed=22)


@pytest.mark.validate
@pytest.mark.parametrize(("rho", "places", "expected"), MM1K)
def test_mm1k_share_of_tail_drops_of_two_million(rho, places, expected):
    check_mm1k(rho, places, expected, 0.01, MANY, seed=23)


@pytest.mark.validate
def test_strict_priority_waiting_times_of_two_million():
    check_priority(MANY, (0.04, 0.06), seed=24)


@pytest.mark.validate
def test_tandem_of_three_hops_of_two_million():
    check_tandem(MANY, 0.03, seed=25)


def link(**overrides):
    return Link(0, LinkSpec("a", "b", technology("lte", **overrides)), 0, 1, ("a", "b"), Draws(7))


def test_latency_is_lognormal_with_the_table_s_median_and_p95():
    wire = link()
    drawn = np.array([wire.latency_ns() for _ in range(200_000)])
    assert np.median(drawn) / 1e6 == pytest.approx(25.0, rel=0.01)
    assert np.quantile(drawn, 0.95) / 1e6 == pytest.approx(80.0, rel=0.015)
    assert np.log(drawn).std() == pytest.approx(np.log(80 / 25) / 1.645, rel=0.01)


def test_losses_are_independent_of_each_other():
    wire = link(loss=0.1)
    lost = np.array([wire.loses() for _ in range(200_000)])
    assert lost.mean() == pytest.approx(0.1, rel=0.02)
    # the chance after a loss is that after a delivery
    assert lost[1:][lost[:-1]].mean() == pytest.approx(0.1, rel=0.05)


def test_certain_loss_loses_all_and_zero_loss_none():
    assert all(link(loss=1.0).loses() for _ in range(10))
    assert not any(link(loss=0.0).loses() for _ in range(10))


def test_transmission_time_is_rounded_up_and_free_of_limit_takes_none():
    # 1 byte at 3 bit/s: 8/3 s
    assert link(rate_bit_s=3).service_ns(1) == 2_666_666_667
    assert link(rate_bit_s=0).service_ns(10**9) == 0


def test_duty_cycle_keeps_the_channel_closed():
    # 100 byte at 8 kbit/s take 100 ms of air; at 1 % duty the next may start 10 s after the first did
    tech = technology("lorawan", rate_bit_s=8000, median_ms=0.0, p95_ms=0.0, loss=0.0)
    net = Network(["a", "b"], [LinkSpec("a", "b", tech)])
    for _ in range(3):
        net.send(Message("a", "b", "m", size_bytes=100), 0)
    assert [m.arrived_ms for m in net.advance(10**12)] == [100.0, 10_100.0, 20_100.0]


def test_in_order_link_never_lets_a_packet_overtake():
    for in_order in (True, False):
        net = Network(["a", "b"], [LinkSpec("a", "b", technology("lte", in_order=in_order, loss=0.0))])
        for i in range(2000):
            net.send(Message("a", "b", "m", {"i": i}), i * 1_000_000)
        order = [message.values["i"] for message in net.advance(10**12)]
        assert (order == sorted(order)) is in_order


def test_each_priority_has_a_queue_of_its_own():
    wire = Link(0, LinkSpec("a", "b", technology("lte"), 2), 0, 1, ("a", "b"), Draws(7))
    packets = [Packet(i, Message("a", "b", "m", priority=p), 0, 1, 0) for i, p in enumerate((1, 1, 1, 0, 2))]
    assert [wire.wait(packet) for packet in packets] == [True, True, False, True, True]
    assert [wire.next_packet().uid for _ in range(wire.waiting)] == [3, 0, 1, 4]


def test_a_link_is_the_same_whatever_others_there_are():
    alone, second = link(), Link(9, LinkSpec("a", "b", technology("lte")), 3, 4, ("a", "b"), Draws(7))
    assert [alone.latency_ns() for _ in range(200)] == [second.latency_ns() for _ in range(200)]
    other = Link(0, LinkSpec("a", "c", technology("lte")), 0, 1, ("a", "c"), Draws(7))
    assert alone.latency_ns() != other.latency_ns()
