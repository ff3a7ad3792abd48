import pytest

from controllers.distributed.netting import Ledger


def test_each_megawatt_is_sold_once():
    ledger = Ledger()
    assert ledger.reserve("a:1", "a", 60.0, 80.0, 100.0) == 60.0
    assert ledger.reserve("b:1", "b", 60.0, 80.0 - ledger.promised_mw(), 100.0) == 20.0
    assert ledger.reserve("c:1", "c", 60.0, 80.0 - ledger.promised_mw(), 100.0) == 0.0
    assert ledger.shift_mw() == 0.0, "a reservation moves nothing"
    assert ledger.sell("a:1", "a", 50.0, 900.0) == 50.0
    assert ledger.sell("b:1", "b", 60.0, 900.0) == 20.0, "no more than was kept back"
    assert ledger.shift_mw() == pytest.approx(70.0)


def test_repeating_a_letter_changes_nothing():
    ledger = Ledger()
    ledger.reserve("a:1", "a", -60.0, 80.0, 100.0)
    assert ledger.reserve("a:1", "a", -60.0, 80.0, 100.0) == -60.0
    assert ledger.sell("a:1", "a", -60.0, 900.0) == ledger.sell("a:1", "a", -60.0, 900.0) == -60.0
    ledger.buy("x:1", "x", 30.0, 900.0)
    ledger.buy("x:1", "x", 30.0, 900.0)
    assert ledger.shift_mw() == pytest.approx(-30.0)


def test_nobody_accepts_for_another_and_offers_run_out():
    ledger = Ledger()
    ledger.reserve("a:1", "a", 60.0, 80.0, 100.0)
    assert ledger.sell("a:1", "b", 60.0, 900.0) is None
    ledger.expire(100.0)
    assert ledger.sell("a:1", "a", 60.0, 900.0) is None
    assert ledger.promised_mw() == 0.0
