import pickle

import numpy as np
import pytest
from mosaik.exceptions import SimulationError

from sims.core.clock import next_tick
from sims.core.errors import ModelError
from sims.core.harness import Harness
from sims.core.ports import Ports, Step, items, one


class Model:
    """A model made of a function of (now, inputs); notes when it was stepped."""

    def __init__(self, ports, act):
        self.ports, self._act = ports, act
        self.times = []

    def step(self, now_ms, inputs):
        self.times.append(now_ms)
        return self._act(now_ms, inputs)


def clocked(step_ms, port="x"):
    """Write the time at every multiple of `step_ms`."""
    return Model(Ports(writes=(port,)), lambda now, _: Step(now + step_ms, {port: float(now)}))


def reader(step_ms, seen, port="x"):
    def act(now, inputs):
        seen.append((now, one(inputs, port)))
        return Step(now + step_ms)

    return Model(Ports(reads=(port,)), act)


def test_a_time_shifted_connection_delivers_its_initial_value_then_what_was_written():
    seen = []
    with Harness() as world:
        world.add("reader", reader(10, seen))
        world.add("source", clocked(10))
        world.connect("source", "x", "reader", shifted=True, initial=-1.0)
        world.run(50)
    assert seen == [(0, -1.0), (10, 0.0), (20, 10.0), (30, 20.0), (40, 30.0)]


@pytest.mark.parametrize("shifted", [False, True])
def test_a_state_port_left_out_of_a_step_keeps_its_value_at_the_reader(shifted):
    seen = []
    source = Model(
        Ports(writes=("x", "y")), lambda now, _: Step(now + 10, {"y": 0.0} if now % 30 else {"x": float(now)})
    )
    with Harness() as world:
        world.add("source", source)
        world.add("reader", reader(10, seen))
        world.connect("source", "x", "reader", shifted=shifted, **({"initial": 0.0} if shifted else {}))
        world.run(80)
    late = 1 if shifted else 0
    assert seen == [(now, max(0.0, float((now - late) // 30 * 30))) for now in range(0, 80, 10)]


@pytest.mark.parametrize("slow_ms", [30, 60])
def test_a_fast_reader_of_a_slow_source_reads_its_last_value_and_never_nothing(slow_ms):
    seen = []
    with Harness() as world:
        world.add("source", clocked(slow_ms))
        world.add("reader", reader(10, seen))
        world.connect("source", "x", "reader", shifted=True, initial=-1.0)
        world.run(120)
    assert seen[0] == (0, -1.0)
    assert [x for _, x in seen[1:]] == [float((now - 1) // slow_ms * slow_ms) for now, _ in seen[1:]]


def test_a_closed_cycle_of_two_models_runs_and_each_reads_the_other():
    def grown(now, inputs):
        return Step(now + 10, {"a": one(inputs, "b") + 1.0})

    def doubled(now, inputs):
        return Step(now + 10, {"b": 2.0 * one(inputs, "a")})

    last = []
    with Harness() as world:
        world.add("first", Model(Ports(reads=("b",), writes=("a",)), grown))
        world.add("second", Model(Ports(reads=("a",), writes=("b",)), doubled))
        world.add("reader", reader(10, last, "b"))
        world.connect("first", "a", "second")
        world.connect("second", "b", "first", shifted=True, initial=0.0)
        world.connect("second", "b", "reader")
        world.run(40)
    assert [b for _, b in last] == [2.0, 6.0, 14.0, 30.0]  # b <- 2 (b + 1)


def test_an_event_is_delivered_once_although_the_listener_also_reads_state():
    heard, states = [], []

    def speak(now, _):
        return Step(now + 1000, {"mail": [now]} if now % 2000 == 0 else {})

    def listen(now, inputs):
        heard.extend((now, item) for item in items(inputs, "mail"))
        states.append(one(inputs, "x"))
        return Step(next_tick(now, 100))

    with Harness() as world:
        world.add("speaker", Model(Ports(tells=("mail",)), speak))
        world.add("source", clocked(100))
        world.add("listener", Model(Ports(reads=("x",), hears=("mail",)), listen))
        world.connect("speaker", "mail", "listener", shifted=True)
        world.connect("source", "x", "listener")
        world.run(5000)
    assert heard == [(1, 0), (2001, 2000), (4001, 4000)]
    assert len(states) == 50 + 3


def test_a_list_carries_all_events_of_one_instant():
    heard = []

    def listen(now, inputs):
        heard.extend(items(inputs, "mail"))
        return Step(next_tick(now, 1000))

    with Harness() as world:
        for name in ("b", "a"):
            world.add(name, Model(Ports(tells=("mail",)), lambda now, _, n=name: Step(now + 1000, {"mail": [n, n]})))
        world.add("listener", Model(Ports(hears=("mail",)), listen))
        for name in ("b", "a"):
            world.connect(name, "mail", "listener")
        world.run(1)
    assert heard == ["a", "a", "b", "b"]


def counted(until_ms):
    """Return how often each simulator steps where events come every 70 ms beside a grid of 1 s."""

    def speak(now, _):
        return Step(now + 70, {"mail": [now]})

    listener = Model(Ports(hears=("mail",)), lambda now, _: Step(next_tick(now, 1000)))
    with Harness() as world:
        world.add("speaker", Model(Ports(tells=("mail",)), speak))
        world.add("listener", listener)
        world.connect("speaker", "mail", "listener", shifted=True)
        world.run(until_ms)
        return world.bridges["speaker"].steps, world.bridges["listener"].steps


def test_a_triggered_model_that_names_its_next_tick_steps_once_per_event_and_tick():
    assert counted(7_000) == (100, 100 + 7)
    assert counted(28_000) == (400, 400 + 28)  # four times the time, four times the steps


def test_a_triggered_model_that_names_now_plus_step_would_breed_steps():
    listener = Model(Ports(hears=("mail",)), lambda now, _: Step(now + 1000))
    with Harness() as world:
        world.add("speaker", Model(Ports(tells=("mail",)), lambda now, _: Step(now + 70, {"mail": [now]})))
        world.add("listener", listener)
        world.connect("speaker", "mail", "listener", shifted=True)
        world.run(7_000)
    assert len(listener.times) > 2 * (100 + 7), "this is why clock.next_tick is there"


def test_what_a_model_raises_ends_the_run_and_names_simulator_and_time():
    def fails(now, _):
        if now == 90:
            raise TypeError("cannot add array and None")
        return Step(now + 30)

    with Harness() as world:
        world.add("dso_1", Model(Ports(), fails))
        world.add("other", clocked(10))
        with pytest.raises(ModelError, match=r"^dso_1 at 0\.090 s: TypeError: cannot add"):
            world.run(1000)


def test_the_others_stop_when_one_has_failed():
    def fails(now, _):
        if now == 50:
            raise RuntimeError("no")
        return Step(now + 10, {"x": 1.0})

    other = reader(10, [])
    with Harness() as world:
        world.add("bad", Model(Ports(writes=("x",)), fails))
        world.add("other", other)
        world.connect("bad", "x", "other", shifted=True, initial=0.0)
        with pytest.raises(ModelError):
            world.run(1_000_000)
    assert max(other.times) == 40


class Upper:
    """Offers a voltage, hears what it draws, and closes the instant once both stand still."""

    ports = Ports(hears=("drawn",), writes=("v",), tells=("offer",))

    def __init__(self):
        self.now, self.v, self.rounds = -1, 1.0, {}

    def step(self, now_ms, inputs):
        drawn = items(inputs, "drawn")
        if now_ms % 100 == 0 and now_ms != self.now:
            self.now, self.rounds[now_ms] = now_ms, 0
            return Step(next_tick(now_ms, 100), {"offer": [self.v]})
        if not drawn:
            return Step(next_tick(now_ms, 100))
        self.rounds[now_ms] += 1
        new = 1.0 - 0.1 * drawn[-1]
        settled = abs(new - self.v) < 1e-9
        self.v = new
        return Step(next_tick(now_ms, 100), {"v": new} if settled else {"offer": [new]})


def lower(load):
    """Draw more at a higher voltage: S = load V."""

    def act(now, inputs):
        offers = items(inputs, "offer")
        told = {"drawn": [load(now) * offers[-1]]} if offers else {}
        return Step(next_tick(now, 100), told)

    return Model(Ports(hears=("offer",), tells=("drawn",)), act)


def test_two_models_iterate_within_an_instant_and_outsiders_see_what_it_came_to():
    seen, upper = [], Upper()

    def load(now):
        return 1.0 + now / 100

    with Harness() as world:
        with world.group():
            world.add("upper", upper)
            world.add("lower", lower(load))
        world.add("outside", reader(100, seen, "v"))
        world.connect("upper", "offer", "lower")
        world.connect("lower", "drawn", "upper", weak=True)
        world.connect("upper", "v", "outside")
        world.run(400)
    # V = 1 - 0.1 load V, so V = 1 / (1 + 0.1 load)
    assert [now for now, _ in seen] == [0, 100, 200, 300], "once at each instant"
    assert [v for _, v in seen] == pytest.approx([1 / (1 + 0.1 * load(now)) for now, _ in seen], abs=1e-8)
    assert all(rounds > 3 for rounds in upper.rounds.values()), "the answer took iterations"


def test_an_iteration_that_never_ends_is_stopped():
    def restless(now, inputs):
        return Step(next_tick(now, 100), {"drawn": [0.0]} if items(inputs, "offer") else {})

    def insists(now, inputs):
        return Step(next_tick(now, 100), {"offer": [1.0]})

    with Harness(max_loop_iterations=20) as world:
        with world.group():
            world.add("upper", Model(Ports(hears=("drawn",), tells=("offer",)), insists))
            world.add("lower", Model(Ports(hears=("offer",), tells=("drawn",)), restless))
        world.connect("upper", "offer", "lower")
        world.connect("lower", "drawn", "upper", weak=True)
        with pytest.raises(SimulationError, match=r"Simulator upper .* more than 20 times"):
            world.run(400)


def test_a_reused_buffer_does_not_reach_a_reader_that_is_behind():
    buffer, seen = np.zeros(3), []

    def fill(now, _):
        buffer[:] = now
        return Step(now + 10, {"x": buffer})

    def act(now, inputs):
        seen.append(one(inputs, "x"))
        return Step(now + 10)

    with Harness() as world:
        world.add("source", Model(Ports(writes=("x",)), fill))
        world.add("reader", Model(Ports(reads=("x",)), act))
        world.connect("source", "x", "reader", shifted=True, initial=np.full(3, -1.0))
        world.run(40)
    assert [x[0] for x in seen] == [-1.0, 0.0, 10.0, 20.0]
    with pytest.raises(ValueError, match="read-only"):
        seen[1][0] = 5.0


def test_an_event_at_90123_ms_is_met_exactly_beside_a_grid_of_a_minute():
    def speak(now, _):
        if now == 0:
            return Step(90_123)
        return Step(10**9, {"mail": ["now"]} if now == 90_123 else {})

    heard = []

    def listen(now, inputs):
        heard.extend((now, item) for item in items(inputs, "mail"))
        return Step(next_tick(now, 60_000))

    listener = Model(Ports(hears=("mail",)), listen)
    with Harness() as world:
        world.add("speaker", Model(Ports(tells=("mail",)), speak))
        world.add("listener", listener)
        world.connect("speaker", "mail", "listener")
        world.run(240_000)
    assert heard == [(90_123, "now")]
    assert listener.times == [0, 60_000, 90_123, 120_000, 180_000]


def test_a_port_that_does_not_exist_is_refused_when_connecting():
    with Harness() as world:
        world.add("source", clocked(10))
        world.add("reader", reader(10, []))
        with pytest.raises(Exception, match="source attribute does not exist"):
            world.connect("source", "y", "reader", "x")


class Summer:
    """Adds up what it reads and hears; tells it every third step."""

    ports = Ports(reads=("x",), hears=("news",), writes=("y",), tells=("told",))

    def __init__(self, step_ms):
        self.step_ms, self.sum, self.log, self.rests = step_ms, 1.0, [], 0

    def step(self, now_ms, inputs):
        self.sum = (2 * self.sum + one(inputs, "x", 0.0) + sum(items(inputs, "news"))) % 997
        self.log.append((now_ms, self.sum))
        told = {} if now_ms % (3 * self.step_ms) else {"told": [now_ms]}
        return Step(next_tick(now_ms, self.step_ms), {"y": self.sum} | told)

    def rest(self):
        self.rests += 1

    def get_state(self):
        return {"sum": self.sum}

    def set_state(self, state):
        self.sum = state["sum"]


def pair(world):
    """Two that read and hear each other a tick later."""
    both = {"a": Summer(10), "b": Summer(7)}
    for name, model in both.items():
        world.add(name, model)
    for src, dst in (("a", "b"), ("b", "a")):
        world.connect(src, "y", dst, "x", shifted=True, initial=0.0)
        world.connect(src, "told", dst, "news", shifted=True)
    return both


def test_a_run_taken_up_at_a_pause_goes_on_as_one_that_was_never_broken_off():
    with Harness() as world:
        straight = pair(world)
        world.run(1000)
    kept = {}
    with Harness() as world:
        paused = pair(world)
        world.pausing([300, 601, 5000], lambda at_ms: kept.setdefault(at_ms, pickle.dumps(world.get_state())))
        world.run(1000)
    assert [m.log for m in paused.values()] == [m.log for m in straight.values()]
    assert sorted(kept) == [300, 601]
    assert [m.rests for m in paused.values()] == [2, 2]
    for at_ms, state in kept.items():
        with Harness() as world:
            taken_up = pair(world)
            world.set_state(pickle.loads(state))
            world.pausing([300], pytest.fail)  # lies behind
            world.run(1000)
        for name, model in taken_up.items():
            assert model.log == [row for row in straight[name].log if row[0] >= at_ms]
