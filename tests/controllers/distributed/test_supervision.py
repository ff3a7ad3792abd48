"""Agents tell the control room how they stand; who is silent or stuck is an alarm."""

import dataclasses

import numpy as np
import pytest

from controllers.contract import Site
from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.observe import ObserveArea
from controllers.distributed.supervision import Supervise, TellState
from controllers.specimen import FEEDER, small_belief, small_feeder
from sims.core.message import Message

AGENTS = small_feeder().agents


def letters(town):
    return [m for _, m in town.mail if m.topic == "state"]


def sunny(world):
    """Every minute what agents measure themselves, every quarter-hour the substations' frames."""
    def each(now_ms):
        mail = [world.own(k, now_ms) for k in range(4)] + [world.primary(now_ms)]
        return mail + ([world.secondary(n, now_ms) for n in range(2, 8)] if now_ms % 900_000 == 0 else [])

    return each


@pytest.fixture
def agents(town, physics):
    world = physics(pv_mw=2.0, load_mw=0.1, v0=1.04)
    made = town([ObserveArea, ConsensusCurtailment, TellState], physics=world, stage=2)
    return world, made


def test_each_agent_tells_ratio_voltages_and_mismatch_at_the_beat(agents):
    world, town = agents
    town.run(3_700_000, sunny(world))
    told = letters(town)
    assert {m.sender for m in told} == set(AGENTS)
    assert {m.receiver for m in told} == {"dso_1.dms"}
    last = {m.sender: m.values for m in told}
    ratio = town.of(ConsensusCurtailment)[0].value
    assert ratio < 1.0
    assert last[AGENTS[0]]["ratio_p"] == pytest.approx(ratio, abs=0.1), "told when it has moved by a tenth"
    assert last[AGENTS[2]]["v_high_pu"] == pytest.approx(world.v[4], abs=0.015)
    assert all(values["mismatch_pu"] < 1e-3 for values in last.values())


def test_who_has_nothing_new_to_tell_is_quiet(town, physics):
    world = physics()
    made = town([ObserveArea, ConsensusCurtailment, TellState], physics=world, stage=2)
    made.run(900_000, sunny(world))
    before = len(letters(made))
    made.run(7_500_000, sunny(world))
    assert 12 <= len(letters(made)) - before <= 20, "four agents, a beat each half hour"


@pytest.fixture
def room():
    site = Site("dso_1.dms", "dms", frozenset(), small_belief(), (), 60_000, np.random.default_rng(1), {})
    return Supervise(site)


def state(agent, at_s, **values):
    return Message(agent, "dso_1.dms", "state", {"duty": "observe", **values}, sent_ms=round(1000 * at_s))


def alarms(out):
    return [(m.values["kind"], m.values["text"], m.values["value"]) for m in out if m.topic == "alarm"]


def test_what_agents_tell_goes_into_the_logbook_under_their_name(room):
    out = room.decide(0.0, [state(AGENTS[1], 0.0, ratio_p=0.8), state("stranger", 0.0, ratio_p=0.1)])
    told = [m.values for m in out if m.topic == "state"]
    assert told == [{"agent": AGENTS[1], "duty": "observe", "ratio_p": 0.8}]
    assert alarms(out) == [("unknown", "stranger is unknown", 0.0)]


def test_an_agent_that_falls_silent_is_an_alarm_and_again_after_it_has_spoken(room):
    assert not alarms(room.decide(0.0, [state(a, 0.0, ratio_p=1.0) for a in AGENTS]))
    others = [state(a, 3000.0, ratio_p=1.0) for a in AGENTS[1:]]
    assert not alarms(room.decide(3900.0, others))
    assert alarms(room.decide(4200.0, [])) == [("silent", f"{FEEDER}.a0 is silent", 4200.0)]
    assert not alarms(room.decide(4500.0, []))
    assert not alarms(room.decide(4800.0, [dataclasses.replace(state(AGENTS[0], 4700.0, ratio_p=1.0))]))


def test_an_agent_that_does_not_agree_at_its_edges_is_stuck(room):
    out = []
    for t in range(0, 6000, 600):
        mail = [state(a, t, mismatch_pu=0.02 if a == AGENTS[2] else 1e-4) for a in AGENTS]
        out += alarms(room.decide(float(t), mail))
    assert [text for _, text, _ in out] == [f"{AGENTS[2]} is stuck"]
