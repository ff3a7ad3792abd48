import numpy as np
import pytest

from controllers.postmark import franked, stamped
from sims.core.errors import ControllerError
from sims.core.message import Message


def note(topic, **values):
    return Message("anybody", "tso", topic, values, sent_ms=3, size_bytes=77, ttl_ms=5, priority=2)


def test_all_but_sender_and_time_stays_as_it_was():
    one, = stamped("dso_1.dms", [note("goal", p_mw=1.5)], 60_000)
    assert (one.sender, one.sent_ms) == ("dso_1.dms", 60_000)
    assert (one.receiver, one.topic, one.values, one.size_bytes, one.ttl_ms, one.priority) == (
        "tso", "goal", {"p_mw": 1.5}, 77, 5, 2)


def test_whoever_writes_from_a_bench_keeps_its_name_and_is_named():
    one, = franked([note("goal", p_mw=1.5)], 60_000)
    assert (one.sender, one.sent_ms) == ("anybody", 60_000)
    with pytest.raises(ControllerError, match=r"anybody at 60\.000 s: sent goal with p_mw not finite"):
        franked([note("goal", p_mw=np.array([1.5, np.nan]))], 60_000)
