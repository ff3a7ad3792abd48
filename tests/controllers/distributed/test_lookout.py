import numpy as np
import pytest

from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.interface import ShareReactive
from controllers.distributed.voltage import ConsensusVoltVar
from controllers.specimen import small_feeder
from sims.core.message import Message

CLASSES = [ConsensusCurtailment, ConsensusVoltVar, ShareReactive]
LEAD, *OTHERS = small_feeder().agents


def alone(cls):
    """Return the same class on no bench, whose seats all decide one by one."""
    return type(cls.__name__, (cls,), {})


def counted(cls, calls):
    """Return the same class on its bench; `calls` tells how often seats of it decide for themselves."""

    def decide(self, now_s, inbox):
        calls[cls.__name__] = calls.get(cls.__name__, 0) + 1
        return cls.decide(self, now_s, inbox)

    return type(cls.__name__, (cls,), {"bench": vars(cls).get("bench"), "decide": decide})


class Day:
    """Four hours: rest, sun, a busbar too low, an interface that asks for Q, an agent without meter, a line opened."""

    def __init__(self, town, physics, classes):
        self.world = physics(v0=1.0, pv_mw=0.1, load_mw=0.3)
        self.town = town(classes, physics=self.world)
        self.minute = self.world.minute()

    def measure(self, now_ms):
        at, world = now_ms // 60_000, self.world
        rng = np.random.default_rng(at)
        world.v0 = (0.968 if 100 <= at < 115 else 1.052 if 45 <= at < 75 else 1.0) + 0.002 * rng.standard_normal()
        world.avail = 2.6 if 45 <= at < 75 else 0.1
        world.load_mw = (0.1 if 45 <= at < 75 else 0.3) + 0.02 * rng.standard_normal()
        world.closed[5] = not 200 <= at < 215
        mail = [m for m in self.minute(now_ms) if not (170 <= at < 180 and m.receiver == OTHERS[0])]
        if at in (15, 35):
            values = {"amount": 0.2 if at == 15 else 0.0, "as_of_s": now_ms / 1000}
            mail.append(Message(small_feeder().interface, LEAD, "share/q", values, now_ms))
        return mail

    def live(self, until_min=240, restart_min=None):
        if restart_min is not None:
            self.town.run(60_000 * restart_min, self.measure, tick_ms=1000)
            self.town.host.set_state(self.town.host.get_state())
        self.town.run(60_000 * until_min, self.measure, tick_ms=1000)
        return sorted(
            (now_ms, m.sender, m.receiver, m.topic, *((k, np.asarray(v).tolist()) for k, v in m.values.items()))
            for now_ms, m in self.town.mail
        )


@pytest.fixture
def told(town, physics):
    return lambda classes, **kw: Day(town, physics, classes).live(**kw)


def test_whoever_is_passed_over_would_have_done_nothing(told):
    calls, every = {}, {}
    one_by_one = told([counted(alone(cls), every) for cls in CLASSES])
    assert told([counted(cls, calls) for cls in CLASSES]) == one_by_one
    assert {row[3] for row in one_by_one} >= {
        "command/manage_congestion", "command/control_voltage", "command/support_tso_voltage", "consensus/p",
        "consensus/q", "share/q", "capacity/q",
    }
    for cls in CLASSES:
        assert calls[cls.__name__] < 0.9 * every[cls.__name__], cls


def test_a_restart_goes_on_alike(told):
    assert told(CLASSES, until_min=120, restart_min=60) == told(CLASSES, until_min=120)
    assert told(CLASSES, until_min=160, restart_min=140) == told(CLASSES, until_min=160)


def test_what_others_measure_is_not_looked_at(town, physics):
    """The verdict on an agent is the same whatever stands on the other pictures of the wall."""
    day = Day(town, physics, [ConsensusVoltVar])
    day.town.run(20 * 60_000, day.measure, tick_ms=1000)
    agents = day.town.of(ConsensusVoltVar)
    (row,) = day.town.host._rows
    bench = row.bench
    before, _ = bench.idle(1e4)
    for k, agent in enumerate(agents):
        kept = agent.board.volts.own_pu.copy()
        agent.board.volts.own_pu[:] = 1.2
        after, _ = bench.idle(1e4)
        agent.board.volts.own_pu[:] = kept
        assert np.array_equal(np.delete(after, k), np.delete(before, k))
    assert np.array_equal(bench.idle(1e4)[0], before)


def test_the_flows_and_voltages_on_the_wall_are_those_of_each_picture(town, physics):
    day = Day(town, physics, [ConsensusCurtailment])
    day.town.run(50 * 60_000, day.measure, tick_ms=1000)
    agents = day.town.of(ConsensusCurtailment)
    wall = agents[0].board.wall
    wall.look(range(4))
    low, high = wall.range_pu()
    for agent in agents:
        board = agent.board
        assert (low[board.place], high[board.place]) == board.volts.range_pu()
        told = board.own.values
        flows = np.abs([told["boundary_p_mw"], told["boundary_q_mvar"]])
        assert wall.most_mva[board.place] == flows.max()
    lead = next(agent.board for agent in agents if agent.area.leads)
    assert wall.loading_percent[wall.start[lead.place]] == lead.primary.values["loading_percent"][0]
