import itertools

import pytest

from scenarios import seats
from scenarios.assemble import responsibility_of
from scenarios.beliefs import beliefs
from scenarios.load import load

PAIRINGS = tuple(itertools.product(("local", "centralized", "distributed"), (1, 2, 3, 4)))
OWN = (
    "class Mine:\n    urgent = frozenset()\n\n    def __init__(self, site):\n        self.site = site\n\n"
    "    def decide(self, now_s, inbox):\n        return []\n"
)


@pytest.fixture
def seated(shared):
    def make(architecture, stage, scenario=None):
        scenario = scenario or shared.scenario
        told = beliefs(scenario, shared.places, shared.table, shared.case, shared.plan)
        table = responsibility_of(shared, architecture, stage)
        wishes = {i.name: 1.0 for i in shared.places.interfaces}
        return seats.seats(scenario, shared.places, told, table, wishes)

    return make


def duties_at(found, actor):
    return {type(s.controller).__name__ for s in found if s.site.actor == actor}


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_only_those_sit_who_may_decide(seated, pairing):
    architecture = pairing[0]
    found = seated(*pairing)
    deciders = {s.site.actor for s in found} - {"tso", "crew", "operator"}
    assert deciders == {"local": set(), "centralized": {"dms"}, "distributed": {"agent", "dms"}}[architecture]
    if architecture == "distributed":
        assert duties_at(found, "dms") == {"Supervise"}, "who reads what agents report, and holds no duty"
        assert all(not s.site.duties for s in found if s.site.actor == "dms")
    assert all(seat.site.duties is not None for seat in found)


def test_each_stage_adds_and_none_takes_away(seated):
    for architecture, actor in (("centralized", "dms"), ("distributed", "agent")):
        sets = [duties_at(seated(architecture, stage), actor) for stage in (1, 2, 3, 4)]
        assert all(a < b for a, b in itertools.pairwise(sets)), architecture


def test_there_is_a_controller_for_every_duty_held(seated):
    """What the table of duties hands over is taken up: nobody holds a duty on paper only."""
    for architecture in ("centralized", "distributed"):
        own = [r for r in seats.TABLE if architecture in r.architectures and r.at not in ("tso", "crew", "operator")]
        rows = {(r.duty, r.stages[0]) for r in own}
        for duty in ("manage_congestion", "control_voltage", "restore_supply"):
            assert (duty, 2) in rows
        assert ("support_tso_voltage", 3) in rows
        assert {("balance_cell", 4), ("contain_frequency", 4)} <= rows


def test_whoever_balances_knows_and_may_call_the_stations_of_its_own_cell_only(seated, shared):
    numbers = {name: int(shared.case.bus_cell[bus]) + 1
               for name, bus in zip(shared.case.machines.names, shared.case.machines.bus, strict=True)}
    for architecture, does in (("centralized", "BalanceCell"), ("distributed", "CellAgents")):
        table = responsibility_of(shared, architecture, 4)
        before = responsibility_of(shared, architecture, 3)
        for seat in seated(architecture, 4):
            if type(seat.controller).__name__ != does:
                continue
            name, cell = seat.site.name, seat.site.grid.interfaces[0].cell
            if architecture == "distributed":
                cell = next(i.cell for i in seat.site.grid.interfaces if i.name == name)
            mine = {f"gen.{g}" for g, number in numbers.items() if number == cell}
            assert {g.address for g in seat.site.grid.generators} == mine
            for g in numbers:
                rule = table.authorize(name, "balance_cell", f"gen.{g}", 0)
                assert (rule is None) == (f"gen.{g}" in mine)
                assert "held by tso" in before.authorize(name, "balance_cell", f"gen.{g}", 0)
                assert table.authorize(name, "manage_congestion", f"gen.{g}", 0), "for balancing alone"
        area = next((s for s in table.roles if s.endswith(".a0")), None)
        assert table.authorize(area, "balance_cell", "gen.G1", 0), "an area has no station"


def test_the_tso_lets_go_of_a_cell_at_stage_4(seated):
    def held(stage):
        return next(s for s in seated("local", stage) if "cells_held_by_dso" in s.site.settings).site.settings

    assert held(3)["cells_held_by_dso"] == []
    assert held(4)["cells_held_by_dso"] == [1, 2, 3]


def test_each_site_sees_its_own_part_and_knows_its_neighbours(seated, shared):
    for seat in seated("centralized", 4):
        if seat.site.actor == "dms":
            assert {f.name.split(".")[0] for f in seat.site.grid.feeders} == {seat.site.name.split(".")[0]}
    places = shared.places
    for seat in seated("distributed", 2):
        if seat.site.actor == "agent" and seat.site.grid.area > 0:
            place = places.feeder(seat.site.name.rsplit(".", 1)[0])
            near = place.plan.areas.neighbours[seat.site.grid.area]
            assert seat.site.neighbours == tuple(place.agents[k] for k in near)


def test_whoever_switches_and_the_crew_may_write_to_each_other(seated):
    def near(architecture):
        return {seat.site.name: seat.site.neighbours for seat in seated(architecture, 2)}

    central, agents = near("centralized"), near("distributed")
    assert "dso_1.crew" in central["dso_1.dms"]
    assert central["dso_1.crew"] == ("dso_1.dms",)
    for pairing in (central, agents, near("local")):
        told = [to for to in pairing["dso_1.operator"] if to != "dso_1.crew"]
        assert tuple(told) == pairing["dso_1.crew"], "an operator tells the crew and whom the crew tells"
    people = ("dso_1.operator", "dso_1.dms")
    leading = [name for name, others in agents.items() if "dso_1.crew" in others and name not in people]
    assert leading
    assert {name.rpartition(".")[2] for name in leading} == {"a0"}
    assert set(agents["dso_1.crew"]) == set(leading)
    assert near("local")["dso_1.crew"] == ()


def test_periods_and_settings_are_the_scenarios(seated, small_path):
    scenario = load(small_path, None, {"control.balance_cell.t_i": "200 s", "control.control_voltage.cycle": "2 min"})
    found = {type(s.controller).__name__: s for s in seated("centralized", 4, scenario) if s.site.name == "dso_1.dms"}
    assert found["ControlVoltage"].site.period_ms == 120_000
    assert found["BalanceCell"].site.settings["t_i_ms"] == 200_000
    assert found["BalanceCell"].site.settings["t_i_s"] == 200.0


def test_the_controllers_of_one_control_room_share_a_desk_and_no_other(seated):
    desks = {}
    for seat in seated("centralized", 3):
        if seat.site.actor == "dms":
            desks.setdefault(seat.site.name, set()).add(id(seat.site.settings["shared"]))
    assert all(len(own) == 1 for own in desks.values())
    assert len(set.union(*desks.values())) == 3


def test_every_seat_has_its_own_random_numbers_the_same_in_every_run(seated):
    def drawn():
        found = seated("distributed", 4)
        return [(s.site.name, type(s.controller).__name__, float(s.site.rng.random())) for s in found]

    first = drawn()
    assert drawn() == first
    assert len({x for *_, x in first}) == len(first)


def test_ones_own_takes_the_place_of_ours_for_its_duties_only(seated, small_path, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    path = tmp_path / "s.yaml"
    entry = "controllers: [{use: ./mine.py:Mine, at: dms, duties: [control_voltage], settings: {gain: 2.5}}]\n"
    path.write_text(small_path.read_text() + entry)
    scenario = load(path)
    found = [s for s in seated("centralized", 2, scenario) if s.site.name == "dso_1.dms"]
    names = [type(s.controller).__name__ for s in found]
    assert names.count("Mine") == 1
    assert "ControlVoltage" not in names
    assert "ManageCongestion" in names
    assert found[names.index("Mine")].site.settings["gain"] == 2.5
    assert "Mine" not in duties_at(seated("distributed", 2, scenario), "agent"), "there is no control room there"
