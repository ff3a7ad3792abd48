import numpy as np
import pytest

from controllers.belief import Belief, GeneratorBelief
from controllers.contract import Site
from controllers.stations import Stations

A, B, NONE = (GeneratorBelief(n, f"gen.{n}", 1, mw, 300.0) for n, mw in (("A", 300.0), ("B", 100.0), ("N", 0.0)))


def stations(own=(A, B, NONE), whole=None, **settings):
    site = Site("dso_1.dms", "dms", frozenset(), Belief(), (), 60_000, np.random.default_rng(0), settings)
    return Stations(site, own, whole)


def test_a_call_is_shared_by_contract_and_limited_to_it():
    found = stations()
    assert found.reserve_mw == 400.0
    orders = found.call("balance_cell", 200.0, 0.0)
    assert {m.receiver: m.values["p_delta_mw"] for m in orders} == {"gen.A": 150.0, "gen.B": 50.0}
    assert all((m.topic, m.ttl_ms) == ("command/balance_cell", 900_000) for m in orders)
    assert sum(m.values["p_delta_mw"] for m in found.call("balance_cell", -999.0, 60.0)) == -400.0
    assert found.called_mw == -400.0


def test_each_writes_to_its_own_but_shares_among_all():
    orders = stations((B,), (A, B)).call("balance_cell", 200.0, 0.0)
    assert [(m.receiver, m.values["p_delta_mw"]) for m in orders] == [("gen.B", 50.0)]


def test_what_has_come_is_reckoned_from_the_contract():
    found = stations()
    found.advance(0.0)
    assert found.reach_mw(60.0) == (-80.0, 80.0)
    found.call("balance_cell", 200.0, 0.0)
    assert found.after(60.0) == 80.0
    found.advance(120.0)
    assert found.come_mw == 160.0
    assert found.reach_mw(60.0) == (80.0, 240.0)
    found.advance(240.0)
    assert found.come_mw == 200.0
    assert found.reach_mw(600.0) == (-400.0, 400.0)
    found.forget()
    assert (found.called_mw, found.come_mw) == (0.0, 0.0)


def test_small_changes_are_not_told_and_what_lasts_is_renewed():
    found = stations(reserve_ttl_s=240)
    assert found.call("balance_cell", 50.0, 0.0)
    assert not found.call("balance_cell", 50.9, 60.0)
    assert found.call("balance_cell", 51.1, 61.0)
    assert not found.call("balance_cell", 51.1, 180.0)
    assert found.call("balance_cell", 51.1, 181.0), "half of its life is over"


@pytest.mark.parametrize("own", [(), (NONE,)])
def test_without_a_contract_there_is_nothing_to_call(own):
    found = stations(own)
    assert found.reach_mw(60.0) == (0.0, 0.0)
    assert found.call("balance_cell", 50.0, 0.0) == []
