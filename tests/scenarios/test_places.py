from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scenarios.nets import net
from scenarios.places import CUSTOMERS_PER_MW, feeder_place, stations
from sims.core.errors import GridError


def test_feeders_interfaces_and_dsos_keep_the_files_order(shared):
    places = shared.places
    assert places.dsos == ("dso_1", "dso_2", "dso_3")
    assert [f.name for f in places.feeders] == ["dso_1.f01", "dso_1.f02", "dso_2.f01", "dso_3.f01"]
    assert [f.number for f in places.feeders] == [0, 1, 2, 3]
    assert [(i.name, i.bus, i.cell) for i in places.interfaces] == [
        ("dso_1.i1", 4, 1), ("dso_2.i1", 15, 2), ("dso_3.i1", 27, 3)
    ]
    assert [f.name for f in places.of_dso("dso_1")] == ["dso_1.f01", "dso_1.f02"]
    assert places.feeder("dso_2.f01").entry.interface == 1


def test_feeders_of_one_grid_share_their_plan(shared):
    assert len({id(f.plan) for f in shared.places.feeders}) == 1


def test_loads_and_customers_are_the_grids_own(shared):
    plan, table = shared.places.feeders[0].plan, net("cigre_mv").load
    assert plan.load_mw.sum() == pytest.approx(float(table.p_mw.sum()))
    assert plan.customers.sum() == pytest.approx(CUSTOMERS_PER_MW * plan.load_mw.sum(), abs=plan.customers.size)
    assert (plan.customers[plan.load_mw == 0] == 0).all()


def test_substations_stand_at_medium_voltage_below_the_busbars(shared):
    place = shared.places.feeders[0]
    grid = place.plan.grid
    without = [int(b) for b, g in zip(grid.node_bus, place.gateways, strict=True) if not g]
    assert without == [0, 1, 12]
    names = [s for s, primary in stations([place]) if primary == place.name]
    assert len(names) == len(set(names)) == 12
    assert all(g.startswith("dso_1.f01.s") for g in names)


def test_every_area_has_an_agent_and_a_head_inside_it(shared):
    for place in shared.places.feeders:
        areas = place.plan.areas
        assert place.agents == tuple(f"{place.name}.a{k}" for k in range(len(areas.head)))
        assert areas.of_node[areas.head].tolist() == list(range(len(areas.head)))


def test_addresses_are_unique(shared):
    names = [n for f in shared.places.feeders for n in (f.name, *f.agents, *dict.fromkeys(g for g in f.gateways if g))]
    assert len(names) == len(set(names))
    assert np.all([n.startswith("dso_") for n in names])


def test_a_feeder_of_another_voltage_is_refused_unless_that_is_declared(shared):
    entry, interface = shared.places.feeders[0].entry, shared.places.interfaces[0]
    low = replace(interface, trafo=interface.trafo.model_copy(update={"vn_lv_kv": 10.0}))
    said = (r"net cigre_mv: ext_grid 0 at bus 0 has 110 kV, but interface dso_1\.i1 gives it 10 kV; give its trafo "
            r"vn_lv_kv: 110, or the interface coupling: per_unit$")
    with pytest.raises(GridError, match=said):
        feeder_place(entry, low, Path())
    assert feeder_place(entry, replace(low, per_unit=True), Path()).name == "dso_1.f01"
