import dataclasses

import numpy as np
import pytest

from controllers.dms.set_points import Register, SetPoints, shared_set_points
from controllers.dms.storage import StorageLedger
from controllers.specimen import small_feeder


@pytest.fixture
def book(kit):
    site = kit.site([kit.feeder("cigre", storage=0.2), kit.feeder("oberrhein", name="dso_1.f02", first=1000)])
    return SetPoints(site, Register(site.grid.feeders))


def told(messages, quantity):
    return {int(i): float(v) for m in messages for i, v in zip(m.values["device"], m.values[quantity], strict=True)}


def test_register_lists_every_device_with_its_gateway(book):
    r = book.register
    assert len(r) == sum(len(f.devices.index) for f in r.feeders)
    assert not r.reachable[r.kind == "load"].any()
    rows = r.of("pv", feeder=1)
    assert (r.index[rows] >= 1000).all()
    assert all(r.addresses[r.gateway[k]] == r.feeders[1].gateways[r.node[k]] for k in rows)


def test_devices_at_the_busbars_are_spoken_to_through_the_primary_substation(kit):
    belief = kit.feeder("cigre")
    node = int(belief.devices.node[-1])
    gateways = tuple("" if k == node else g for k, g in enumerate(belief.gateways))
    r = Register([dataclasses.replace(belief, gateways=gateways)])
    rows = np.flatnonzero(r.node == node)
    assert {r.addresses[r.gateway[k]] for k in rows} == {belief.name}
    assert r.reachable[rows[r.kind[rows] != "load"]].all()


def test_wishes_add_up_caps_hold_together(book):
    row = book.register.of("storage")[:1]
    rated = book.register.p_rated_mw[row][0]
    book.wish("a", "p_set_mw", row, np.array([0.3 * rated]))
    book.wish("b", "p_set_mw", row, np.array([-0.1 * rated]))
    assert book.total("p_set_mw")[row[0]] == pytest.approx(0.2 * rated)
    book.wish("b", "p_set_mw", row, np.array([5 * rated]))
    assert book.total("p_set_mw")[row[0]] == pytest.approx(rated)
    book.wish("a", "p_max_mw", row, np.array([0.5]))
    book.wish("b", "p_max_mw", row, np.array([0.2]))
    assert book.total("p_max_mw")[row[0]] == 0.2
    book.wish("b", "p_max_mw", row, np.array([np.nan]))
    assert book.total("p_max_mw")[row[0]] == 0.5


def test_asked_tells_ones_own_part_and_the_outcome_without_gaps(book):
    rows = book.register.of("storage")[:2]
    rated = book.register.p_rated_mw[rows]
    assert [part.tolist() for part in book.asked("a", "p_set_mw", rows)] == [[0.0, 0.0], [0.0, 0.0]]
    book.wish("a", "p_set_mw", rows[:1], 0.3 * rated[:1])
    book.wish("b", "p_set_mw", rows, -0.1 * rated)
    mine, outcome = book.asked("a", "p_set_mw", rows)
    assert mine == pytest.approx([0.3 * rated[0], 0.0])
    assert outcome == pytest.approx([0.2 * rated[0], -0.1 * rated[1]])


def test_only_changes_are_told_and_what_would_expire_is_told_again(book):
    rows = book.register.of("pv", feeder=0)
    rated = book.register.p_rated_mw[rows]
    book.wish("a", "p_max_mw", rows, 0.5 * rated)
    first = book.orders("a", "p_max_mw", 0, 360_000)
    assert len(first) == len(set(book.register.gateway[rows]))
    assert all(m.topic == "command/a" and m.ttl_ms == 900_000 for m in first)
    assert len(told(first, "p_max_mw")) == len(rows)
    book.wish("a", "p_max_mw", rows, 0.505 * rated)  # half a percent of the rating
    assert book.orders("a", "p_max_mw", 300_000, 360_000) == []
    assert len(told(book.orders("a", "p_max_mw", 600_000, 360_000), "p_max_mw")) == len(rows)
    book.wish("a", "p_max_mw", rows[:2], 0.2 * rated[:2])
    assert len(told(book.orders("a", "p_max_mw", 660_000, 360_000), "p_max_mw")) == 2


def test_release_takes_caps_back_once(book):
    rows = book.register.of("pv", feeder=0)[:3]
    rated = book.register.p_rated_mw[rows]
    book.wish("a", "p_max_mw", rows, 0.5 * rated)
    book.orders("a", "p_max_mw", 0, 360_000)
    book.wish("a", "p_max_mw", rows, np.full(3, np.nan))
    lifted = told(book.orders("a", "p_max_mw", 300_000, 360_000), "p_max_mw")
    assert list(lifted.values()) == [np.inf] * 3
    for t in range(600_000, 3_000_000, 300_000):
        assert book.orders("a", "p_max_mw", t, 360_000) == []


def test_what_expired_unheard_is_told_anew(book):
    row = book.register.of("storage")[:1]
    book.wish("a", "p_set_mw", row, np.array([0.01]))
    book.orders("a", "p_set_mw", 0, 0)
    assert np.isfinite(book.in_force("p_set_mw", 899_999)[row[0]])
    assert np.isnan(book.in_force("p_set_mw", 900_000)[row[0]])
    assert len(book.orders("a", "p_set_mw", 1_000_000, 0)) == 1


def test_one_book_a_site(kit):
    site = kit.site([kit.feeder("cigre")])
    assert shared_set_points(site) is shared_set_points(site)


def test_ledger_books_energy_with_losses_and_bounds(book):
    r = book.register
    ledger = StorageLedger(r, soc_start=0.5, efficiency=0.9)
    rows = r.of("storage")
    p = np.full(len(r), np.nan)
    p[rows] = r.p_rated_mw[rows]
    before = ledger.energy_mwh[rows].copy()
    ledger.advance(0, p)
    ledger.advance(1_800_000, p)
    ledger.advance(1_800_000, p)
    np.testing.assert_allclose(before - ledger.energy_mwh[rows], r.p_rated_mw[rows] * 0.5 / 0.9)
    charge, discharge = ledger.range_mw(rows, for_h=1.0)
    assert (charge <= 0).all()
    # 2 h storage at 50 % minus 0.556 h: 0.444 h x rated left, 0.1 of it kept, at 90 %: 0.31 h
    np.testing.assert_allclose(discharge, (1 - 0.5 / 0.9 - 0.1) * 0.9 * r.p_rated_mw[rows])
    ledger.advance(10**8, p)
    assert (ledger.energy_mwh >= 0).all()
    assert (ledger.range_mw(rows, 1.0)[1] == 0).all()


def test_what_batteries_tell_takes_the_place_of_what_was_reckoned():
    r = Register([small_feeder()])
    ledger, rows = StorageLedger(r, soc_start=0.5, efficiency=0.9), r.of("storage")
    p = np.full(len(r), np.nan)
    p[rows] = 0.45
    ledger.advance(0, p)
    ledger.metered(rows[:2], np.array([0.9, 7.0]))
    np.testing.assert_allclose(ledger.energy_mwh[rows], [0.9, 1.0, 0.5, 0.5, 0.5, 0.5])  # of 1 MWh each
    ledger.advance(3_600_000, p)
    np.testing.assert_allclose(ledger.energy_mwh[rows], [0.4, 0.5, 0.0, 0.0, 0.0, 0.0], atol=1e-12)
