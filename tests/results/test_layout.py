import numpy as np
import pytest

from results.layout import EventTable, Kind, Quantity, action_table, message_table, unit_of
from sims.core.errors import ModelError

VM = Quantity("vm_pu", "1", "voltage")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("p_mw", "MW"),
        ("vm_pu", "1"),
        ("soc_mwh", "MWh"),
        ("q_mvar", "Mvar"),
        ("f_hz", "Hz"),
        ("vn_kv", "kV"),
        ("dso", "1"),
    ],
)
def test_the_unit_is_the_last_word_of_the_name(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_two_things_of_one_label_are_refused() -> None:
    with pytest.raises(ModelError, match="two things labelled 'b'"):
        Kind("bus", ["a", "b", "b"], [VM])


def test_a_column_named_as_the_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="two columns named bus"):
        Kind("bus", ["a"], [VM], {"bus": [1]})


def test_a_static_column_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ModelError, match=r"bus\.vn_kv has shape \(2,\), but there are 3 labels"):
        Kind("bus", ["a", "b", "c"], [VM], {"vn_kv": np.ones(2)})


def test_integers_cannot_hold_gaps() -> None:
    with pytest.raises(ModelError, match=r"trafo\.tap is i4"):
        Kind("trafo", ["a"], [Quantity("tap", "1", "tap", dtype="i4")])


def test_rows_need_a_positive_spacing() -> None:
    with pytest.raises(ModelError, match="must be positive"):
        Kind("bus", ["a"], [VM], every_ms=0)


def test_codes_need_a_column() -> None:
    with pytest.raises(ModelError, match="no column 'actr'"):
        EventTable("actions", [VM], {"actr": ["dms"]})


def test_notes_stand_to_each_code() -> None:
    table = action_table({"actor": ["n.dms", "tso"]}, {"n.dms": "dms"})
    assert table.notes == {("actor", "role"): ["dms", "tso"]}
    with pytest.raises(ModelError, match="1 texts for 2 codes"):
        EventTable("t", [VM], {"vm_pu": ["x", "y"]}, {("vm_pu", "role"): ["z"]})


def test_senders_and_receivers_share_addresses() -> None:
    table = message_table(["a", "b"], ["t"], ["delivered"])
    assert table.code_tables["receiver"] == table.code_tables["sender"] == ["a", "b"]
