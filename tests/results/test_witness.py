"""What a simulator in its own process writes: numbers go into the file, everything else is refused by name."""

import math

import numpy as np
import pytest

from results.witness import Witness, port_of
from sims.core.errors import ModelError


class Book:
    """Takes rows as the writer of run files does."""

    def __init__(self):
        self.rows = []

    def append(self, kind, t_ms, values):
        self.rows.append((kind, t_ms, {name: column.tolist() for name, column in values.items()}))


def heard(**values):
    return {port_of("sun.01", name): {"sun": value} for name, value in values.items()}


@pytest.fixture
def book():
    return Book()


@pytest.fixture
def witness(book):
    return Witness(book, "sun", ["sun.01"], ["ghi", "temp"], 1000)


def test_it_writes_the_newest_value_at_each_tick_once(book, witness):
    assert witness.step(0, heard(ghi=100, temp=20.5)).next_ms == 1000
    assert witness.step(500, heard(ghi=150, temp=20.5)).next_ms == 1000
    witness.step(1000, heard(ghi=200, temp=None))
    witness.step(1000, heard(ghi=300, temp=None))
    (first, second) = book.rows
    assert first == ("sun", 0, {"ghi": [100.0], "temp": [20.5]})
    assert second[:2] == ("sun", 1000)
    assert second[2]["ghi"] == [200.0]
    assert math.isnan(second[2]["temp"][0]), "null: there is no value"


def test_what_has_not_come_yet_is_missing(book, witness):
    witness.step(0, {})
    assert np.isnan([*book.rows[0][2]["ghi"], *book.rows[0][2]["temp"]]).all()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (math.nan, "ghi of sun.01 is nan; null says that there is no value"),
        (-math.inf, "ghi of sun.01 is -inf; null says that there is no value"),
        ("bright", "ghi of sun.01 is no number: 'bright'"),
        ([1.0, 2.0], "ghi of sun.01 is no number: [1.0, 2.0]"),
        ({"w": 1}, "ghi of sun.01 is no number: {'w': 1}"),
    ],
)
def test_what_is_no_number_is_refused_by_name_and_time(book, witness, bad, says):
    with pytest.raises(ModelError) as refused:
        witness.step(2000, heard(ghi=bad, temp=1.0))
    assert str(refused.value) == f"sun at 2.000 s: {says}"
    assert book.rows == []


def test_it_goes_on_from_its_state(book, witness):
    witness.step(0, heard(ghi=1.0, temp=1.0))
    other = Witness(book, "sun", ["sun.01"], ["ghi", "temp"], 1000)
    other.set_state(witness.get_state())
    other.step(0, heard(ghi=2.0, temp=2.0))
    assert len(book.rows) == 1
