import numpy as np
import pytest

from controllers.contract import Site
from controllers.distributed.area import Area
from controllers.distributed.book import OrderBook
from controllers.distributed.order_kernels import filled
from controllers.specimen import small_belief, small_feeder

PV = ("pv",)


@pytest.fixture
def site():
    name = small_feeder().agents[3]
    return Site(name, "agent", frozenset(), small_belief(3), (), 60_000, np.random.default_rng(1))


def book_of(site, quantity="q_set_mvar", **kwargs):
    return OrderBook(site, Area(site).fleet(*PV), quantity, **kwargs)


def told(letters):
    return {int(d): float(v) for m in letters
            for d, v in zip(m.values["device"], next(v for k, v in m.values.items() if k != "device"), strict=True)}


def test_only_what_moved_beyond_the_dead_band_is_told(site):
    book = book_of(site, dead_share=0.1)
    n = len(book.fleet)
    book.wish("control_voltage", np.full(n, 0.3))
    assert len(book.letters("control_voltage", 0.0, 900.0)) == len(book.fleet.gateways)
    wanted = np.full(n, 0.3)
    wanted[0] += 0.5 * book.dead[0]
    wanted[1] += 1.5 * book.dead[1]
    book.wish("control_voltage", wanted)
    assert told(book.letters("control_voltage", 60.0, 900.0)) == {int(book.fleet.device[1]): pytest.approx(wanted[1])}
    assert not book.letters("control_voltage", 120.0, 900.0)
    assert np.abs(book.told - wanted).max() <= book.dead.max(), "what is in force is within the dead-band"


def test_an_order_is_told_again_before_it_expires_and_not_sooner(site):
    book = book_of(site, renew=0.25)
    book.wish("control_voltage", np.full(len(book.fleet), 0.3))
    first = book.letters("control_voltage", 0.0, 800.0)
    assert book.due_s == 600.0
    assert not book.letters("control_voltage", 599.0, 800.0)
    assert len(book.letters("control_voltage", 600.0, 800.0)) == len(first)
    assert book.due_s == 1200.0


def test_what_nobody_wishes_any_more_is_taken_back_once(site):
    book = book_of(site)
    book.wish("control_voltage", np.full(len(book.fleet), 0.3))
    book.letters("control_voltage", 0.0, 900.0)
    book.wish("control_voltage", None)
    assert np.isinf(list(told(book.letters("control_voltage", 60.0, 900.0)).values())).all()
    assert not book.letters("control_voltage", 120.0, 900.0)
    assert book.due_s == np.inf


def test_an_expired_order_is_not_taken_back(site):
    book = book_of(site)
    book.wish("control_voltage", np.full(len(book.fleet), 0.3))
    book.letters("control_voltage", 0.0, 900.0)
    book.wish("control_voltage", None)
    assert not book.letters("control_voltage", 901.0, 900.0)


def test_duties_add_up_within_what_a_device_can_give(site):
    book = book_of(site)
    n = len(book.fleet)
    book.wish("control_voltage", np.full(n, 0.2))
    book.wish("support_tso_voltage", np.where(np.arange(n) == 0, 0.6, np.nan))
    assert book.total() == pytest.approx([0.66, *[0.2] * (n - 1)]), "0.33 of 2 MW is all there is"
    book.wish("control_voltage", None)
    assert np.isnan(book.total()[1:]).all()


def test_of_caps_the_lowest_holds(site):
    book = book_of(site, "p_max_mw")
    n = len(book.fleet)
    book.wish("manage_congestion", np.full(n, 1.5))
    book.wish("balance_cell", np.where(np.arange(n) == 0, 0.7, np.nan))
    assert book.total() == pytest.approx([0.7, *[1.5] * (n - 1)])


def test_one_after_the_other_is_filled():
    room = np.array([2.0, 1.0, 3.0])
    given = filled(room, -2.5)
    assert given[:2] == pytest.approx([-2.0, -0.5])
    assert np.isnan(given[2])
    assert np.isnan(filled(room, 0.0)).all()
    assert np.nansum(filled(room, 99.0)) == 6.0
