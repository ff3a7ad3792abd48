"""What an operator does when the TSO rings up: the specimen's 12 MW of PV, 1.5 MW of plugs, two branches of 2.4 MW."""

import numpy as np
import pytest

from controllers.contract import Site
from controllers.local.operator import Operator
from controllers.specimen import FEEDER, small_belief
from sims.core.message import Message

DUTIES = frozenset({"manage_congestion"})
HELD_MW = 0.15 * 1.5 * (1 - 4.2 / 11)
"""What holding back gives: 15 % of the plugs draw, 4.2 of 11 kW are left."""


@pytest.fixture
def operator():
    near = ("dso_1.crew", f"{FEEDER}.a0", "dso_2.crew")
    return Operator(Site("dso_1.operator", "operator", DUTIES, small_belief(), near, 60_000,
                         np.random.default_rng(1), {}))


def call(relief_mw, p_mw, interface="dso_1.i4"):
    values = {"interface": interface, "relief_mw": relief_mw, "p_mw": p_mw, "quantity": "loading_percent"}
    return Message("tso", "dso_1.operator", "request", values)


def caps(sent):
    return {int(d): v for m in sent if "p_max_mw" in m.values
            for d, v in zip(m.values["device"], m.values["p_max_mw"], strict=True)}


def lines(sent):
    return [(m.values["line"].tolist(), m.values["closed"].tolist()) for m in sent if m.topic.startswith("command/")
            and "line" in m.values]


def told(sent, topic="goal"):
    return next(m.values for m in sent if m.topic == topic)


def test_less_export_caps_pv_at_the_highest_step_that_is_sure_to_suffice(operator):
    sent = operator.decide(600.0, [call(-5.0, 10.0)])
    # At least 10 MW are fed in, 5 may stay: 5/12 of the rating, so 30 %.
    assert list(caps(sent).values()) == pytest.approx([0.6] * 6)
    assert all(m.topic == "command/manage_congestion" for m in sent if "device" in m.values)
    assert {m.ttl_ms for m in sent if "device" in m.values} == {3_600_000}
    assert told(sent)["capped_mw"] == pytest.approx(3.6)
    assert told(sent, "alarm")["text"] == "tso asks for 5.0 MW less export at dso_1.i4"


@pytest.mark.parametrize(("relief_mw", "left_mw"), [(-2.0, 7.2), (-3.0, 3.6), (-10.0, 0.0), (-20.0, 0.0)])
def test_the_steps_are_those_of_ripple_control(operator, relief_mw, left_mw):
    assert sum(caps(operator.decide(0.0, [call(relief_mw, 10.0)])).values()) == pytest.approx(left_mw)


def test_less_import_holds_charging_back_first(operator):
    sent = operator.decide(0.0, [call(0.1, -5.0)])
    assert list(caps(sent).values()) == pytest.approx([0.25 * 0.15 * 4.2 / 11] * 6)
    assert told(sent)["held_back_mw"] == pytest.approx(HELD_MW)
    assert not lines(sent)


def test_then_it_opens_as_few_lines_as_it_takes_and_closes_them_again(operator):
    sent = operator.decide(0.0, [call(HELD_MW + 1.0, -5.0)])
    assert lines(sent) == [([0], [False])], "half of 2.4 MW behind either branch"
    assert told(sent)["shed_mw"] == pytest.approx(1.2)
    assert [m.receiver for m in sent if m.topic == "switched"] == ["dso_1.crew", f"{FEEDER}.a0"]
    assert operator.due_s == 3600.0
    assert not operator.decide(3540.0, [])
    assert lines(operator.decide(3600.0, [])) == [([0], [True])]


def test_a_second_call_takes_the_rest_and_keeps_what_is_open(operator):
    operator.decide(0.0, [call(HELD_MW + 1.0, -5.0)])
    again = operator.decide(1800.0, [call(HELD_MW + 1.0, -5.0)])
    assert lines(again) == [([3], [False])]
    assert caps(again), "what would run out is told again"
    assert lines(operator.decide(3600.0, [])) == [([0], [True])]
    assert lines(operator.decide(5400.0, [])) == [([3], [True])]
    assert not lines(operator.decide(9000.0, []))


def test_more_than_there_is_takes_all(operator):
    sent = operator.decide(0.0, [call(50.0, -60.0)])
    assert sorted(lines(sent)[0][0]) == [0, 3]
    assert told(sent)["shed_mw"] == pytest.approx(2.4)


def test_elsewhere_nothing_moves(operator):
    sent = operator.decide(0.0, [call(-5.0, 10.0, "dso_1.i8")])
    assert not caps(sent)
    assert not lines(sent)
    assert not operator.decide(60.0, [])
