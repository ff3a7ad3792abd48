"""Speed of the network: two-hop messages bare and inside mosaik, and a day of a large region.

Run: ``python -m pytest benchmarks/bench_comms.py``.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.sampled import SampledNetwork
from sims.comms.simulator import CommsSimulator
from sims.comms.technology import technology
from sims.comms.topology import Place, Rule, build_network
from sims.core.clock import next_tick
from sims.core.harness import Harness
from sims.core.message import Message
from sims.core.ports import Inputs, Ports, Step, items

DAY_MS = 86_400_000
COUNT = 50_000


def two_hops() -> Network:
    fibre = technology("fibre", loss=0.0)
    return Network(["a", "b", "c"], [LinkSpec("a", "b", fibre), LinkSpec("b", "c", fibre)], seed=1)


class Meters:
    """Sends frames by groups, each group at its own period."""

    ports = Ports(tells=("outbox",))

    def __init__(self, groups: list[tuple[int, list[tuple[str, str]]]]) -> None:
        self.groups = groups

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        out = [
            Message(a, b, "telemetry", sent_ms=now_ms, size_bytes=85, ttl_ms=900_000)
            for period_ms, pairs in self.groups
            if now_ms % period_ms == 0
            for a, b in pairs
        ]
        after = min(next_tick(now_ms, period_ms) for period_ms, _ in self.groups)
        return Step(after, {"outbox": out} if out else {})

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


class Host:
    """Counts its mail."""

    ports = Ports(hears=("mail",))
    heard = 0

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        self.heard += len(items(inputs, "mail"))
        return Step(next_tick(now_ms, 900_000), {})

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


def region(**options: Any) -> Network:
    """5 000 substations under 48 primaries, 3 DMS and a TSO."""
    places = [Place("tso", "tso")]
    places += [Place(f"dms_{i}", "dms", "tso") for i in range(3)]
    places += [Place(f"primary_{i}", "primary", f"dms_{i % 3}") for i in range(48)]
    places += [Place(f"sub_{i}", "substation", f"primary_{i % 48}") for i in range(5000)]
    rules = [
        Rule("substation", "parent", "lte450", **options),
        Rule("primary", "parent", "fibre"),
        Rule("dms", "parent", "fibre"),
    ]
    return build_network(rules, places, seed=1)


def frames() -> list[tuple[int, list[tuple[str, str]]]]:
    subs = [(f"sub_{i}", f"dms_{i % 48 % 3}") for i in range(5000)]
    return [(900_000, subs), (60_000, [(f"primary_{i}", f"dms_{i % 3}") for i in range(48)])]


def run_in_mosaik(
    network: Any, groups: list[tuple[int, list[tuple[str, str]]]], slot_ms: int, until_ms: int = DAY_MS
) -> int:
    host = Host()
    comms = CommsSimulator(network, ["control"], lambda message: "control", slot_ms=slot_ms)
    with Harness() as world:
        world.add("meters", Meters(groups))
        world.add("comms", comms)
        world.add("host", host)
        world.connect("meters", "outbox", "comms", shifted=True)
        world.connect("comms", "control", "host", "mail")
        world.run(until_ms)
    return host.heard


def test_two_hops_bare(benchmark: Any) -> None:
    mail = [Message("a", "c", "telemetry", sent_ms=i) for i in range(COUNT)]

    def run() -> int:
        network, heard = two_hops(), 0
        for start in range(0, COUNT, 1000):
            for message in mail[start : start + 1000]:
                network.send(message, message.sent_ms * 1_000_000)
            heard += len(network.advance((start + 999) * 1_000_000))
            network.drain_log()
        return heard + len(network.advance(10**12))

    assert benchmark.pedantic(run, rounds=5) == COUNT
    benchmark.extra_info["messages_per_s"] = COUNT / benchmark.stats["min"]


def test_two_hops_in_mosaik(benchmark: Any) -> None:
    pairs = [("a", "c")] * 540

    heard = benchmark.pedantic(lambda: run_in_mosaik(two_hops(), [(900_000, pairs)], 10), rounds=3)
    assert heard == 96 * 540
    benchmark.extra_info["messages_per_s"] = heard / benchmark.stats["min"]


def test_twice_the_steps_in_mosaik(benchmark: Any) -> None:
    """The same frames for one hour and for two: what the second adds beyond the first is not its own."""
    pairs = [("a", "c")] * 20
    spent = {1: math.inf, 2: math.inf}
    for _ in range(5):
        for hours in spent:
            start = time.process_time()
            run_in_mosaik(two_hops(), [(1000, pairs)], 10, hours * 3_600_000)
            spent[hours] = min(spent[hours], time.process_time() - start)
    benchmark.pedantic(lambda: run_in_mosaik(two_hops(), [(1000, pairs)], 10, 3_600_000), rounds=1)
    benchmark.extra_info["twice_the_steps_cost"] = spent[2] / spent[1]


@pytest.mark.parametrize("failing", [False, True])
def test_day_of_a_region_in_mosaik(benchmark: Any, failing: bool) -> None:
    network = region(mttr_min=240.0) if failing else region()
    heard = benchmark.pedantic(lambda: run_in_mosaik(network, frames(), 100), rounds=1)
    counts = network.counts()
    assert heard == counts["delivered"]
    benchmark.extra_info["messages_per_s"] = counts["sent"] / benchmark.stats["min"]


def test_day_of_a_region_sampled(benchmark: Any) -> None:
    network = SampledNetwork(region())
    heard = benchmark.pedantic(lambda: run_in_mosaik(network, frames(), 100), rounds=1)
    assert heard == network.counts()["delivered"]


def test_snapshot_of_a_region(benchmark: Any) -> None:
    network = region()
    for sender, receiver in frames()[0][1]:
        network.send(Message(sender, receiver, "telemetry", size_bytes=85), 0)
    network.advance(20_000_000)
    state = benchmark(network.get_state)
    assert np.isclose(state["now_ns"], 20_000_000)


class Answering(Host):
    """Answers each message at once."""

    ports = Ports(hears=("mail",), tells=("outbox",))

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        mail = items(inputs, "mail")
        self.heard += len(mail)
        out = [Message(m.receiver, m.sender, "command", sent_ms=now_ms, size_bytes=85, ttl_ms=60_000) for m in mail]
        return Step(next_tick(now_ms, 900_000), {"outbox": out} if out else {})


def many(count: int = 10_000) -> Network:
    """Devices under 48 substations and one control centre, on links that nothing congests."""
    places = [Place("dms", "dms")]
    places += [Place(f"primary_{i}", "primary", "dms") for i in range(48)]
    places += [Place(f"sub_{i}", "substation", f"primary_{i % 48}") for i in range(count)]
    return build_network([Rule("substation", "parent", "lte450"), Rule("primary", "parent", "fibre")], places, seed=1)


def test_ten_thousand_devices_every_4_s_with_replies(benchmark: Any) -> None:
    pairs, span_ms = [(f"sub_{i}", "dms") for i in range(10_000)], 40_000
    host, network = Answering(), many()
    comms = CommsSimulator(
        network, ["control", "field"], lambda m: "control" if m.receiver == "dms" else "field", slot_ms=100
    )
    field = Host()

    def run() -> int:
        with Harness() as world:
            world.add("meters", Meters([(4000, pairs)]))
            world.add("comms", comms)
            world.add("host", host)
            world.add("field", field)
            world.connect("meters", "outbox", "comms", shifted=True)
            world.connect("host", "outbox", "comms", shifted=True)
            world.connect("comms", "control", "host", "mail")
            world.connect("comms", "field", "field", "mail")
            world.run(span_ms)
        return field.heard

    heard = benchmark.pedantic(run, rounds=1)
    assert heard > 0.99 * 10 * 10_000
    benchmark.extra_info["times_real_time"] = span_ms / 1000 / benchmark.stats["min"]


def test_ten_thousand_devices_as_arrays(benchmark: Any) -> None:
    network = SampledNetwork(many())
    src = np.array([network.index[f"sub_{i}"] for i in range(10_000)])
    dst, size = np.full(10_000, network.index["dms"]), np.full(10_000, 85)
    network.carry(src, dst, np.zeros(10_000, np.int64), size, "telemetry")

    def run() -> int:
        heard = 0
        for k in range(5):
            arrived, _ = network.carry(src, dst, np.full(10_000, k * 4_000_000_000), size, "telemetry")
            heard += int(np.isfinite(arrived).sum())
            network.drain_log()
        return heard

    heard = benchmark.pedantic(run, rounds=1)
    assert heard > 0.99 * 50_000
    benchmark.extra_info["messages_per_s"] = heard / benchmark.stats["min"]


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_ten_thousand_devices_one_way(benchmark: Any, mode: str) -> None:
    network: Any = many() if mode == "exact" else SampledNetwork(many())
    mail = [Message(f"sub_{i}", "dms", "telemetry", size_bytes=85) for i in range(10_000)]

    def run() -> int:
        heard = 0
        for k in range(5):
            for message in mail:
                network.send(message, k * 4_000_000_000)
            heard += len(network.advance((k + 1) * 4_000_000_000 - 1))
            network.drain_log()
        return heard

    heard = benchmark.pedantic(run, rounds=1)
    assert heard > 0.99 * 50_000
    benchmark.extra_info["messages_per_s"] = heard / benchmark.stats["min"]
