import numpy as np
import pytest

from controllers.distributed.outage import below, deepest, room_mva, ties_of, way_out
from controllers.distributed.restoration import RestoreSupply
from controllers.specimen import TIE_LINE, small_grid
from sims.core.message import Message


def test_what_lies_below_a_line():
    grid = small_grid()
    assert below(grid, 1) == {3, 4}
    assert below(grid, 3) == {5, 6, 7}
    assert deepest(grid, [0, 2, 1]) == 2
    assert deepest(grid, []) is None
    assert ties_of(grid, {3, 4}) == [(TIE_LINE, 4, 7)]
    assert ties_of(grid, {5}) == []


def test_room_on_the_way_is_that_of_the_weakest_branch():
    grid = small_grid()
    rows, outside = way_out(grid, 7, {5, 6, 7})
    assert outside == 1
    assert [int(grid.branch_element[r]) for r in rows] == [5, 4, 3]
    rating = np.sqrt(3) * 20 * 0.421
    # line 3 carries all three loads
    assert room_mva(grid, rows, {5: 1.0, 6: 2.0, 7: 0.5}, 100.0) == pytest.approx(rating - 3.5, rel=1e-6)
    assert room_mva(grid, rows, {5: 1.0, 6: 2.0, 7: 0.5}, 50.0) == pytest.approx(rating / 2 - 3.5, rel=1e-6)


def strike(world, line, at_ms):
    def minute(now_ms):
        mail = []
        if now_ms == at_ms:
            world.fault_line = line
            mail += world.protect(now_ms)
        world.solve()
        mail += [world.own(a, now_ms) for a in range(4) if world.v[world.feeder.agent_node[a]] > 0]
        mail.append(world.primary(now_ms))
        if now_ms % 900_000 == 0:
            mail += [world.secondary(n, now_ms) for n in range(2, 8) if world.v[n] > 0]
        return mail
    return minute


ORDERS = {
    "the trip last": lambda m: 400 if m.topic == "fault" else 0,
    "the trip long after": lambda m: 20_000 if m.topic == "fault" else 0,
    "the nearest indicator first": lambda m: 0 if m.topic == "fault" else 2_000 * int(m.values["line"][0]),
    "the farthest indicator first": lambda m: 0 if m.topic == "fault" else 5_000 - 2_000 * int(m.values["line"][0]),
    "all but the trip and the head's indicator late": lambda m: (
        0 if m.topic == "fault" or m.values["line"][0] == 0 else 3_000
    ),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("line", [1, 2])
def test_the_order_in_which_trip_and_indicators_arrive_does_not_matter(town, physics, line, order):
    world = physics()
    agents = town([RestoreSupply], physics=world, stage=2)
    agents.late_ms = lambda m: ORDERS[order](m) if m.topic in ("fault", "fault_indicator") else 0
    agents.run(15 * 60_000, strike(world, line, 300_000))
    assert not world.closed[line]
    assert all(world.closed[n] for n in range(line)), "nothing stays open that was opened before all was known"
    assert world.closed[TIE_LINE]
    assert world.dark == []
    assert world.trips == 1
    assert agents.reports[-1][1].values["line"] == line


def test_an_indicator_of_an_old_fault_does_not_count_at_the_next(town, physics):
    world = physics()
    lead = next(c for c in town([RestoreSupply], physics=world, stage=2).of(RestoreSupply) if c.area.leads)
    indicator = Message("dso_1.f03.s3", lead.site.name, "fault_indicator", {"line": 2, "passed": True})
    fault = Message("dso_1.f03", lead.site.name, "fault", {"tripped_line": 0})
    lead.decide(300.0, [indicator])
    assert lead.case is None
    lead.decide(3600.0, [fault])
    assert lead.case.passed == set()


@pytest.mark.parametrize(("line", "head", "dark_after"), [(1, 0, []), (2, 0, []), (0, 0, []), (4, 3, [])])
def test_fault_is_isolated_and_the_rest_supplied_again(town, physics, line, head, dark_after):
    world = physics()
    agents = town([RestoreSupply], physics=world, stage=2)
    agents.run(15 * 60_000, strike(world, line, 300_000))
    assert world.dark == dark_after
    assert not world.closed[line]
    assert world.closed[TIE_LINE]
    assert world.trips == 1
    opened = next(t for t, i, c in world.switch_log if i == line and not c)
    closings = [t for t, i, c in world.switch_log if c]
    assert min(closings) > opened, "the faulted line is open before anything closes"
    if line != head:
        assert world.closed[head]
    assert not agents.refused
    report = agents.reports[-1][1].values
    assert report["step"] == "restored"
    assert report["took_s"] <= 60


def test_a_tie_without_capacity_stays_open(town, physics):
    world = physics(load_mw=3.0)
    agents = town([RestoreSupply], physics=world, stage=2)
    agents.run(15 * 60_000, strike(world, 1, 300_000))
    # 9 MW on the other branch leave 5 of 14.6 MVA, 6 are missing
    assert not world.closed[TIE_LINE]
    assert world.dark == [3, 4]
    assert agents.reports[-1][1].values["step"] == "given up"


def test_lost_indicator_ends_with_the_tie_open_and_the_sound_side_supplied(town, physics):
    world = physics()
    agents = town([RestoreSupply], physics=world, stage=2)
    real = world.protect

    def protect(now_ms):
        return [m for m in real(now_ms) if not (m.topic == "fault_indicator" and m.values["line"][0] == 2)]

    world.protect = protect
    agents.run(20 * 60_000, strike(world, 2, 300_000))
    assert world.trips == 2
    assert not world.closed[TIE_LINE]
    assert world.closed[3]
    assert world.dark == [3, 4]


def test_no_indicator_at_all_is_left_to_the_crew(town, physics):
    world = physics()
    agents = town([RestoreSupply], physics=world, stage=2)
    real = world.protect
    world.protect = lambda now_ms: [m for m in real(now_ms) if m.topic == "fault"]
    agents.run(10 * 60_000, strike(world, 1, 300_000))
    assert not agents.commands
    assert agents.reports[-1][1].values["step"] == "given up"


def test_an_agent_without_an_answer_does_not_block(town, physics):
    world = physics()
    agents = town([RestoreSupply], physics=world, stage=2)
    agents.lost = lambda m: m.sender.endswith(".a2")
    agents.run(15 * 60_000, strike(world, 2, 300_000))
    assert not world.closed[2]
    assert world.closed[0]
    assert world.dark == [4], "what is missing there nobody said: the tie stays open"


def test_at_stage_one_every_switching_is_refused(town, physics):
    world = physics()
    agents = town([RestoreSupply], physics=world, stage=1)
    agents.run(10 * 60_000, strike(world, 1, 300_000))
    assert not world.switch_log
    assert agents.refused
    assert all(a.duty == "restore_supply" and "crew" in a.refused for a in agents.refused)
