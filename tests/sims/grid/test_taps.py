import numpy as np
import pytest

from sims.grid.taps import Avr, TapData


def avr(n=1, *, step=1.5, hv=True, lowest=-9, highest=9, pos=0, v_set=1.0, **options):
    taps = TapData(np.full(n, lowest), np.full(n, highest), np.full(n, float(step)), np.full(n, hv))
    return Avr(taps, np.full(n, v_set), np.full(n, pos), **options)


def test_inside_the_deadband_nothing_moves_however_long():
    regulator = avr()
    for v in (0.9901, 1.0, 1.0099):
        assert not regulator.act(np.array([v]), 3_600_000).any()
    assert regulator.pos.tolist() == [0]


def test_the_delay_has_to_pass_in_whole():
    regulator = avr()
    assert not regulator.act(np.array([1.03]), 59_999).any()
    assert regulator.act(np.array([1.03]), 1).tolist() == [True]


def test_coming_back_into_the_deadband_starts_the_delay_anew():
    regulator = avr()
    for v in (1.03, 1.0, 1.03):
        assert not regulator.act(np.array([v]), 50_000).any()
    assert regulator.act(np.array([1.03]), 10_000).any()


def test_after_a_move_the_delay_starts_anew():
    regulator = avr()
    assert regulator.act(np.array([1.03]), 60_000).any()
    assert not regulator.act(np.array([1.03]), 30_000).any()


@pytest.mark.parametrize(
    ("v", "hv", "pos"),
    [
        (1.030, True, 2),  # two steps of 1.5 % high: on the high-voltage side up lowers the voltage
        (0.970, True, -2),
        (1.030, False, -2),
        (0.970, False, 2),
        (1.011, True, 1),  # less than one step out, but outside: one
        (1.021, True, 1),
        (1.024, True, 2),
    ],
)
def test_it_moves_as_many_positions_as_bring_it_back(v, hv, pos):
    regulator = avr(hv=hv)
    regulator.act(np.array([v]), 60_000)
    assert regulator.pos.tolist() == [pos]


@pytest.mark.parametrize(("elapsed_ms", "pos"), [(60_000, 6), (30_000, 3), (9_000, 1)])
def test_the_motor_takes_its_time_for_each_position(elapsed_ms, pos):
    regulator = avr(delay_ms=9_000, motor_ms=10_000)
    regulator.act(np.array([1.2]), elapsed_ms)
    assert regulator.pos.tolist() == [pos]


def test_the_last_position_is_the_end():
    regulator = avr(pos=8)
    regulator.act(np.array([1.1]), 60_000)
    assert (regulator.pos.tolist(), regulator.operations.tolist()) == ([9], [1])
    assert not regulator.act(np.array([1.1]), 60_000).any()
    assert regulator.operations.tolist() == [1]


@pytest.mark.parametrize("v", [np.nan, 0.0, 0.05])
def test_a_dead_busbar_leaves_its_tap_and_its_delay_starts_when_it_is_back(v):
    regulator = avr()
    regulator.act(np.array([0.97]), 50_000)
    assert not regulator.act(np.array([v]), 3_600_000).any()
    assert not regulator.act(np.array([0.97]), 50_000).any()
    assert regulator.pos.tolist() == [0]


def test_a_deadband_narrower_than_a_step_would_hunt_and_is_widened():
    assert avr(step=2.5, deadband_pu=0.001).deadband_pu == pytest.approx(0.015)
    assert avr(step=1.25, deadband_pu=0.01).deadband_pu == pytest.approx(0.01)


@pytest.mark.parametrize("load_pu", np.linspace(-0.1, 0.1, 41))
def test_it_settles_and_does_not_hunt(load_pu):
    regulator = avr(deadband_pu=0.0)
    moves = []
    for _ in range(20):
        v = (1.0 - load_pu) / (1 + 0.015 * regulator.pos)
        moves.append(bool(regulator.act(v, 60_000).any()))
    assert not any(moves[5:])
    assert abs((1.0 - load_pu) / (1 + 0.015 * regulator.pos[0]) - 1.0) <= regulator.deadband_pu


def test_each_regulator_acts_for_itself():
    regulator = avr(4)
    regulator.v_set_pu[3] = 1.03
    moved = regulator.act(np.array([1.03, 1.0, np.nan, 1.03]), 60_000)
    assert moved.tolist() == [True, False, False, False]
    assert regulator.pos.tolist() == [2, 0, 0, 0]


def test_no_step_no_move():
    assert not avr(step=0.0).act(np.array([1.2]), 600_000).any()


def test_a_position_is_held_by_command_within_the_limits():
    regulator = avr(2)
    regulator.hold(1, 40)
    assert (regulator.pos.tolist(), regulator.operations.tolist()) == ([0, 9], [0, 9])
    regulator.hold(1, 5)
    assert (regulator.pos.tolist(), regulator.operations.tolist()) == ([0, 5], [0, 13])


def test_what_was_handed_over_stays_the_callers():
    v_set, pos = np.ones(1), np.zeros(1, int)
    regulator = Avr(TapData(np.array([-9]), np.array([9]), np.array([1.5]), np.array([True])), v_set, pos)
    regulator.act(np.array([1.03]), 60_000)
    regulator.v_set_pu[0] = 1.02
    assert (v_set.tolist(), pos.tolist()) == ([1.0], [0])


def test_continues_from_its_state():
    first, second = avr(), avr()
    first.act(np.array([1.03]), 50_000)
    second.set_state(first.get_state())
    for regulator in (first, second):
        assert regulator.act(np.array([1.03]), 10_000).any()
        assert regulator.pos.tolist() == [1]  # 10 s of motor: one position


def test_a_kept_state_does_not_move_on():
    regulator = avr()
    kept = regulator.get_state()
    regulator.hold(0, 3)
    assert kept["pos"].tolist() == [0]
    assert kept["operations"].tolist() == [0]


def test_settling_leaves_the_delay_as_it_was():
    regulator = avr(2)
    assert regulator.settle(np.array([1.03, 1.0]))
    assert (regulator.pos.tolist(), regulator.operations.tolist()) == ([2, 0], [0, 0])
    assert not regulator.settle(np.array([1.0, 1.0]))
    assert not regulator.act(np.array([1.03, 1.0]), 59_999).any(), "the delay still has to pass in whole"


def test_settling_moves_at_once_and_counts_no_operation():
    regulator = avr(2, step=1.5)
    assert regulator.settle(np.array([1.046, 1.005]))
    assert regulator.pos.tolist() == [3, 0], "three steps of 1.5 % at the high-voltage side"
    assert regulator.operations.tolist() == [0, 0]
    assert not regulator.settle(np.array([1.001, 1.005]))
    assert not regulator.act(np.array([1.03, 1.0]), 59_999).any(), "the delay of later moves has not run yet"
