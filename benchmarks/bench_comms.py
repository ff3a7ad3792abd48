"""Speed of the network: two-hop messages bare and inside mosaik, and a day of a large region.

Run: ``python -m pytest benchmarks/bench_comms.py``.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sims.comms.arq import Arq
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.sampled import SampledNetwork
from sims.comms.simulator import CommsSimulator
from sims.comms.technology import technology
from sims.comms.topology import Place, Rule, build_network
from sims.core.bundle import Addresses, Bundle, Mail
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


CYCLE_MS, DEVICES = 4000, 10_000


class Devices:
    """Report every 4 s, in one bundle or in a message each; note what each cycle costs, and how long replies took."""

    ports = Ports(hears=("mail",), tells=("outbox",))

    def __init__(self, bundled: bool) -> None:
        self.bundled, self.rows = bundled, np.arange(DEVICES)
        self.addresses = Addresses(tuple(f"sub_{i}" for i in range(DEVICES)), ("dms",) * DEVICES)
        self.marks: list[float] = []
        self.heard, self.delays_ms = 0, [np.zeros(0)]

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        for item in items(inputs, "mail"):
            if isinstance(item, Bundle):
                self.heard += len(item)
                self.delays_ms.append(item.arrived_ms - item.sent_ms)
            else:
                self.heard += 1
                self.delays_ms.append(item.arrived_ms - item.sent_ms)
        out: list[Mail] = []
        if now_ms % CYCLE_MS == 0:
            self.marks.append(time.process_time())
            told = {"p_mw": self.rows / DEVICES}
            report = Bundle(self.addresses, self.rows, "telemetry", told, now_ms, 85, 60_000)
            out = [report] if self.bundled else list(report.messages())
        return Step(next_tick(now_ms, CYCLE_MS), {"outbox": out} if out else {})

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


class Centre(Host):
    """Answers each message at once, and a bundle with a bundle."""

    ports = Ports(hears=("mail",), tells=("outbox",))
    back = Addresses(("dms",) * DEVICES, tuple(f"sub_{i}" for i in range(DEVICES)))

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        out = [
            Bundle(self.back, m.rows, "command", m.values, now_ms, 85, 60_000) if isinstance(m, Bundle)
            else Message(m.receiver, m.sender, "command", m.values, now_ms, 85, 60_000)
            for m in items(inputs, "mail")
        ]  # fmt: skip
        return Step(next_tick(now_ms, 900_000), {"outbox": out} if out else {})


def many(count: int = 10_000, **options: Any) -> Network:
    """Devices under 48 substations and one control centre, on links that nothing congests."""
    places = [Place("dms", "dms")]
    places += [Place(f"primary_{i}", "primary", "dms") for i in range(48)]
    places += [Place(f"sub_{i}", "substation", f"primary_{i % 48}") for i in range(count)]
    backbone = Rule("primary", "parent", "fibre", {"rate_bit_s": 10**10})
    return build_network([Rule("substation", "parent", "lte450"), backbone], places, seed=1, **options)


def with_replies(network: Any, bundled: bool, cycles: int) -> tuple[float, Devices]:
    """Run the study inside mosaik; return the least CPU time of a cycle after the first [s], and the devices."""
    devices = Devices(bundled)
    ports = {"dms": "control"} | dict.fromkeys(devices.addresses.senders, "field")
    with Harness() as world:
        world.add("devices", devices)
        world.add("comms", CommsSimulator(network, ["control", "field"], ports, slot_ms=100))
        world.add("centre", Centre())
        world.connect("devices", "outbox", "comms", shifted=True)
        world.connect("centre", "outbox", "comms", shifted=True)
        world.connect("comms", "control", "centre", "mail")
        world.connect("comms", "field", "devices", "mail")
        world.run(cycles * CYCLE_MS + 1)
    return float(np.diff(devices.marks)[1:].min()), devices


def network_of(mode: str) -> Any:
    """Return the network; with a topic to acknowledge, be it one that nobody uses, it runs on SimPy's events alone."""
    if mode == "events":
        return many(arq={"acknowledged": Arq()})
    return many() if mode == "exact" else SampledNetwork(many())


def test_all_modes_give_the_study_the_same_statistics() -> None:
    modes = ("events", "exact", "sampled")
    delays = [np.hstack(with_replies(network_of(mode), True, 4)[1].delays_ms) for mode in modes]
    np.testing.assert_array_equal(np.sort(delays[0]), np.sort(delays[1]))
    assert ks_2samp(*delays[1:]).pvalue > 0.01
    assert len(delays[1]) / len(delays[2]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("bundled", [False, True], ids=["messages", "bundles"])
@pytest.mark.parametrize("mode", ["events", "exact", "sampled"])
def test_ten_thousand_devices_every_4_s_with_replies(benchmark: Any, mode: str, bundled: bool) -> None:
    """What a cycle costs the whole of it: devices, network, control centre and mosaik."""
    cycle_s, devices = benchmark.pedantic(lambda: with_replies(network_of(mode), bundled, 25), rounds=1)
    assert devices.heard > 0.99 * 24 * DEVICES
    benchmark.extra_info["cpu_ms_a_cycle"] = 1000 * cycle_s
    benchmark.extra_info["times_real_time"] = CYCLE_MS / 1000 / cycle_s
