"""What an agent costs in a minute in which nothing happens, what estimation costs, and a cycle of a thousand areas."""

import dataclasses
import time

import numpy as np
import pytest

from controllers.contract import Site
from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.delivery import ShareActive
from controllers.distributed.estimators import Estimators
from controllers.distributed.frequency import ShareDroop
from controllers.distributed.interface import ShareReactive
from controllers.distributed.observe import ObserveArea
from controllers.distributed.restoration import RestoreSupply
from controllers.distributed.voltage import ConsensusVoltVar
from controllers.specimen import small_belief, small_feeder
from sims.core.bundle import Bundle, unbundled
from sims.core.message import Message

CLASSES = (ObserveArea, ConsensusCurtailment, ConsensusVoltVar, RestoreSupply, ShareReactive, ShareActive, ShareDroop)
NAME = small_feeder().agents[1]


def own(minute):
    values = {
        "node": 2, "v_pu": 1.001, "p_mw": -0.3, "q_mvar": -0.1, "boundary_line": np.array([0, 2]),
        "boundary_p_mw": np.array([-1.0, 0.5]), "boundary_q_mvar": np.zeros(2), "neighbour_area": np.array([0, 2]),
    }
    return Message(NAME, NAME, "own", values, sent_ms=60_000 * minute)


def seats(classes):
    site = Site(NAME, "agent", frozenset(), small_belief(1), (), 60_000, np.random.default_rng(1))
    return [cls(site) for cls in classes]


def test_a_quiet_day_of_one_agent(benchmark):
    """1440 minutes; times 280 it should stay near twelve seconds."""

    def day():
        agents = seats(CLASSES)
        sent = 0
        for minute in range(1440):
            box = [own(minute)]
            for agent in agents:
                sent += len(agent.decide(60.0 * minute, box))
        return sent

    assert benchmark(day) > 0


def test_a_day_of_estimation(benchmark):
    def day():
        agent, = seats((ObserveArea,))
        for minute in range(0, 1440, 5):
            agent.decide(60.0 * minute, [own(minute)])
        return agent.result

    assert len(benchmark(day))


def town(cls, feeders=250):
    """Return the agents of all four areas of so many feeders."""
    made = []
    for f in range(feeders):
        name = f"dso_1.g{f:03d}"
        feeder = dataclasses.replace(
            small_feeder(), name=name, agents=tuple(f"{name}.a{k}" for k in range(4)),
            gateways=("", "", *(f"{name}.s{n}" for n in range(2, 8))),
        )
        for k, agent in enumerate(feeder.agents):
            belief = dataclasses.replace(small_belief(k), feeders=(feeder,))
            made.append(cls(Site(agent, "agent", frozenset(), belief, (), 60_000, np.random.default_rng(1),
                                 {"shared": {}})))
    return made


LINES = tuple(np.array(lines) for lines in ((0, 3), (0, 2), (2, 6), (3, 6)))
"""Lines at the edges of each area of the specimen."""


def measured(agents, minute):
    """Return what each agent measures where it stands; as noisy as a meter, and a different number for each."""
    rng, mail = np.random.default_rng(minute), []
    for agent in agents:
        k, name = agent.area.number, agent.site.name
        error = rng.standard_normal(7)
        v_pu, p_mw, q_mvar = (np.array([1.0, -0.3, -0.1]) + 0.002 * error[:3]).tolist()
        values = {
            "node": agent.area.own_node, "v_pu": v_pu, "p_mw": p_mw, "q_mvar": q_mvar, "boundary_line": LINES[k],
            "boundary_p_mw": 0.5 + 0.02 * error[3:5], "boundary_q_mvar": 0.01 * error[5:],
            "neighbour_area": np.array(agent.area.feeder.area_neighbours[k]),
        }
        mail.append(Message(name, name, "own", values, sent_ms=60_000 * minute))
    return mail


def arrived(out, at_ms):
    """Return the bundles among what was sent as they come back 50 ms later."""
    return [m.arrived(np.arange(len(m)), np.full(len(m), at_ms + 50.0)) for m in out if isinstance(m, Bundle)]


def cycle(bench, agents, minute):
    """Estimate, exchange letters until nobody writes, report; return what was sent."""
    now_s, sent, letters, due = 60.0 * minute, [], [], list(range(len(agents)))
    for turn in range(10):
        out = bench.decide(now_s + 0.1 * turn, due, {}, letters)
        sent += out
        letters = arrived(out, 1000 * now_s + 100 * turn)
        due = sorted({i for bundle in letters for i in bench.called(bundle)})
        if not due:
            break
    return sent


def one_by_one(agents, minute):
    """The same of agents that decide each alone."""
    now_s, sent, inboxes = 60.0 * minute, [], {agent.site.name: [] for agent in agents}
    for turn in range(10):
        boxes, inboxes = inboxes, {agent.site.name: [] for agent in agents}
        for agent in agents:
            if turn == 0 or boxes[agent.site.name]:
                out = agent.decide(now_s + 0.1 * turn, boxes[agent.site.name])
                sent += out
                for message in out:
                    if message.topic == "boundary":
                        inboxes[message.receiver].append(message)
        if not any(inboxes.values()):
            break
    return sent


def plain(sent):
    return sorted(
        (m.sender, m.receiver, m.topic, tuple((k, np.asarray(v).tolist()) for k, v in m.values.items()))
        for m in unbundled(sent)
    )


@pytest.mark.benchmark(timer=time.process_time)
def test_a_cycle_of_a_thousand_areas(benchmark):
    """All letters and reports of one cycle; to be held against 20 ms. Equal to what each area does alone."""
    agents, others = town(ObserveArea), town(ObserveArea)
    bench = Estimators(agents)

    def minute_of(number, who):
        for agent, message in zip(who, measured(who, number), strict=True):
            agent.board.mail.append(message)

    for number in (0, 5):
        minute_of(number, agents)
        minute_of(number, others)
        assert plain(cycle(bench, agents, number)) == plain(one_by_one(others, number))
    minutes = iter(range(10, 10_000, 5))

    def due():
        number = next(minutes)
        minute_of(number, agents)
        return (bench, agents, number), {}

    sent = benchmark.pedantic(cycle, setup=due, rounds=20)
    assert {m.topic for m in unbundled(sent)} == {"boundary", "estimate"}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("cls", CLASSES[1:], ids=lambda cls: cls.__name__)
def test_a_look_of_a_thousand_areas(benchmark, cls):
    """What the duties of a thousand areas cost when they look at a quiet minute, one after the other."""
    agents, minutes = town(cls), iter(range(0, 1_000_000, 60))

    def due():
        number = next(minutes)
        for agent, message in zip(agents, measured(agents, number), strict=True):
            if hasattr(agent, "board"):
                agent.board.mail.append(message)
        return (60.0 * number,), {}

    def look(now_s):
        return sum(len(agent.decide(now_s, [])) for agent in agents)

    benchmark.pedantic(look, setup=due, rounds=10)
