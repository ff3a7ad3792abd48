import numpy as np
import pytest

from sims.core.bridge import STATE, Bridge
from sims.core.errors import ControllerError, ModelError
from sims.core.ports import Ports, Step, given


class Plain:
    """Does what it is told to, and keeps what it was handed."""

    def __init__(self, ports, act):
        self.ports, self._act = ports, act
        self.seen = []

    def step(self, now_ms, inputs):
        self.seen.append(inputs)
        return self._act(now_ms)


PORTS = Ports(reads=("v",), hears=("mail",), writes=("p", "q"), tells=("news",))


def bridge(act, ports=PORTS):
    made = Bridge(Plain(ports, act))
    made.init("dso_1")
    return made


def test_state_ports_share_one_entity_and_every_event_port_is_one_of_its_own():
    models = bridge(lambda _: Step(1)).meta["models"]
    assert set(models) == {STATE, "port_mail", "port_news"}
    assert models[STATE]["non-trigger"] == models[STATE]["persistent"] == ["v", "p", "q"]
    assert models["port_mail"]["trigger"] == models["port_mail"]["non-persistent"] == ["mail"]


def test_a_port_that_both_hears_and_tells_is_one_entity():
    models = bridge(lambda _: Step(1), Ports(hears=("loop",), tells=("loop",))).meta["models"]
    assert set(models) == {STATE, "port_loop"}


def test_inputs_come_by_port_and_simulator():
    made = bridge(lambda _: Step(10))
    state = {STATE: {"v": {"grid.state": 1.0, "other.state": 2.0}}}
    made.step(0, state | {"port_mail": {"mail": {"comms.port_m": [3]}}}, 0)
    assert made.model.seen == [{"v": {"grid": 1.0, "other": 2.0}, "mail": {"comms": [3]}}]


def test_the_inputs_of_mosaik_are_not_kept_or_changed():
    inputs = {STATE: {"v": {"grid.state": 1.0}}}
    made = bridge(lambda _: Step(10))
    made.step(0, inputs, 0)
    made.model.seen[0]["v"]["grid"] = 5.0
    assert inputs == {STATE: {"v": {"grid.state": 1.0}}}


def test_an_array_that_nobody_can_write_to_is_handed_on_as_it_is():
    kept = given(np.array([1.0, 2.0]))
    made = bridge(lambda _: Step(10, {"p": kept}))
    made.step(0, {}, 0)
    assert made.told()["p"] is kept


def test_arrays_are_handed_out_as_read_only_copies():
    buffer = np.array([1.0, 2.0])
    made = bridge(lambda _: Step(10, {"p": buffer}))
    made.step(0, {}, 0)
    out = made.get_data({STATE: ["p"]})[STATE]["p"]
    buffer[:] = -1
    assert out.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        out[0] = 3.0


def test_state_and_events_are_given_once_and_what_was_written_last_is_kept():
    steps = iter([Step(10, {"p": 1.0, "news": ["a"]}), Step(20, {"q": 2.0})])
    made = bridge(lambda _: next(steps))
    wanted = {STATE: ["p", "q"], "port_news": ["news"]}
    made.step(0, {}, 0)
    assert made.get_data(wanted) == {STATE: {"p": 1.0}, "port_news": {"news": ["a"]}, "time": 0}
    made.step(10, {}, 0)
    assert made.get_data(wanted) == {STATE: {"q": 2.0}, "time": 10}
    assert made.outputs == {"p": 1.0, "q": 2.0}


def test_a_quantity_asked_for_twice_is_given_once():
    made = bridge(lambda _: Step(10, {"p": 1.0}))
    made.step(0, {}, 0)
    assert made.get_data({STATE: ["p", "p", "p"]}) == {STATE: {"p": 1.0}, "time": 0}


def test_the_next_step_is_a_plain_integer_whatever_the_model_computes_with():
    made = bridge(lambda _: Step(np.int64(900_000)))
    assert type(made.step(0, {}, 0)) is int


@pytest.mark.parametrize("wrong", [TypeError("unsupported operand"), ZeroDivisionError("division"), KeyError("p_mw")])
def test_whatever_a_model_raises_is_named_with_simulator_and_time(wrong):
    def fails(_):
        raise wrong

    with pytest.raises(ModelError, match=r"^dso_1 at 90\.123 s: " + type(wrong).__name__) as caught:
        bridge(fails).step(90_123, {}, 0)
    assert caught.value.__cause__ is wrong


def test_what_is_named_already_is_passed_on_as_it_is():
    said = ControllerError("dso_1.dms", 5_000, "sent nonsense")

    def fails(_):
        raise said

    with pytest.raises(ControllerError) as caught:
        bridge(fails).step(5_000, {}, 0)
    assert caught.value is said


def test_a_port_nobody_declared_is_refused_by_name():
    with pytest.raises(ModelError, match=r"dso_1 at 1\.000 s: wrote to 'p_mv', which is not one of its ports"):
        bridge(lambda _: Step(10, {"p_mv": 1.0})).step(1_000, {}, 0)


def test_wall_time_and_steps_are_counted_failures_included():
    made = bridge(lambda now: Step(now + 1) if now < 2 else None)
    for now in (0, 1):
        made.step(now, {}, 0)
    with pytest.raises((ModelError, AttributeError)):
        made.step(2, {}, 0)
    assert made.steps == 3
    assert made.wall_s > 0
