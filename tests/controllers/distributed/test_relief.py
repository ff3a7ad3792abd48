import numpy as np
import pytest

from controllers.distributed import area
from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.relief import RelieveImport, brought

SCALE = 0.42


def build(town, world, scale=SCALE, **kwargs):
    agents = town([ConsensusCurtailment, RelieveImport], physics=world, **kwargs)
    for c in agents.of(RelieveImport):
        c.trafo_mva = [scale * mva for mva in c.trafo_mva]
    return agents


def loading(world):
    return float(world.primary(0).values["loading_percent"][0])


def test_storage_takes_the_import_off_the_transformer(town, physics):
    world = physics(load_mw=2.0, rating_scale=SCALE)
    assert loading(world) > 115
    agents = build(town, world)
    agents.run(1_800_000, world.minute())
    assert 94 < loading(world) <= 100
    storage = world.feeder.devices.kind == "storage"
    assert world.p_set[storage].sum() == pytest.approx(2.2, abs=0.5)
    assert not np.isfinite(world.p_max).all() or np.allclose(world.p_max, world.feeder.devices.p_rated_mw)
    assert not agents.refused
    assert {m.topic for _, m in agents.commands} == {"command/manage_congestion"}


def test_an_export_is_not_answered(town, physics):
    world = physics(load_mw=0.0, load_mvar=0.0, pv_mw=2.0, rating_scale=0.3)
    assert loading(world) > 110
    agents = build(town, world, 0.3)
    agents.run(600_000, world.minute())
    assert not [m for _, m in agents.commands if "p_set_mw" in m.values]


def test_given_back_when_the_import_is_over(town, physics):
    world = physics(load_mw=2.0, rating_scale=SCALE)
    agents = build(town, world)
    agents.run(1_800_000, world.minute())
    world.load_mw = 0.5
    agents.run(4 * 3_600_000, world.minute())
    assert not world.p_set.any()
    before = len(agents.commands)
    agents.run(5 * 3_600_000, world.minute())
    assert len(agents.commands) == before


def test_no_more_is_asked_than_there_is(town, physics):
    world = physics(load_mw=4.0, rating_scale=0.3)
    agents = build(town, world, 0.3)
    agents.run(1_800_000, world.minute())
    lead = next(c for c in agents.of(RelieveImport) if c.area.leads)
    assert lead.trees[0].amount <= lead.trees[0].total[0] + 1e-9
    ev = world.feeder.devices.kind == "ev"
    assert world.p_set[ev].max() < 0, "vehicles are not asked to stop"


def test_vehicles_are_left_a_part_of_what_their_substation_meters(town, physics):
    world = physics(load_mw=4.0, rating_scale=0.3)
    agents = build(town, world, 0.3)
    measure = world.minute()

    def metered(now_ms):
        mail = measure(now_ms)
        for m in mail:
            if m.topic == "secondary":  # 0.4 MW are demanded there, whatever the specimen's load says
                m.values.update(p_mw=-0.4, der_mw=0.0)
        return mail

    agents.run(1_800_000, metered)
    here = world.feeder.devices
    ev = here.kind == "ev"
    # By nameplate 0.15 of the cluster's rating and 0.8 of the load are usual; 4.2 of 11 kW are left.
    part = 0.15 * here.p_rated_mw[ev] / (0.15 * here.p_rated_mw[ev] + 0.8 * world.feeder.load_mw[here.node[ev]])
    assert world.p_set[ev] == pytest.approx(-4.2 / 11 * 0.4 * part)


LINE_MVA = 5.2


def percent(world, line):
    return 100 * abs(world.line_s[line][1]) / LINE_MVA


@pytest.fixture
def weak(monkeypatch):
    """Let one line of the specimen bear 5.2 MVA only."""

    def at(weak_line):
        mva = lambda _grid, line: LINE_MVA if line == weak_line else 100.0  # noqa: E731
        monkeypatch.setattr(area, "line_mva", mva)

    return at


def discharged(world):
    here = world.feeder.devices
    return np.bincount(here.node, np.where(here.kind == "storage", world.p_set, 0.0), 8)


def test_what_stands_behind_an_overloaded_line_takes_the_import_off_it(town, physics, weak):
    weak(0)
    world = physics(load_mw=1.9)
    assert percent(world, 0) > 110
    agents = town([ConsensusCurtailment, RelieveImport], physics=world)
    agents.run(1_800_000, world.minute())
    assert 94 < percent(world, 0) <= 100
    given = discharged(world)
    # Nodes 2 to 4 hang from line 0. Each area's share is the others' to within a step of a quarter.
    assert given[5:].sum() == 0
    assert given[2:5].sum() == pytest.approx(0.8, abs=0.25)
    assert abs(given[2:4].sum() / 1.0 - given[4] / 0.5) <= 0.25 + 1e-6
    assert not agents.refused
    world.load_mw = 0.8
    agents.run(4 * 3_600_000, world.minute())
    assert not world.p_set.any()


def test_only_the_area_behind_an_overloaded_line_is_asked(town, physics, weak):
    weak(2)  # between areas 1 and 2
    world = physics(load_mw=np.repeat([0.5, 0.5, 5.4, 0.5, 0.5, 0.5], 4), load_mvar=0.0)  # 5.4 MW at node 4
    assert percent(world, 2) > 103
    agents = town([ConsensusCurtailment, RelieveImport], physics=world)
    agents.run(1_800_000, world.minute())
    assert 94 < percent(world, 2) <= 100
    given = discharged(world)
    assert given[4] > 0.2
    assert given[[2, 3, 5, 6, 7]].sum() == 0


def test_a_line_that_exports_is_left_to_curtailment(town, physics, weak):
    weak(0)
    world = physics(load_mw=0.0, load_mvar=0.0, pv_mw=2.0)
    assert percent(world, 0) > 112
    agents = town([RelieveImport], physics=world)
    agents.run(600_000, world.minute())
    assert not agents.commands


def test_line_and_transformer_are_relieved_by_the_larger_amount_not_by_both(town, physics, weak):
    weak(0)
    world = physics(load_mw=1.9, rating_scale=SCALE)
    alone = town([ConsensusCurtailment, RelieveImport], physics=world)
    alone.run(1_800_000, world.minute())
    by_line = discharged(world)[2:5].sum()
    world = physics(load_mw=1.9, rating_scale=SCALE)
    agents = build(town, world)
    agents.run(1_800_000, world.minute())
    assert 94 < loading(world) <= 100
    assert 92 < percent(world, 0) <= 100
    assert discharged(world)[2:5].sum() == pytest.approx(by_line, abs=0.3)


def test_the_fullest_line_from_above_counts(town):
    agent = next(c for c in town([RelieveImport]).of(RelieveImport) if c.area.number == 2)
    rating = agent.area.rating_mva(2)
    # 3 + j4 MVA come in over the line from area 1; what goes on to area 3, or back, does not count.
    values = {"boundary_line": [2, 6], "boundary_p_mw": [-3.0, -9.0], "boundary_q_mvar": [-4.0, 0.0],
              "neighbour_area": [1, 3]}
    assert brought(agent.area, values) == pytest.approx((100 * 5.0 / rating, rating))
    assert brought(agent.area, {**values, "boundary_p_mw": [3.0, -9.0]}) == pytest.approx((0.0, rating))
