"""What cells tell each other of their inertia, and that all come to the same trade; numbers by hand, f0 = 50 Hz."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.dms.inertia import Reference
from controllers.dms.inertia_ledger import STALE_S, InertiaLedger, between
from controllers.specimen import small_belief

CELL = small_belief().cells[0]


def ledger(number, capacity=300.0):
    cell = dataclasses.replace(CELL, name=f"cell_{number}", cell=number, tie_capacity_mw=capacity)
    return InertiaLedger(cell, Reference(50.0))


def told(books, now_s=0.0):
    for book in books:
        for other in books:
            if other is not book:
                for letter in book.letters(f"dms_{book.cell.cell}", ("x",)):
                    other.hear(dataclasses.replace(letter, sent_ms=round(1000 * now_s)))


def test_surplus_goes_to_who_lacks_it_and_all_books_agree():
    books = [ledger(1), ledger(2), ledger(3)]
    # Losing 200 MW asks for 5000 MWs at 1 Hz/s. One cell lacks 1000, the others own 2000 and 500 more than that.
    for book, own in zip(books, (4000.0, 7000.0, 5500.0), strict=True):
        book.note(own, 200.0, 0.0, 0.0)
    told(books)
    trades = [book.traded(0.0) for book in books]
    assert [mine for _, mine in trades] == [0, 1, 2]
    for found, _ in trades:
        np.testing.assert_allclose(found.lent_mws, [[0, 0, 0], [800, 0, 0], [200, 0, 0]])
        np.testing.assert_allclose(found.deliverable_mws, [0.0, 2000.0, 500.0])


def test_ties_that_are_used_hand_on_less():
    books = [ledger(1, 30.0), ledger(2, 30.0)]
    books[0].note(4000.0, 200.0, -10.0, 0.0)  # imports 10 of 30 MW: 20 are left, each worth 25 MWs
    books[1].note(7000.0, 200.0, 10.0, 0.0)
    told(books)
    found, _ = books[0].traded(0.0)
    np.testing.assert_allclose(found.lent_mws, [[0, 0], [500, 0]])


def test_a_cell_that_has_fallen_silent_counts_no_more():
    books = [ledger(1), ledger(2)]
    books[0].note(4000.0, 200.0, 0.0, 0.0)
    books[1].note(7000.0, 200.0, 0.0, 0.0)
    told(books)
    assert books[0].traded(0.0)[0].lent_mws[1, 0] == pytest.approx(1000.0)
    books[0].note(4000.0, 200.0, 0.0, STALE_S + 1)
    found, mine = books[0].traded(STALE_S + 1)
    assert (mine, found.lent_mws.tolist()) == (0, [[0.0]])


def test_letters_that_are_late_or_about_oneself_change_nothing():
    mine, other = ledger(1), ledger(2)
    mine.note(4000.0, 200.0, 0.0, 0.0)
    other.note(7000.0, 200.0, 0.0, 0.0)
    letter, = other.letters("dms_2", ("x",))
    mine.hear(dataclasses.replace(letter, sent_ms=5000))
    mine.hear(dataclasses.replace(letter, values={**letter.values, "own_mws": 1.0}, sent_ms=4000))
    mine.hear(dataclasses.replace(letter, values={**letter.values, "cell": 1, "own_mws": 1.0}, sent_ms=9000))
    assert [mine.entries[n].own_mws for n in (1, 2)] == [4000.0, 7000.0]


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), min_size=1, max_size=5))
def test_no_cells_ties_are_counted_twice(room):
    export_mw, import_mw = np.array(room).T
    found = between(export_mw, import_mw)
    assert (np.diag(found) == 0).all()
    assert (found.sum(axis=1) <= export_mw + 1e-6).all()
    assert (found.sum(axis=0) <= import_mw + 1e-6).all()
