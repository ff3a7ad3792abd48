"""What may not leave is caught, message for message, and named; what may is let through."""

import dataclasses
import math

import numpy as np
import pytest

from controllers.logbook import LOGBOOK
from controllers.soundness import slip, slips
from sims.core.message import Message

KNOWN = {"tso", "dso_1.f03", "dso_1.f03.s2"}


def note(topic, receiver="tso", **values):
    return Message("anybody", receiver, topic, values)


def order(**values):
    return note("command/control_voltage", "dso_1.f03.s2", **values)


FINE = [
    note("goal", p_mw=1.5, count=3, name="x", on=True, more=np.array([True]), many=np.arange(4), c=np.array([1 + 2j])),
    note("goal", v=np.full(3, 1e300)), note("goal", v=np.ones((1, 2))), note("goal", v=np.array([])), note("goal"),
    note("goal", v=[1.0, 2.0]), note("goal", names=np.array(["a", "b"])), note("goal", v=np.float32(1.0)),
    order(device=np.array([1, 2]), q_set_mvar=np.array([np.inf, 0.5])), order(device=3, q_set_mvar=0.5),
    note("command/balance_cell", p_delta_mw=-math.inf),
    note("estimate", LOGBOOK, v_pu=np.array([1.0, np.nan])), note("alarm", LOGBOOK, kind="x", text="y", value=1),
    note("alarm", LOGBOOK, kind="x", text="y", value=math.nan), note("alarm", LOGBOOK, text="no value"),
]  # fmt: skip


@pytest.mark.parametrize("message", FINE, ids=lambda m: f"{m.topic} {m.values}"[:40])
def test_what_may_be_sent_is_let_through(message):
    assert slips([message], KNOWN) == {}
    assert slip(message, KNOWN) == ""


WRONG = [
    (1, "decide returned a int among its messages; return Message objects"),
    (None, "decide returned a NoneType among"),
    (note("goal", p_mw=math.nan), "sent goal with p_mw not finite"),
    (note("goal", p_mw=np.float64(math.inf)), "sent goal with p_mw not finite"),
    (note("goal", p_mw=np.float32(math.inf)), "sent goal with p_mw not finite"),
    (note("goal", p_mw=[0.0, math.nan]), "sent goal with p_mw not finite"),
    (note("tie", sums=np.array([[1.0, 2.0], [3.0, np.inf]])), "sent tie with sums not finite"),
    (order(device=np.array([1, 2]), q_set_mvar=np.array([math.inf, math.nan])), "with q_set_mvar not finite"),
    (order(device=np.array([1, 2]), q_set_mvar=np.array([0.5])), "with 1 values of q_set_mvar for 2 of device"),
    (order(device=np.array([1, 2]), q_set_mvar=0.5), "with a single one of q_set_mvar for 2 of device"),
    (order(device=np.array([[1, 2]]), q_set_mvar=np.array([[0.5, 1.0]])), "device of shape (1, 2); arrays of an order"),
    (note("goal", plan={"a": 1}), "sent goal with plan as a dict"),
    (note("goal", plan=None), "sent goal with plan as a NoneType"),
    (note("goal", plan=[[1.0], [1.0, 2.0]]), "as rows of different lengths"),
    (note("goal", plan=np.array([object()])), "sent goal with plan as a ndarray"),
    (note("goal", "dso_1.f3", p_mw=1.0), "sent goal to 'dso_1.f3', where nobody is (did you mean dso_1.f03?)"),
    (note("goal", 7, p_mw=1.0), "sent 'goal' to 7; topic and receiver are texts"),
    (note(["goal"], p_mw=1.0), "topic and receiver are texts"),
    (Message("a", "tso", "goal", [1, 2]), "sent goal with a list as values"),
    (Message("a", "tso", "goal", {3: 1.0}), "sent goal with a dict as values"),
    (Message("a", "tso", "goal", {}, size_bytes=-1), "sent goal with size_bytes -1"),
    (Message("a", "tso", "goal", {}, size_bytes=math.nan), "sent goal with size_bytes nan"),
    (Message("a", "tso", "goal", {}, ttl_ms="900"), "ttl_ms 900: size_bytes is within"),
    (note("alarm", LOGBOOK, text="y", value="high"), "raised an alarm with a str as value"),
    (note("alarm", LOGBOOK, text="y", value=np.ones(2)), "raised an alarm with a ndarray as value"),
    (note("goal", LOGBOOK, reached={"a": 1}), "sent goal with reached as a dict"),
]


@pytest.mark.parametrize(("message", "says"), WRONG, ids=[says[:40] for _, says in WRONG])
def test_of_many_messages_the_one_with_a_slip_is_named(message, says):
    found = slips([*FINE, message, *FINE], KNOWN)
    assert list(found) == [len(FINE)]
    assert says in found[len(FINE)]


def test_taking_back_in_one_order_excuses_no_slip_in_another_message():
    taken_back = order(q_set_mvar=np.array([np.inf, 0.5]))
    assert slips([taken_back, note("goal", p_mw=1.0)]) == {}
    assert slips([taken_back, note("goal", p_mw=np.inf)]) == {1: "sent goal with p_mw not finite"}


def test_anybody_is_somebody_where_addresses_are_not_given():
    assert slips([note("goal", "dso_9.dms")]) == {}


def test_a_message_of_a_class_of_ones_own_is_one():
    class Mine(Message):
        __slots__ = ()

    assert slip(Mine("a", "tso", "goal", {"p_mw": 1.0})) == ""
    assert dataclasses.is_dataclass(Mine)
