"""What an agent costs in a minute in which nothing happens, what estimation costs, and cycles of a thousand areas."""

import dataclasses
import gc
import time

import numpy as np
import pytest

from controllers.contract import Site
from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.delivery import ShareActive
from controllers.distributed.frequency import ShareDroop
from controllers.distributed.interface import ShareReactive
from controllers.distributed.observe import ObserveArea
from controllers.distributed.relief import RelieveImport
from controllers.distributed.restoration import RestoreSupply
from controllers.distributed.voltage import ConsensusVoltVar
from controllers.host import ControllerHost
from controllers.seat import Seat
from controllers.specimen import small_belief, small_feeder
from sims.core.bundle import Bundle, unbundled
from sims.core.message import Message

CLASSES = (
    ObserveArea, ConsensusCurtailment, RelieveImport, ConsensusVoltVar, RestoreSupply, ShareReactive, ShareActive,
    ShareDroop,
)
"""As `scenarios.seats` has them."""
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


def town(classes, feeders=250):
    """Return the seats of these duties at all four areas of so many feeders, as a host has them: duty by duty."""
    sites = []
    for f in range(feeders):
        name = f"dso_1.g{f:03d}"
        feeder = dataclasses.replace(
            small_feeder(), name=name, agents=tuple(f"{name}.a{k}" for k in range(4)),
            gateways=("", "", *(f"{name}.s{n}" for n in range(2, 8))),
        )
        for k, agent in enumerate(feeder.agents):
            belief = dataclasses.replace(small_belief(k), feeders=(feeder,))
            rng = np.random.default_rng(1)
            sites.append(Site(agent, "agent", frozenset(), belief, (), 60_000, rng, {"shared": {}}))
    return [Seat(site, cls(site)) for cls in classes for site in sites]


LINES = tuple(np.array(lines) for lines in ((0, 3), (0, 2), (2, 6), (3, 6)))
"""Lines at the edges of each area of the specimen."""


def measured(seated, minute):
    """Return what is measured in a minute; as noisy as a meter, and a different number for each."""
    rng, mail, now_ms = np.random.default_rng(minute), [], 60_000 * minute
    areas = {seat.site.name: seat.controller.area for seat in seated}
    for name, area in areas.items():
        k, feeder = area.number, area.feeder
        error = rng.standard_normal(10)
        v_pu, p_mw, q_mvar = (np.array([1.0, -0.3, -0.1]) + 0.002 * error[:3]).tolist()
        values = {
            "node": area.own_node, "v_pu": v_pu, "p_mw": p_mw, "q_mvar": q_mvar, "boundary_line": LINES[k],
            "boundary_p_mw": 0.5 + 0.02 * error[3:5], "boundary_q_mvar": 0.01 * error[5:7],
            "neighbour_area": np.array(feeder.area_neighbours[k]),
        }
        mail.append(Message(name, name, "own", values, sent_ms=now_ms))
        if area.leads:
            primary = {
                "v_pu": 1.0 + 0.002 * error[7:8], "p_mw": 8.0 + 0.02 * error[8:9], "q_mvar": 2.0 + 0.02 * error[9:],
                "tap_pos": np.zeros(1), "loading_percent": 33.0 + 0.1 * error[8:9], "v_set_pu": np.ones(1),
            }
            mail.append(Message(feeder.name, name, "primary", primary, now_ms, arrived_ms=now_ms))
        if minute % 15 == 0:
            for node in np.flatnonzero(feeder.area == k).tolist():
                told = dict(zip(TOLD, (np.array([1.0, -0.5, -0.1, 0.3, 0.3]) + 0.002 * rng.standard_normal(5)).tolist(),
                                strict=True))
                gateway = feeder.gateways[node]
                if gateway:
                    mail.append(Message(gateway, name, "secondary", {"node": node, **told}, now_ms, arrived_ms=now_ms))
    return mail


TOLD = ("v_pu", "p_mw", "q_mvar", "der_avail_mw", "der_mw")


def cycle(host, mail, minute):
    """Let everybody decide who is due; letters take 50 ms, until nobody writes to another agent any more."""
    sent = []
    for turn in range(20):
        now_ms = 60_000 * minute + 100 * turn
        out = host.step(now_ms, {"mail": {"comms": mail}}).outputs
        sent += [(now_ms, item) for port in ("outbox", "reports", "alarms") for item in out.get(port, ())]
        mail = [
            item.arrived(np.arange(len(item)), np.full(len(item), now_ms + 50.0)) if isinstance(item, Bundle)
            else dataclasses.replace(item, arrived_ms=now_ms + 50.0)
            for item in out.get("outbox", ()) if isinstance(item, Bundle) or item.receiver in host.places
        ]
        if not mail:
            break
    return sent


class Town:
    """A host of a thousand areas, and the minute at which it is."""

    def __init__(self, classes):
        self.seated, self.minute = town(classes), -1
        self.host = ControllerHost(self.seated, lambda *_: None, 60_000)
        self.host.places = {seat.site.name for seat in self.seated}

    def next(self):
        """Return the next cycle with what is measured before it."""
        self.minute += 1
        return self.host, measured(self.seated, self.minute), self.minute


def plain(sent):
    return sorted(
        (now_ms, m.sender, m.receiver, m.topic, tuple((k, np.asarray(v).tolist()) for k, v in m.values.items()))
        for now_ms, item in sent for m in unbundled([item])
    )


def alone(cls):
    """Return the same class on no bench: seats decide one by one."""
    return type(cls.__name__, (cls,), {})


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(
    "classes", [*((cls,) for cls in CLASSES), CLASSES], ids=[*(cls.__name__ for cls in CLASSES), "all"],
)
def test_a_cycle_of_a_thousand_areas(benchmark, classes):
    """All decisions, letters and reports of a minute, within an hour; to be held against 20 ms.

    Frames come each quarter-hour, areas estimate themselves every five minutes, sums are told anew each hour: see the
    median and the worst. Equal to what each area does alone.
    """
    together, others = Town(classes), Town([alone(cls) for cls in classes])
    for _ in range(17):
        sent = plain(cycle(*together.next()))
        assert sent == plain(cycle(*others.next()))
    gc.collect()
    gc.freeze()  # as a run does (see `sims.core.harness`)
    benchmark.pedantic(cycle, setup=lambda: (together.next(), {}), rounds=60)
    gc.unfreeze()
