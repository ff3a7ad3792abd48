"""What an agent costs in a minute in which nothing happens, and what one estimation cycle costs."""

import numpy as np

from controllers.contract import Site
from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.delivery import ShareActive
from controllers.distributed.frequency import ShareDroop
from controllers.distributed.interface import ShareReactive
from controllers.distributed.observe import ObserveArea
from controllers.distributed.restoration import RestoreSupply
from controllers.distributed.voltage import ConsensusVoltVar
from controllers.specimen import small_belief, small_feeder
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
