import pickle

import numpy as np
import pytest

from sims.core.bundle import Addresses, Bundle, unbundled
from sims.core.message import Message

THREE = Addresses(("s0", "s1", "s2"), ("dms", "dms", "tso"))


def bundle(rows=(0, 2, 1)):
    values = {"node": np.array([7, 9, 8]), "v_pu": np.array([1.0, 0.98, 1.02])}
    return Bundle(THREE, np.array(rows), "secondary", values, 60_000, 202, 30_000, 0)


def test_its_messages_are_what_each_sender_would_have_written():
    told = [("s0", "dms", 7, 1.0), ("s2", "tso", 9, 0.98), ("s1", "dms", 8, 1.02)]
    expected = [
        Message(a, b, "secondary", {"node": node, "v_pu": v_pu}, 60_000, 202, 30_000, 0) for a, b, node, v_pu in told
    ]
    assert bundle().messages() == expected
    assert [bundle().message(k) for k in range(3)] == expected
    kinds = {type(value) for message in expected for value in message.values.values()}
    assert {type(v) for m in bundle().messages() for v in m.values.values()} == kinds == {int, float}


def test_what_arrived_keeps_its_row_and_has_its_time():
    came = bundle().arrived(np.array([2, 0]), np.array([60_010.5, 60_020.0]))
    assert [(m.sender, m.values["node"], m.arrived_ms) for m in came.messages()] == [
        ("s1", 8, 60_010.5), ("s0", 7, 60_020.0)
    ]  # fmt: skip
    first, rest = came.parted(60_015)
    assert (first.messages(), rest.messages()) == (came.messages()[:1], came.messages()[1:])
    assert [len(part) for part in came.parted(60_010.5)] == [1, 1]


def test_mail_of_both_sorts_is_told_message_by_message():
    alone = Message("a", "b", "m")
    assert unbundled([alone, bundle(), alone]) == [alone, *bundle().messages(), alone]
    assert Bundle(THREE, np.array([1, 1]), "ping").messages() == [Message("s1", "dms", "ping")] * 2


def test_it_survives_a_snapshot():
    assert pickle.loads(pickle.dumps(bundle())).messages() == bundle().messages()


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        Bundle(THREE, np.array([0, 1]), "m", {"a": np.zeros(2), "b": np.zeros(1)}).messages()
