"""Loops closed over simulated links inside mosaik: they decay below the delay that theory allows, and grow above it."""

from collections import deque
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from scipy.linalg import expm

from controllers.belief import Belief
from controllers.contract import Site
from controllers.distributed import consensus
from controllers.distributed.ratio import SharedRatio
from controllers.host import ControllerHost
from controllers.seat import Seat
from controllers.tso.afrr import Afrr
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.simulator import CommsSimulator
from sims.comms.technology import technology
from sims.core.clock import next_tick
from sims.core.harness import Harness
from sims.core.message import Message
from sims.core.ports import Ports, Step, items


def link(a, b, ms):
    return LinkSpec(a, b, technology("ideal", median_ms=ms, p95_ms=ms))


def site(name, period_ms, grid, **settings):
    return Site(name, "tso", frozenset(), grid, (), period_ms, np.random.default_rng(0), settings)


class Plant:
    """A discrete plant: reports every cycle, holds what it was told last."""

    ports = Ports(hears=("orders",), tells=("outbox",))

    def __init__(self, cycle_ms, advance):
        self.cycle_ms, self.advance = cycle_ms, advance
        self.told, self.reports, self.trace = None, 0, []

    def step(self, now_ms, inputs):
        for order in items(inputs, "orders"):
            self.told = order.values
        if now_ms % self.cycle_ms:
            return Step(next_tick(now_ms, self.cycle_ms))
        value, report = self.advance(self.told)
        self.trace.append(value)
        self.reports += 1
        return Step(next_tick(now_ms, self.cycle_ms), {"outbox": [report(now_ms)]})


def close(plant, seat, network, cycles):
    """Run plant and controller over `network`; return its books."""
    comms = CommsSimulator(
        network, ["plant", "control"], lambda m: "plant" if m.topic.startswith("command/") else "control", slot_ms=1,
    )
    with Harness() as world:
        world.add("plant", plant)
        world.add("comms", comms)
        world.add("control", ControllerHost([seat], lambda *_: None, seat.site.period_ms))
        world.connect("plant", "outbox", "comms", shifted=True)
        world.connect("comms", "control", "control", "mail")
        world.connect("control", "outbox", "comms", shifted=True)
        world.connect("comms", "plant", "plant", "orders")
        world.run(cycles * plant.cycle_ms)
    return network.counts()


def grows(trace, per_delay):
    """Compare the last period (four delays) with one three periods before it."""
    size = np.abs(np.array(trace))
    return bool(size[-4 * per_delay :].max() > size[-16 * per_delay : -12 * per_delay].max())


def area(cycle_s):
    """M 10, D 1, R 0.05, Tch 0.3, Tg 0.1 (Jiang et al., IEEE Trans. Power Systems 27(2), 2012); load +0.01."""
    governor = [-1 / (0.05 * 0.1), 0.0, -10.0, 0.0]
    a = np.array([[-0.1, 0.1, 0.0, -0.1], [0.0, -1 / 0.3, 1 / 0.3, 0.0], governor, [0.0] * 4])
    whole = np.zeros((5, 5))
    whole[:4, :4], whole[2, 4] = a, 10.0
    matrix = expm(whole * cycle_s)
    state = np.array([0.0, 0.0, 0.0, 0.01])

    def advance(told):
        nonlocal state
        order = 0.0 if told is None else float(told["p_delta_mw"])
        f = state[0]
        state = (matrix @ np.append(state, order))[:4]

        def report(now_ms):
            values = {"f_hz": np.array([f]), "p_tie_mw": np.zeros(1), "p_sched_mw": np.zeros(1)}
            return Message("area", "tso", "tie", values, now_ms)

        return f, report

    return advance


LONG = pytest.mark.validate
LFC = [
    pytest.param(0.0, 0.05, 30.915, marks=LONG), pytest.param(0.0, 0.1, 15.201, marks=LONG), (0.0, 0.2, 7.335),
    pytest.param(0.0, 0.4, 3.382, marks=LONG), pytest.param(0.0, 0.6, 2.042, marks=LONG), (0.0, 1.0, 0.923),
    pytest.param(0.1, 0.2, 7.794, marks=LONG),
]  # fmt: skip


@pytest.mark.parametrize(("k_p", "k_i", "margin_s"), LFC)
@pytest.mark.parametrize(("share", "unstable"), [(0.95, False), (1.05, True)])
def test_secondary_control_bears_the_delay_that_theory_allows(k_p, k_i, margin_s, share, unstable):
    per_delay, delays = 20, 40
    cycle_ms = round(share * margin_s * 1000 / per_delay)
    one_way_ms = per_delay // 2 * cycle_ms - 1  # the plant takes an order at the tick of a cycle after it came
    belief = Belief(
        f_nominal_hz=0.0, cells=[SimpleNamespace(cell=1, bias_mw_per_hz=21.0)],
        generators=[SimpleNamespace(cell=1, reserve_mw=1e6, address="area", full_s=1e-3)],
    )  # fmt: skip
    seat_site = site("tso", cycle_ms, belief, cycle_ms=cycle_ms, k_p=k_p, t_i_s=1 / k_i, reserve_deadband_mw=0.0)
    plant, cycles = Plant(cycle_ms, area(cycle_ms / 1000)), delays * per_delay
    network = Network(["area", "tso"], [link("area", "tso", one_way_ms)])
    counts = close(plant, Seat(seat_site, Afrr(seat_site)), network, cycles)
    assert grows(plant.trace, per_delay) == unstable
    # A report leaves in every cycle, an order for every report that has come with an error in it.
    half = per_delay // 2
    assert plant.reports == cycles
    assert counts["in_flight"] == 2 * (half - 1)
    assert counts["delivered"] == counts["sent"] - counts["in_flight"]
    assert counts["sent"] == pytest.approx(2 * cycles - half, abs=2)


class Agent:
    """Agrees with its neighbours by `consensus.step`; its own value is as old as theirs."""

    urgent = frozenset()

    def __init__(self, own, row, start, delay):
        self.site, self.own, self.row = own, int(own.name[1:]), row
        self.heard = {}
        self.past = deque([start[self.own]] * (delay + 1), delay + 1)
        self.start, self.trace = start, []

    def decide(self, now_s, inbox):
        for message in inbox:
            self.heard[int(message.sender[1:])] = message.values["u"]
        old = self.start.copy()
        old[self.own] = self.past[0]
        for j, value in self.heard.items():
            old[j] = value
        moved = consensus.step(old, self.row)[self.own] - self.past[0]
        self.past.append(self.past[-1] + moved)
        self.trace.append(self.past[-1])
        return [Message(self.site.name, name, "u", {"u": self.past[-1]}) for name in self.site.neighbours]


def neighbours(graph):
    return [sorted(near) for near in graph.adj.values()]


RING, PATH = neighbours(nx.cycle_graph(10)), neighbours(nx.path_graph(10))
STAR, COMPLETE = neighbours(nx.star_graph(9)), neighbours(nx.complete_graph(5))


@pytest.mark.parametrize(
    ("graph", "margin_s"),
    [
        pytest.param(RING, 0.3927, marks=LONG, id="ring"), pytest.param(PATH, 0.4026, marks=LONG, id="path"),
        pytest.param(COMPLETE, 0.3142, marks=LONG, id="complete"), pytest.param(STAR, 0.1571, id="star"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("share", "unstable"), [(0.97, False), (1.03, True)])
def test_consensus_bears_the_delay_that_theory_allows(graph, margin_s, share, unstable):
    # In ms the cycle would be too coarse for a margin of 157 ms, so time is stretched: L / 100, margins times 100.
    per_delay, stretch = 50, 100
    assert consensus.delay_margin_s(graph) == pytest.approx(margin_s, abs=5e-5)
    cycle_ms = round(share * margin_s * stretch * 1000 / per_delay)
    weights = np.eye(len(graph)) - cycle_ms / 1000 / stretch * consensus.laplacian(graph)
    start = np.linalg.eigh(consensus.laplacian(graph))[1][:, -1]
    names = [f"a{i}" for i in range(len(graph))]
    sites = [
        Site(name, "agent", frozenset(), Belief(), tuple(names[j] for j in near), cycle_ms, None)
        for name, near in zip(names, graph, strict=True)
    ]
    seats = [Seat(s, Agent(s, weights, start, per_delay)) for s in sites]
    wires = [link(names[i], names[j], per_delay * cycle_ms - 1) for i, near in enumerate(graph) for j in near if i < j]
    network = Network(names, wires)
    comms = CommsSimulator(network, ["control"], lambda message: "control", slot_ms=1)
    cycles = 24 * per_delay
    with Harness() as world:
        world.add("comms", comms)
        world.add("control", ControllerHost(seats, lambda *_: None, cycle_ms))
        world.connect("comms", "control", "control", "mail")
        world.connect("control", "outbox", "comms", shifted=True)
        world.run(cycles * cycle_ms)
    trace = np.abs([seat.controller.trace for seat in seats]).max(axis=0)
    counts = network.counts()
    mails = sum(len(near) for near in graph)
    assert counts["sent"] == mails * cycles
    assert counts["delivered"] == mails * (cycles - per_delay + 1)  # each a millisecond before its tick
    assert grows(trace, per_delay) == unstable


@pytest.mark.parametrize(("delay", "bound"), [(0, 2.0), (1, 1.0), (2, 0.618), (3, 0.445)])
@pytest.mark.parametrize(("share", "unstable"), [(0.95, False), (1.05, True)])
def test_a_voltage_integrator_bears_the_gain_that_theory_allows(delay, bound, share, unstable):
    """x(k+1) = x(k) - a x(k-d): the common ratio of a feeder, pushed by a deviation that comes d cycles late."""
    assert consensus.integrator_bound(delay) == pytest.approx(bound, abs=5e-4)
    gain, cycle_ms = share * bound, 1000

    class VoltVar:
        urgent = frozenset({"own"})

        def __init__(self):
            self.ratio = SharedRatio("u", {}, rest=0.0, low=-1e9, high=1e9, reach=10**9, release=0.0)

        def decide(self, now_s, inbox):
            for message in inbox:
                self.ratio.step(-gain * message.values["dv"], needed=True)
            return [Message("agent", "feeder", "command/control_voltage", {"q": self.ratio.value})] if inbox else []

    def advance(told):
        dv = 1e-3 + (0.0 if told is None else told["q"])
        return dv, lambda now_ms: Message("feeder", "agent", "own", {"dv": dv}, now_ms)

    # A report takes d cycles and a little less, the order back no more than what is left of the cycle.
    cycles = 200
    plant, own = Plant(cycle_ms, advance), site("agent", cycle_ms, Belief())
    late = delay * cycle_ms + 400.0
    up = LinkSpec("feeder", "agent", technology("ideal", median_ms=late, p95_ms=late), simplex=True)
    down = LinkSpec("agent", "feeder", technology("ideal", median_ms=400.0, p95_ms=400.0), simplex=True)
    network = Network(["feeder", "agent"], [up, down])
    counts = close(plant, Seat(own, VoltVar()), network, cycles)
    size = np.abs(plant.trace)
    assert bool(size[-40:].max() > size[40:80].max()) == unstable
    assert plant.reports == cycles
    assert (counts["delivered"], counts["in_flight"]) == (2 * (cycles - delay), delay)
