import threading

import numpy as np
import pytest
from mosaik import scheduler
from mosaik.exceptions import SimulationError
from mosaik.tiered_time import TieredDuration, TieredTime

from sims.core import pace
from sims.core.clock import next_tick
from sims.core.errors import ModelError
from sims.core.harness import Harness
from sims.core.pace import later
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
    if not quick:
        monkeypatch.setattr(pace, "run", lambda world, until, threads: scheduler.run(world, until))
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
    quick = told(seed, monkeypatch, quick=True)
    assert all(len(entries) > 6 for entries in quick.values())
    assert any(entry[2] for name in "abc" for entry in quick[name]), "nobody was ever asked anything"
    assert quick == told(seed, monkeypatch, quick=False)


class Cell:
    """Answers what the hub offers in one or more rounds; meets the others of its instant, when `met` is given."""

    threaded = True

    def __init__(self, name, log, met=None):
        self.ports = Ports(hears=("offer",), tells=("answer",), writes=("x",))
        self.name, self.log, self.met = name, log, met
        self.steps = 0

    def step(self, now_ms, inputs):
        offered = items(inputs, "offer")
        self.steps += 1
        if self.met is not None and self.steps > 1 and len(offered) < 2:
            self.met.wait(20.0)  # broken, and with it the run, if the others do not step meanwhile
        self.log.append((self.name, now_ms, tuple(offered)))
        return Step(next_tick(now_ms, 10), {"x": (self.name, self.steps), "answer": [(self.name, self.steps)]})


class Hub:
    """Offers once more what it has been answered, twice an instant."""

    def __init__(self, log):
        self.ports = Ports(hears=("answer",), reads=("x",), tells=("offer",))
        self.log, self.now, self.rounds = log, -1, 0

    def step(self, now_ms, inputs):
        answers = items(inputs, "answer")
        self.rounds = self.rounds + 1 if now_ms == self.now else 0
        self.now = now_ms
        self.log.append(("hub", now_ms, tuple(answers), tuple(inputs.get("x", {}).items())))
        return Step(next_tick(now_ms, 10), {"offer": [self.rounds]} if self.rounds < 2 else {})


def seen_by_cells(threads, *, met=None, third_hears_first=False):
    logs = {name: [] for name in ("north", "south", "west", "hub")}
    with Harness() as world:
        with world.group():
            for name in ("north", "south", "west"):
                world.add(name, Cell(name, logs[name], met))
            world.add("hub", Hub(logs["hub"]))
        for name in ("north", "south", "west"):
            world.connect(name, "answer", "hub")
            world.connect(name, "x", "hub")
            world.connect("hub", "offer", name, weak=True)
        if third_hears_first:
            world.connect("north", "answer", "west", "offer")
        world.run(200, threads)
    return logs


def test_models_side_by_side_step_at_once_and_see_what_they_see_one_after_the_other(monkeypatch):
    monkeypatch.setattr(pace, "WORTH_S", -1.0)
    together = seen_by_cells(3, met=threading.Barrier(3))
    assert len(together["hub"]) == 60
    assert together == seen_by_cells(1)


def test_one_that_hears_another_waits_for_it(monkeypatch):
    monkeypatch.setattr(pace, "WORTH_S", -1.0)
    together = seen_by_cells(3, third_hears_first=True)
    assert together == seen_by_cells(1, third_hears_first=True)
    assert any(len(offered) == 2 for _, _, offered in together["west"])


def test_of_two_that_fail_side_by_side_the_first_in_the_line_is_named(monkeypatch):
    class Failing(Cell):
        def step(self, now_ms, inputs):
            if self.name != "north" and now_ms == 50:
                raise ValueError("no more")
            return super().step(now_ms, inputs)

    monkeypatch.setattr(pace, "WORTH_S", -1.0)
    monkeypatch.setitem(globals(), "Cell", Failing)
    with pytest.raises(ModelError, match=r"south.*no more"):
        seen_by_cells(3)


class Noter:
    """Notes that it steps; on a round of its own it asks those that hear it for one more."""

    def __init__(self, name, log, rounds=0):
        self.ports = Ports(reads=("x",), hears=("ask",), writes=("x",), tells=("ask",))
        self.name, self.log, self.rounds = name, log, rounds

    def step(self, now_ms, inputs):
        self.log.append(self.name)
        asks, self.rounds = self.rounds > 0, self.rounds - 1
        return Step(next_tick(now_ms, 10), {"x": self.name} | ({"ask": [self.name]} if asks else {}))


def nested(world, log):
    """Two groups in one, and one simulator on either side of it; started in the wrong order on purpose."""
    world.add("after", Noter("after", log))
    with world.group():
        world.add("head", Noter("head", log))
        with world.group():
            world.add("low", Noter("low", log, rounds=1))
            world.add("high", Noter("high", log, rounds=2))
    world.add("before", Noter("before", log))
    world.connect("before", "x", "low")
    world.connect("high", "x", "head")
    world.connect("high", "ask", "low")
    world.connect("low", "ask", "high", weak=True)
    world.connect("head", "x", "after")


def test_at_one_instant_a_group_is_done_before_whoever_reads_it_and_an_inner_one_before_its_neighbours():
    log = []
    with Harness() as world:
        nested(world, log)
        world.run(1)
    assert log == ["before", "high", "low", "high", "low", "head", "after"]


def test_an_outsider_between_two_of_a_group_at_one_instant_is_refused_with_its_name():
    with Harness() as world:
        with world.group():
            world.add("first", Noter("first", []))
            world.add("second", Noter("second", []))
        world.add("between", Noter("between", []))
        world.connect("first", "x", "between")
        world.connect("between", "x", "second")
        with pytest.raises(SimulationError, match=r"between.* shift one of their connections"):
            world.run(10)


def test_a_step_asked_for_in_the_past_is_refused_by_name():
    class Backwards:
        ports = Ports(writes=("x",))

        def step(self, now_ms, inputs):
            return Step(now_ms - 10 if now_ms >= 20 else now_ms + 10, {"x": now_ms})

    with Harness() as world:
        world.add("clock", Backwards())
        with pytest.raises(SimulationError, match="Simulator clock asks at 20 for a step at 10, which is not later"):
            world.run(100)
