"""Speed of the network: two-hop messages bare and inside mosaik, and a day of a large region.

Run: ``python -m pytest benchmarks/bench_comms.py``.
"""

from __future__ import annotations

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


def run_in_mosaik(network: Any, groups: list[tuple[int, list[tuple[str, str]]]], slot_ms: int) -> int:
    host = Host()
    comms = CommsSimulator(network, ["control"], lambda message: "control", slot_ms=slot_ms)
    with Harness() as world:
        world.add("meters", Meters(groups))
        world.add("comms", comms)
        world.add("host", host)
        world.connect("meters", "outbox", "comms", shifted=True)
        world.connect("comms", "control", "host", "mail")
        world.run(DAY_MS)
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
