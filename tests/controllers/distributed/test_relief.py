import numpy as np
import pytest

from controllers.distributed.congestion import ConsensusCurtailment
from controllers.distributed.relief import RelieveImport

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
