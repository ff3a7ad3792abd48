import numpy as np
import pytest

from controllers.distributed.frequency import DroopAgents, FlowAverage, ShareDroop
from controllers.specimen import small_feeder
from sims.core.message import Message

CELL_1 = ("dso_1.i4", "dso_1.i8")
NAMES = (*small_feeder().agents, *CELL_1)


def build(town, **kwargs):
    classes = {name: [ShareDroop] for name in NAMES[:4]} | {name: [DroopAgents] for name in CELL_1}
    return town(classes, sites=NAMES, roles=dict.fromkeys(NAMES, "agent"), **kwargs)


def other(now_ms):
    """The other interface's feeder tells 45 MW/Hz."""
    if now_ms:
        return []
    return [Message("dso_1.f09.a0", "dso_1.i8", "capacity/droop", {"capacity": np.array([45.0])})]


def test_droop_is_the_same_share_of_every_device(town, physics):
    world = physics()
    agents = build(town, physics=world, settings={"droop_mw_per_hz": 24.0})
    agents.run(3_600_000, other)
    # feeder: 6 x 0.5 MW storage, 15 MW/Hz over 0.2 Hz; of 6 x 0.25 MW EV a fifth is plugged in and .15 charge, which
    # leaves .05 to charge more with: 0.375 MW/Hz both ways
    ratio = 24.0 / (15.375 + 45.0)
    kind = world.feeder.devices.kind
    assert np.allclose(world.droop[kind == "storage"], ratio * 2.5, rtol=0.02)
    assert np.allclose(world.droop[kind == "ev"], ratio * 0.0625, rtol=0.02)
    assert not world.droop[kind == "pv"].any()
    assert all(c.ratio == pytest.approx(ratio, rel=5e-3) for c in agents.of(DroopAgents))
    assert not agents.refused


def test_silent_once_agreed(town, physics):
    agents = build(town, physics=physics())
    agents.run(1_200_000, other)
    before = len([m for _, m in agents.mail if m.topic == "consensus/droop"])
    agents.run(4_800_000, other)
    assert len([m for _, m in agents.mail if m.topic == "consensus/droop"]) == before
    assert before < 80


def test_below_stage_four_agents_may_not(town, physics):
    world = physics()
    agents = build(town, physics=world, stage=4)
    agents.host._authorize = __import__("controllers.responsibility", fromlist=["x"]).Responsibility(
        "distributed", 2, dict.fromkeys(NAMES, "agent"), {"contain_frequency": 4}).authorize
    agents.run(1_200_000, other)
    assert not world.droop.any()
    assert agents.refused


def test_no_more_than_everything_is_given(town, physics):
    world = physics()
    agents = build(town, physics=world, settings={"droop_mw_per_hz": 1e4})
    agents.run(2_400_000, other)
    assert world.droop.max() == pytest.approx(2.5)


def test_the_average_survives_lost_letters():
    rng = np.random.default_rng(5)
    graph = {"a": ["b"], "b": ["a", "c"], "c": ["b", "d"], "d": ["c"]}
    values = dict(zip("abcd", (1.0, 5.0, 2.0, 12.0), strict=True))
    agents = {n: FlowAverage(np.array([values[n]]), graph[n]) for n in graph}
    for _ in range(400):
        average = {n: agent.step() for n, agent in agents.items()}
        for n, near in graph.items():
            for m in near:
                if rng.random() > 0.3:
                    agents[m].hear(n, agents[n].flow[m], average[n])
    assert [float(a.step()[0]) for a in agents.values()] == pytest.approx([5.0] * 4, abs=1e-3)
