import numpy as np
import pytest

from sims.distribution.switching import SwitchState, normal_lines

TREE = {0: (1, 2), 1: (2, 3), 9: (3, 8), 5: (7, 8), 6: (8, 9), 7: (9, 10), 8: (10, 11), 2: (3, 4), 3: (4, 5),
        4: (5, 6), 10: (12, 13), 11: (13, 14)}
"""CIGRE MV as normally switched: line -> its buses; 12, 13 and 14 are the open ties 6-7, 4-11 and 8-14."""


@pytest.fixture
def state(grids):
    return SwitchState(grids["cigre_mv"][1])


def live_buses(state):
    grid = state.variant()
    return {int(b) for b, live in zip(grid.node_bus, grid.live, strict=True) if live}


def move(state, **lines):
    """Close (True) or open (False) lines, written l3=False."""
    return state.move(np.array([int(k[1:]) for k in lines]), np.array(list(lines.values())))


def test_ties_are_open_in_the_normal_state_and_all_buses_are_fed(state, grids):
    grid = grids["cigre_mv"][1]
    rows = np.flatnonzero(grid.branch_kind == "line")
    assert sorted(grid.branch_element[rows[~normal_lines(grid)[rows]]]) == [12, 13, 14]
    assert state.key == ()
    assert state.variant() is grid
    assert live_buses(state) == set(range(15))


def test_an_open_line_darkens_what_hangs_on_it(state):
    assert move(state, l6=False) == 1
    assert live_buses(state) == set(range(15)) - {9, 10, 11}


def test_only_what_changes_is_an_operation(state):
    assert move(state, l6=True, l13=False) == 0
    assert move(state, l6=False, l13=True) == 2
    assert move(state, l6=False) == 0


def test_a_tie_closed_behind_the_open_line_restores(state):
    move(state, l6=False, l13=True)
    assert live_buses(state) == set(range(15))
    grid = state.variant()
    tie = grid.branch("line", 13)
    assert grid.parent_branch[grid.bus_node[11]] == tie, "11 hangs on 4 now"


def test_back_in_the_normal_state_the_grid_is_the_first_one_again(state, grids):
    move(state, l6=False, l13=True)
    move(state, l6=True, l13=False)
    assert state.variant() is grids["cigre_mv"][1]


def test_two_feeders_in_one_state_share_their_variant(grids):
    one, two = SwitchState(grids["cigre_mv"][1]), SwitchState(grids["cigre_mv"][1])
    move(one, l6=False, l13=True)
    move(two, l13=True)
    move(two, l6=False)
    assert one.variant() is two.variant()


@pytest.mark.parametrize(
    ("faulted", "head", "seen", "dark"),
    [
        (0, 0, [0], {2, 3, 4, 5, 6, 7, 8, 9, 10, 11}),
        (6, 0, [6, 9, 1, 0], {2, 3, 4, 5, 6, 7, 8, 9, 10, 11}),
        (3, 0, [3, 2, 1, 0], {2, 3, 4, 5, 6, 7, 8, 9, 10, 11}),
        (11, 10, [11, 10], {13, 14}),
    ],
)
def test_the_breaker_at_the_head_trips_and_the_indicators_on_the_way_saw_it(state, faulted, head, seen, dark):
    state.faulted.add(faulted)
    ((tripped, passed),) = state.trip()
    assert (tripped, passed.tolist()) == (head, seen)
    assert live_buses(state) == set(range(15)) - dark


def test_a_dead_fault_trips_nothing_more(state):
    state.faulted.add(6)
    assert len(state.trip()) == 1
    assert state.trip() == []


def test_a_fault_cut_out_on_both_sides_lets_the_rest_come_back(state):
    state.faulted.add(6)
    state.trip()
    move(state, l6=False, l0=True, l13=True)
    assert state.trip() == []
    assert live_buses(state) == set(range(15))


def test_closing_onto_a_fault_trips_again(state):
    state.faulted.add(6)
    state.trip()
    move(state, l0=True)
    ((head, seen),) = state.trip()
    assert (head, seen.tolist()) == (0, [6, 9, 1, 0])
    assert not state.closed[state.row[0]]


def test_a_tie_closed_onto_a_fault_trips_the_breaker_of_the_other_side(state):
    state.faulted.add(4)  # 5-6, behind tie 14 and line 9 once 0 is open
    state.trip()
    move(state, l14=True)  # 14-8 feeds the dark feeder with the fault still on it
    ((head, seen),) = state.trip()
    assert head == 10
    assert seen.tolist() == [4, 3, 2, 9, 14, 11, 10]


def test_two_faults_in_two_feeders_trip_both_breakers(state):
    state.faulted |= {3, 11}
    assert [head for head, _ in state.trip()] == [0, 10]
    assert live_buses(state) == {0, 1, 12}


def test_a_line_that_is_not_there_is_left_alone(state):
    assert move(state, l99=False) == 0
    assert state.key == ()


def test_continues_from_its_state(state, grids):
    state.faulted.add(6)
    state.trip()
    again = SwitchState(grids["cigre_mv"][1])
    again.set_state(state.get_state())
    assert live_buses(again) == live_buses(state)
    move(again, l0=True)
    assert [head for head, _ in again.trip()] == [0]
    assert not state.closed[state.row[0]], "what one does is not the other's"
