from contextlib import nullcontext

import numpy as np
import pytest
from mosaik import scheduler
from mosaik.exceptions import SimulationError
from mosaik.tiered_time import TieredDuration, TieredTime

from sims.core import harness
from sims.core.clock import next_tick
from sims.core.harness import Harness
from sims.core.pace import later, quick_scheduling
from sims.core.ports import Ports, Step, items, one


@pytest.mark.parametrize("seed", range(20))
def test_a_time_after_a_delay_is_mosaiks_own_sum(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.integers(1, 4, 2)
    cutoff = int(rng.integers(1, min(before, after) + 1))
    tiers = tuple(rng.integers(0, 9, before).tolist())
    delay = TieredDuration(*rng.integers(0, 9, after).tolist(), cutoff=cutoff, pre_length=int(before))
    assert later(tiers, delay) == (TieredTime(*tiers) + delay).tiers


class Talker:
    """Steps at its own rate, says something now and then, and answers what it hears; notes all of it."""

    def __init__(self, name, step_ms, every, log):
        self.ports = Ports(reads=("x",), hears=("ask",), writes=("x",), tells=("ask",))
        self.name, self.step_ms, self.every, self.log = name, step_ms, every, log
        self.said = 0

    def step(self, now_ms, inputs):
        heard = items(inputs, "ask")
        self.log.append((self.name, now_ms, tuple(heard), tuple(sorted(inputs.get("x", {}).items()))))
        outputs = {"x": f"{self.name}{now_ms}"}
        if len(heard) < 3 and (now_ms // self.step_ms) % self.every == 0:
            self.said += 1
            outputs["ask"] = [(self.name, self.said)]
        return Step(next_tick(now_ms, self.step_ms), outputs)


class Loop:
    """One side of an iteration at one instant: answers until it has done so `rounds` times."""

    def __init__(self, name, rounds, log):
        self.ports = Ports(reads=("x",), hears=("loop",), writes=("x",), tells=("loop",))
        self.name, self.rounds, self.log = name, rounds, log
        self.now = self.count = -1

    def step(self, now_ms, inputs):
        self.count = 0 if now_ms != self.now else self.count + 1
        self.now = now_ms
        self.log.append((self.name, now_ms, self.count, one(inputs, "x") if self.name == "left" else None))
        outputs = {"x": now_ms + self.count}
        if self.count < self.rounds:
            outputs["loop"] = [self.count]
        return Step(next_tick(now_ms, 60), outputs)


def told(seed, monkeypatch, quick):
    """Return what each model of a random world saw, in its own order."""
    rng = np.random.default_rng(seed)
    log = []
    monkeypatch.setattr(harness, "quick_scheduling", quick_scheduling if quick else nullcontext)
    with Harness() as world:
        world.add("first", Talker("first", 20, 2, log))
        with world.group():
            world.add("left", Loop("left", int(rng.integers(1, 4)), log))
            world.add("right", Loop("right", 9, log))
        names = ["a", "b", "c"]
        for name in names:
            world.add(name, Talker(name, int(rng.integers(1, 5)) * 10, int(rng.integers(1, 4)), log))
        world.connect("first", "x", "left")
        world.connect("left", "loop", "right")
        world.connect("right", "loop", "left", weak=True)
        world.connect("right", "x", "a")
        world.connect("left", "x", "first", shifted=True, initial="nothing")
        for source, target in [("a", "b"), ("b", "c")]:
            world.connect(source, "x", target)
            world.connect(source, "ask", target)
        world.connect("c", "ask", "a", shifted=True)
        world.run(400)
    return {name: [entry for entry in log if entry[0] == name] for name in ["first", "left", "right", *names]}


@pytest.mark.parametrize("seed", range(8))
def test_every_model_sees_the_same_in_the_same_order_as_under_mosaiks_own_rules(seed, monkeypatch):
    slow = told(seed, monkeypatch, quick=False)
    assert all(len(entries) > 6 for entries in slow.values())
    assert any(entry[2] for name in "abc" for entry in slow[name]), "nobody was ever asked anything"
    assert told(seed, monkeypatch, quick=True) == slow


def test_mosaiks_own_rules_stand_again_after_a_run_even_if_it_failed():
    own = scheduler.advance_progress
    with quick_scheduling():
        assert scheduler.advance_progress is not own

    def failing():
        with quick_scheduling():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert scheduler.advance_progress is own


def test_a_step_asked_for_in_the_past_is_refused_by_name():
    class Backwards:
        ports = Ports(writes=("x",))

        def step(self, now_ms, inputs):
            return Step(now_ms - 10 if now_ms >= 20 else now_ms + 10, {"x": now_ms})

    with Harness() as world:
        world.add("clock", Backwards())
        with pytest.raises(SimulationError, match="Simulator clock asks at 20 for a step at 10, which is not later"):
            world.run(100)
