import numpy as np
import pytest

from sims.core.ports import frozen, given, items, one


def test_a_frozen_array_is_a_copy_nobody_can_write():
    source = np.arange(3.0)
    held = frozen(source)
    source[0] = 9.0
    assert held.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1.0
    assert source.flags.writeable


def test_freezing_a_view_does_not_keep_its_base():
    base = np.arange(10.0)
    held = frozen(base[::2])
    base[:] = -1
    assert held.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_what_is_given_is_the_array_itself_and_nobody_can_write_to_it():
    source = np.arange(3.0)
    held = given(source)
    assert np.shares_memory(held, source)
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1.0
    assert source.flags.writeable


def test_the_one_source_of_a_port():
    assert one({"p": {"der": 3.0}}, "p") == 3.0
    assert one({}, "p", default=7) == 7
    assert one({"p": {}}, "p") is None


def test_a_second_source_where_one_is_expected_is_named():
    with pytest.raises(ValueError, match="port p has 2 sources: der, grid"):
        one({"p": {"der": 1.0, "grid": 2.0}}, "p")


def test_items_come_in_the_order_of_their_sources_names_whatever_the_order_of_arrival():
    mail = {"mail": {"south": [3, 4], "north": [1, 2]}}
    assert items(mail, "mail") == [1, 2, 3, 4]
    assert items({"mail": dict(reversed(mail["mail"].items()))}, "mail") == [1, 2, 3, 4]
    assert items({}, "mail") == []


def test_items_of_a_state_port_may_be_tuples_and_are_not_changed():
    box = ("a", "b")
    out = items({"box": {"comms": box}}, "box")
    out.append("c")
    assert box == ("a", "b")
