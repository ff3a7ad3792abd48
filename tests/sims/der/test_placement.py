import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der.placement import FeederSite, Listed, Shares, place

NODES = np.arange(1, 21)
LOAD = np.linspace(0.001, 0.05, 20)
SHARES = Shares(
    pv_mw_per_mw_load=1.5, storage_mw_per_mw_pv=0.4, ev_per_mw_load=100, heatpump_mw_per_mw_load=0.3,
    chp_mw_per_mw_load=0.1
)


def sites(count=3):
    return [FeederSite(f"f{k}", k, k % 2, NODES, LOAD) for k in range(count)]


def placed(count=3, shares=SHARES, seed=7, **more):
    return place(
        sites(count), shares, seed=seed, feeder_names=[f"f{k}" for k in range(count)], dso_names=("d0", "d1"), **more
    )


def total(table, kind, feeder=0):
    return table.p_rated_mw[(table.kind == kind) & (table.feeder == feeder)].sum()


def test_shares_are_met_exactly_on_every_feeder():
    table = placed()
    for feeder in range(3):
        assert total(table, "load", feeder) == pytest.approx(LOAD.sum())
        assert total(table, "pv", feeder) == pytest.approx(1.5 * LOAD.sum())
        assert total(table, "storage", feeder) == pytest.approx(0.6 * LOAD.sum())
        assert table.vehicles[table.feeder == feeder].sum() == round(100 * LOAD.sum())


def test_storage_stands_behind_pv():
    table = placed()
    pv = set(zip(table.feeder[table.kind == "pv"], table.node[table.kind == "pv"], strict=True))
    own = table.kind == "storage"
    assert set(zip(table.feeder[own], table.node[own], strict=True)) <= pv


def columns_of(table, feeder):
    own = table.feeder == feeder
    return sorted(zip(table.name[own], table.p_rated_mw[own], table.profile[own], strict=True))


def test_same_seed_same_devices_whatever_else_there_is():
    assert columns_of(placed(3), 1) == columns_of(placed(2), 1)
    assert columns_of(placed(3), 1) != columns_of(placed(3, seed=8), 1)
    no_pv = placed(3, Shares(ev_per_mw_load=100))
    with_pv = placed(3, Shares(ev_per_mw_load=100, pv_mw_per_mw_load=1.0))
    ev = [columns_of(t, 1) for t in (no_pv, with_pv)]
    assert [r for r in ev[0] if "/ev/" in r[0]] == [r for r in ev[1] if "/ev/" in r[0]]


def test_counts_lists_and_own_shares_by_feeder():
    shares = {
        "f0": Shares(wind_mw_per_mw_load=2.0, counts={"wind": 2}), "f1": Shares(),
        "f2": Shares(pv_mw_per_mw_load=1.0, counts={"pv": 30}),
    }
    one = Listed("park", "pv", "f1", 5, 0.5, {"profile": "PV1", "level": "mv"})
    table = placed(3, shares, listed=[one])
    assert ((table.kind == "wind") & (table.feeder == 0)).sum() == 2
    assert total(table, "wind") == pytest.approx(2 * LOAD.sum())
    assert ((table.kind == "pv") & (table.feeder == 2)).sum() == 30
    park = int(np.flatnonzero(table.name == "park")[0])
    assert (table.node[park], table.level[park], table.p_rated_mw[park]) == (5, "mv", 0.5)


def test_big_nodes_get_grid_profiles_and_given_power_factor():
    site = FeederSite("m", 0, 0, np.array([1, 2]), np.array([0.01, 0.4]), np.array([0.0, 0.3]), level="mv")
    table = place([site], Shares(), seed=1, feeder_names=["m"], dso_names=["d"])
    assert table.profile[1].startswith("lv_")
    assert not table.profile[0].startswith("lv_")
    assert table.cos_phi.tolist() == pytest.approx([1.0, 0.8])
    assert not table.remote.any()


def test_what_is_refused():
    with pytest.raises(ScenarioError, match="no feeder 'f9'"):
        placed(listed=[Listed("x", "pv", "f9", 1, 0.1)])
    with pytest.raises(ScenarioError, match="kind 'solar'"):
        placed(listed=[Listed("x", "solar", "f1", 1, 0.1)])
    with pytest.raises(ScenarioError, match="no column 'profil'"):
        placed(listed=[Listed("x", "pv", "f1", 1, 0.1, {"profil": "PV1"})])
    with pytest.raises(ScenarioError, match="shares must be 0 or more"):
        placed(shares=Shares(pv_mw_per_mw_load=-1.0))
    with pytest.raises(ScenarioError, match="no shares for feeder 'f1'"):
        placed(shares={"f0": Shares()})


def test_an_empty_feeder_is_no_device():
    site = FeederSite("e", 0, 0, np.array([1]), np.array([0.0]))
    assert len(place([site], SHARES, seed=1, feeder_names=["e"], dso_names=["d"])) == 0


def levels(table, kind):
    return set(table.level[table.kind == kind].tolist())


def test_the_rule_follows_the_node_but_small_units_and_homes_are_at_low_voltage():
    nodes, load = np.array([1, 2, 3]), np.array([0.4, 0.4, 0.02])
    level = np.array(["mv", "mv", "lv"])
    site = FeederSite("m", 0, 0, nodes, load, level=level)
    big = Shares(pv_mw_per_mw_load=2.0, counts={"pv": 3}, ev_per_mw_load=50, heatpump_mw_per_mw_load=0.5)
    table = place([site], big, seed=1, feeder_names=["m"], dso_names=["d"])
    pv = table.kind == "pv"
    assert dict(zip(table.node[pv].tolist(), table.level[pv].tolist(), strict=True)) == {1: "mv", 2: "mv", 3: "lv"}
    assert levels(table, "ev") == levels(table, "heatpump") == {"lv"}
    roofs = Shares(pv_mw_per_mw_load=0.5, counts={"pv": 60})
    table = place([site], roofs, seed=1, feeder_names=["m"], dso_names=["d"])
    small = table.s_rated_mva < 0.135
    pv = table.kind == "pv"
    assert (table.level[pv & small] == "lv").all()
    assert (pv & small).sum() > 40


def test_a_listed_device_may_say_its_level_and_else_takes_that_of_its_node():
    site = FeederSite("m", 0, 0, np.array([1, 2]), np.array([0.4, 0.1]), level=np.array(["mv", "lv"]))
    given = [
        Listed("a", "pv", "m", 1, 0.5), Listed("b", "pv", "m", 2, 0.5), Listed("c", "pv", "m", 1, 0.01),
        Listed("d", "pv", "m", 1, 0.01, {"level": "mv"}),
    ]
    table = place([site], Shares(), seed=1, feeder_names=["m"], dso_names=["d"], listed=given)
    found = dict(zip(table.name.tolist(), table.level.tolist(), strict=True))
    assert [found[k] for k in "abcd"] == ["mv", "lv", "lv", "mv"]


def test_flexible_consumers_and_compensation_are_placed():
    given = [Listed("c1", "capacitor", "f1", 5, 0.0, {"s_rated_mva": 1.2, "steps": 4})]
    table = placed(3, Shares(flexible_mw_per_mw_load=0.2, flexible_buffer_h=3.0), listed=given)
    assert total(table, "flexible", 2) == pytest.approx(0.2 * LOAD.sum())
    own = table.kind == "flexible"
    assert table.e_rated_mwh[own] == pytest.approx(3.0 * table.p_rated_mw[own])
    bank = int(np.flatnonzero(table.kind == "capacitor")[0])
    assert (table.steps[bank], table.s_rated_mva[bank], table.level[bank]) == (4, 1.2, "lv")
