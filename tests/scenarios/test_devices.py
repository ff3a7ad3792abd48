import numpy as np
import pytest

from controllers.responsibility import Responsibility
from scenarios.devices import der_simulator, device_map, device_table, drivers, scaled
from scenarios.load import load
from scenarios.places import places
from scenarios.series import profiles
from sims.distribution.devices import KINDS


def by_feeder(table, kind, column="p_rated_mw"):
    at = table.kind == kind
    return np.bincount(table.feeder[at], getattr(table, column)[at], len(table.feeder_names))


def test_shares_are_those_of_the_scenario(shared):
    table, load = shared.table, by_feeder(shared.table, "load")
    pv = by_feeder(table, "pv") / load
    assert pv == pytest.approx([2.5, 1.5, 2.0, 1.5], rel=1e-6)
    wind = by_feeder(table, "wind") / load
    assert wind == pytest.approx([0.2, 0.3, 0.2, 0.4], rel=1e-6)
    assert by_feeder(table, "storage") / by_feeder(table, "pv") == pytest.approx(0.15, rel=0.05)
    assert by_feeder(table, "ev", "vehicles") == pytest.approx(2 * load, rel=0.15)


def test_peaks_spread_around_the_grids_own_and_feeders_differ(shared):
    peaks = by_feeder(shared.table, "load")
    assert len(set(np.round(peaks, 6))) == 4
    assert np.ptp(peaks) / peaks.mean() < 0.5


def test_the_mix_of_profiles_peaks_where_it_should(shared):
    columns, scale = scaled(shared.series, ["mv_rural", "mv_urban"], 0.85)
    assert scale * shared.series.values[:, columns].mean(axis=1).max() == pytest.approx(0.85)


def test_devices_are_placed_alike_whatever_the_pairing_but_carry_its_laws(shared):
    def of(architecture, stage, **more):
        return der_simulator(
            shared.scenario, shared.table, shared.series, Responsibility(architecture, stage), shared.cell_of_dso,
            step_ms=60_000, stays=shared.stays, **more,
        )

    first, last = of("local", 1), of("local", 4)
    assert first.table is last.table
    assert (first.curve_qu >= -1).all()
    assert {c.name for c in of("local", 2).curves} - {c.name for c in first.curves}, "stage 2 brings P(U) or Q(U)"
    assert of("local", 1, equipped=False).curves == []


def test_each_dso_finds_its_own_devices_at_their_nodes(shared):
    sim = der_simulator(
        shared.scenario, shared.table, shared.series, Responsibility("local", 2), shared.cell_of_dso, step_ms=60_000,
        stays=shared.stays,
    )
    seen = []
    for dso in shared.places.dsos:
        found = device_map(shared.table, sim, shared.places, dso)
        own = shared.places.of_dso(dso)
        nodes = np.concatenate([[0], np.cumsum([f.plan.grid.n_nodes for f in own])])
        for i, node, feeder, kind in zip(found.index, found.node, found.feeder, found.kind, strict=True):
            assert shared.table.feeder[i] == own[feeder].number
            assert node - nodes[feeder] == shared.table.node[i]
            assert KINDS[kind] == shared.table.kind[i]
        seen += found.index.tolist()
    assert sorted(seen) == list(range(len(shared.table)))


def test_what_stands_at_low_voltage_follows_4105_and_the_rest_4110(small, write):
    scenario = load(write(small))
    spots, series = places(scenario), profiles(scenario)
    table = device_table(scenario, spots, series)
    volt = [f.plan.grid.vn_kv for f in spots.feeders]
    kv = np.array([volt[f][n] for f, n in zip(table.feeder, table.node, strict=True)])
    sources = np.isin(table.kind, ("pv", "wind"))
    assert (table.level[kv <= 1.0] == "lv").all()
    assert ((kv <= 1.0) & sources).any()
    big = sources & (kv > 1.0) & (table.s_rated_mva >= 0.135)
    assert (table.level[big] == "mv").all()
    sim = der_simulator(
        scenario, table, series, Responsibility("local", 1), {"north": 0, "south": 1}, step_ms=60_000,
        stays=drivers(scenario, table, series),
    )
    names = np.array([sim.curves[k].name if k >= 0 else "" for k in sim.curve_pf])
    assert set(names[sources & (table.level == "lv")]) == {"pf_4105"}
    assert set(names[big]) == {"pf_4110"}
