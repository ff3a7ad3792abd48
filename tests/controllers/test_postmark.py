import numpy as np
import pytest

from controllers.contract import Site
from controllers.postmark import stamped
from controllers.specimen import small_belief
from sims.core.errors import ControllerError
from sims.core.message import Message

HERE = Site("dso_1.dms", "dms", frozenset(), small_belief(), (), 60_000, np.random.default_rng(1))


def note(topic, **values):
    return Message("anybody", "tso", topic, values, sent_ms=3, size_bytes=77, ttl_ms=5, priority=2)


def test_all_but_sender_and_time_stays_as_it_was():
    one, = stamped(HERE.name, [note("goal", p_mw=1.5)], 60_000, "logbook")
    assert (one.sender, one.sent_ms) == ("dso_1.dms", 60_000)
    assert (one.receiver, one.topic, one.values, one.size_bytes, one.ttl_ms, one.priority) == (
        "tso", "goal", {"p_mw": 1.5}, 77, 5, 2)


def test_of_many_messages_the_one_with_a_slip_is_named():
    table = np.array([[1.0, 2.0], [3.0, np.inf]])
    fine = [note("goal", p_mw=np.arange(k, dtype=float), name="x", count=np.array([k])) for k in range(5)]
    assert len(stamped(HERE.name, fine, 0, "logbook")) == 5
    with pytest.raises(ControllerError, match="sent tie with sums not finite"):
        stamped(HERE.name, [*fine, note("tie", sums=table), *fine], 0, "logbook")


def test_taking_back_in_one_order_excuses_no_slip_in_another_message():
    order = note("command/control_voltage", q_set_mvar=np.array([np.inf, 0.5]))
    assert len(stamped(HERE.name, [order, note("goal", p_mw=1.0)], 0, "logbook")) == 2
    with pytest.raises(ControllerError, match="sent goal with p_mw not finite"):
        stamped(HERE.name, [order, note("goal", p_mw=np.inf)], 0, "logbook")
