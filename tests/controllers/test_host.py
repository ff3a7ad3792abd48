import dataclasses
import re
import time

import numpy as np
import pytest

from controllers.contract import Site, command
from controllers.host import ControllerHost, summary
from controllers.logbook import LOGBOOK
from controllers.responsibility import Responsibility
from controllers.seat import Seat
from controllers.specimen import small_belief
from controllers.watchdog import OverdueError
from sims.core.bundle import Addresses, Bundle
from sims.core.errors import ControllerError, GridError
from sims.core.message import Message

DMS, AGENT = "dso_1.dms", "dso_1.f03.a0"


class Diary:
    """Writes down when it was asked and what it was told; sends what it is given."""

    urgent = frozenset({"fault"})

    def __init__(self, site, says=()):
        self.site, self.says, self.seen = site, list(says), []

    def decide(self, now_s, inbox):
        self.seen.append((now_s, [m.topic for m in inbox]))
        return self.says


def site(name=DMS, actor="dms", period_ms=60_000):
    return Site(name, actor, frozenset({"control_voltage"}), small_belief(), (), period_ms, np.random.default_rng(1))


def host(*diaries, stage=2, architecture="centralized", falls_back=False, addresses=None):
    roles = {DMS: "dms", AGENT: "agent", "tso": "tso"}
    return ControllerHost(
        [Seat(d.site, d, falls_back=falls_back) for d in diaries], Responsibility(architecture, stage, roles).authorize,
        60_000, addresses,
    )


def mail(topic, arrived_ms, receiver=DMS):
    return Message("x", receiver, topic, arrived_ms=arrived_ms)


def deliver(*messages):
    return {"mail": {"comms": list(messages)}}


def test_asked_at_its_period_and_not_between():
    diary = Diary(site())
    h = host(diary)
    assert h.step(0, {}).next_ms == 60_000
    h.step(30_000, deliver(mail("primary", 30_000.0)))
    assert [t for t, _ in diary.seen] == [0.0]
    h.step(60_000, {})
    assert diary.seen[-1] == (60.0, ["primary"]), "mail waits until the next decision"


def test_urgent_mail_wakes_only_who_named_it():
    calm = Diary(site())
    calm.urgent = frozenset()
    diary = Diary(site())
    h = host(diary, calm)
    h.step(0, {})
    step = h.step(12_345, deliver(mail("fault", 12_345.0)))
    assert diary.seen[-1] == (12.345, ["fault"])
    assert len(calm.seen) == 1
    assert step.next_ms == 60_000, "an urgent call does not shift the period"
    h.step(60_000, {})
    assert calm.seen[-1] == (60.0, ["fault"]), "every controller at a site gets all of its mail"


class Board:
    """Mail that several diaries of a place have in common."""

    def __init__(self, *topics):
        self.topics, self.mail = frozenset(topics), []


def test_what_several_read_is_put_up_once_and_calls_nobody():
    board, other = Board("own"), Diary(site(AGENT))
    first, second = Diary(site()), Diary(site())
    first.board = second.board = board
    h = host(first, second, other)
    h.step(0, {})
    h.step(30_000, deliver(mail("own", 30_000.0), mail("own", 30_000.0, AGENT), mail("fault", 30_000.0)))
    assert [m.topic for m in board.mail] == ["own"]
    assert first.seen[-1] == (30.0, ["fault"])
    h.step(60_000, {})
    assert first.seen[-1] == second.seen[-1] == (60.0, []), "nobody finds it in its inbox as well"
    assert other.seen[-1] == (60.0, ["own"]), "who has no board does"


def frames(*receivers):
    addresses = Addresses(("x",) * len(receivers), receivers)
    return Bundle(addresses, np.arange(len(receivers)), "own", {"v_pu": np.ones(len(receivers))})


def test_a_board_that_takes_bundles_gets_what_is_for_its_place_alone_whole():
    first, second = Diary(site()), Diary(site(AGENT))
    first.board = board = Board("own")
    board.bundles = []
    h = host(first, second)
    whole, shared = frames(DMS, DMS), frames(DMS, AGENT)
    h.step(60_000, deliver(whole, shared))
    assert board.bundles == [whole]
    assert [m.receiver for m in board.mail] == [DMS], "of several receivers each gets its own messages"
    assert [topics for _, topics in second.seen] == [["own"]]
    assert [topics for _, topics in first.seen] == [[]]


def test_a_bundle_is_opened_where_somebody_waits_for_its_messages():
    keeper, reader = Diary(site()), Diary(site())
    keeper.board = board = Board("own")
    board.bundles = []
    h = host(keeper, reader)
    h.step(60_000, deliver(frames(DMS, DMS)))
    assert board.bundles == []
    assert len(board.mail) == 2
    assert [topics for _, topics in reader.seen] == [["own", "own"]]


def test_a_board_goes_on_after_a_restart():
    def agents():
        first, second = Diary(site()), Diary(site())
        first.board = second.board = Board("own")
        return first, host(first, second)

    first, h = agents()
    h.step(0, deliver(mail("own", 0.0)))
    kept = h.get_state()
    again, h = agents()
    h.step(0, {})
    h.set_state(kept)
    h.step(60_000, deliver(mail("own", 60_000.0)))
    assert len(again.board.mail) == 2, "what hung there and what came since, on the board in use"
    assert again.board is h._ordered[1].controller.board
    assert len(first.board.mail) == 1, "the first run's stays as it was"


def test_order_of_arrival_counts_not_that_of_delivery():
    diary = Diary(site())
    h = host(diary)
    h.step(0, deliver(mail("c", 30.0), mail("a", 10.0), mail("b", 20.5)))
    assert diary.seen == [(0.0, ["a", "b", "c"])]


def test_mail_for_nobody_is_counted():
    h = host(Diary(site()))
    h.step(0, deliver(mail("a", 1.0, "dso_7.dms")))
    assert h.undeliverable == 1


def order(where, duty="control_voltage", **values):
    values = values or {"device": np.array([101, 102]), "q_set_mvar": np.array([0.25, 0.5])}
    return command(site(), where, duty, **values)


def test_own_commands_leave_stamped_with_sender_and_time():
    h = host(Diary(site(), [dataclasses.replace(order("dso_1.f03.s2"), sender="tso", sent_ms=7)]))
    step = h.step(60_000, {})
    message, = step.outputs["outbox"]
    assert (message.sender, message.sent_ms, message.topic) == (DMS, 60_000, "command/control_voltage")
    assert "actions" not in step.outputs


@pytest.mark.parametrize(("says", "rule"), [
    (order("dso_1.f03.s2", "balance_cell"), "held by tso, not by dms"),
    (order("dso_2.f03.s2"), "not dso_1.dms's to move"),
    (order("dso_1.f03.s2", "be_nice"), "no duty"),
])
def test_a_foreign_duty_is_refused_and_logged_not_sent(says, rule):
    step = host(Diary(site(), [says])).step(0, {})
    assert "outbox" not in step.outputs
    act, = step.outputs["actions"]
    assert rule in act.refused
    assert (act.actor, act.asset, act.quantity, act.value, act.count) == (DMS, says.receiver, "q_set_mvar", 0.75, 2)


def test_an_agent_has_no_say_under_the_centralized_architecture():
    step = host(Diary(site(AGENT, "agent"), [order("dso_1.f03.s2")])).step(0, {})
    assert "not by agent" in step.outputs["actions"][0].refused


@pytest.mark.parametrize("bad", [np.nan, np.inf, np.array([1.0, np.nan])])
def test_numbers_that_are_none_are_refused_with_the_sites_name(bad):
    h = host(Diary(site(), [Message(DMS, "tso", "goal", {"p_mw": bad})]))
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 60\.000 s: sent goal with p_mw not finite"):
        h.step(60_000, {})


def test_an_order_may_take_a_set_point_back_with_an_infinite_value_but_not_with_nan():
    taken_back = order("dso_1.f03.s2", device=np.array([101, 102]), q_set_mvar=np.array([np.inf, 0.5]))
    message, = host(Diary(site(), [taken_back])).step(0, {}).outputs["outbox"]
    assert np.isinf(message.values["q_set_mvar"][0])
    nonsense = order("dso_1.f03.s2", device=np.array([101, 102]), q_set_mvar=np.array([np.nan, np.inf]))
    with pytest.raises(ControllerError, match="sent command/control_voltage with q_set_mvar not finite"):
        host(Diary(site(), [nonsense])).step(0, {})


def test_gaps_in_an_estimate_go_to_the_logbook():
    v_pu = np.array([1.0, np.nan])
    values = {"feeder": "dso_1.f03", "node": np.array([2, 3]), "v_pu": v_pu}
    step = host(Diary(site(), [Message(DMS, LOGBOOK, "estimate", values)])).step(0, {})
    assert step.outputs["reports"][0].values["v_pu"] is v_pu


UNKNOWN = order("dso_1.f03.s2", device=np.array([101, 99]), q_set_mvar=np.array([0.25, 0.5]))
ODD = order("dso_1.f03.s2", device=np.array([101, 102]), q_set_mvar=np.array([0.25]))
WRONG = {
    "nan": (Message(DMS, "tso", "goal", {"p_mw": np.nan}), "sent goal with p_mw not finite"),
    "shape": (ODD, "sent command/control_voltage with 1 values of q_set_mvar for 2 of device"),
    "device": (UNKNOWN, "ordered device 99, which is none of its own (nearest: 100)"),
    "feeder": (order("dso_1.f04.s2"), "sent command/control_voltage to 'dso_1.f04.s2', where nobody is (did you mean "),
    "message": (3, "decide returned a int among its messages; return Message objects"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_sent_stops_the_run_or_is_left_out_and_told(case):
    bad, says = WRONG[case]
    places = ("tso", "dso_1.f03.s2")
    with pytest.raises(ControllerError, match=rf"^dso_1\.dms at 60\.000 s: {re.escape(says)}"):
        host(Diary(site(), [bad]), addresses=places).step(60_000, {})
    good = order("dso_1.f03.s2")
    h = host(Diary(site(), [bad, good, Message(DMS, LOGBOOK, "goal", {})]), falls_back=True, addresses=places)
    outputs = h.step(60_000, {}).outputs
    assert [m.values for m in outputs["outbox"]] == [good.values]
    assert [m.topic for m in outputs["reports"]] == ["goal"]
    (t_ms, where, kind, text, value), = outputs["alarms"]
    assert (t_ms, where, kind) == (60_000, DMS, "rejected")
    assert text.startswith(says)
    assert np.isnan(value)


class Broken(Diary):
    """Fails at first, then sends what it is given."""

    def decide(self, now_s, inbox):
        super().decide(now_s, inbox)
        if now_s < 60:
            raise self.fault
        return self.says


@pytest.mark.parametrize("fault", [IndexError("none left"), SystemExit(1), GridError("net: none"), MemoryError()])
def test_who_fails_and_falls_back_is_asked_again_at_its_next_turn(fault):
    broken, other = Broken(site(), [order("dso_1.f03.s2")]), Diary(site(), [order("dso_1.f03.s2")])
    broken.fault = fault
    h = host(broken, other, falls_back=True)
    step = h.step(0, deliver(mail("primary", 0.0)))
    assert len(step.outputs["outbox"]) == 1, "the other one decides all the same"
    (_, _, kind, text, _), = step.outputs["alarms"]
    assert (kind, text) == ("rejected", f"{type(fault).__name__}: {fault}")
    assert step.next_ms == 60_000
    step = h.step(60_000, {})
    assert "alarms" not in step.outputs
    assert len(step.outputs["outbox"]) == 2
    assert broken.seen == [(0.0, ["primary"]), (60.0, [])], "mail of a failed decision has been read"


def test_anothers_duty_is_refused_and_no_fault():
    h = host(Diary(site(), [order("dso_2.f03.s2", device=np.array([9]), q_set_mvar=np.ones(1))]), falls_back=True)
    outputs = h.step(0, {}).outputs
    assert set(outputs) == {"actions"}
    assert "not dso_1.dms's to move" in outputs["actions"][0].refused


@pytest.mark.parametrize("due_s", [np.nan, "later", [3.0]])
def test_a_time_that_is_none_does_not_put_anybody_off(due_s):
    diary = Diary(site())
    diary.due_s = due_s
    with pytest.raises(ControllerError, match=r"at 0\.000 s: put itself off until .*; due_s is a number of seconds"):
        host(diary).step(0, {})
    step = host(diary, falls_back=True).step(0, {})
    assert step.next_ms == 60_000
    assert step.outputs["alarms"][0][2] == "rejected"


def test_a_decision_that_does_not_come_back_ends_the_run_whatever_the_seat_falls_back_to():
    class Asleep(Diary):
        def decide(self, now_s, inbox):
            time.sleep(60)

    seat = Seat(site(), Asleep(site()), budget_s=0.5, falls_back=True)
    h = ControllerHost([seat], Responsibility("centralized", 2, {DMS: "dms"}).authorize, 60_000)
    with pytest.raises(OverdueError, match=r"dso_1\.dms at 0\.000 s: has not decided within 0\.5 s"):
        h.step(0, {})


def test_a_failure_names_site_and_time():
    broken = Broken(site())
    broken.fault = IndexError("none left")
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 0\.000 s: IndexError: none left"):
        host(broken).step(0, {})


def test_mail_that_waits_survives_a_restart():
    first, second = Diary(site()), Diary(site())
    a, b = host(first), host(second)
    a.step(0, {})
    a.step(1000, deliver(mail("primary", 1000.0)))
    b.set_state(a.get_state())
    a.step(60_000, {})
    b.step(60_000, {})
    assert second.seen == first.seen == [(0.0, []), (60.0, ["primary"])]


def test_what_two_controllers_of_a_place_share_is_one_thing_after_a_restart():
    def pair():
        one, other = Diary(site()), Diary(site())
        one.book = other.book = {"told": 1}
        return one, other

    first, second = pair(), pair()
    a, b = host(*first), host(*second)
    a.step(0, {})
    first[0].book["told"] = 2
    kept = a.get_state()
    first[0].book["told"] = 3
    for _ in range(2):  # a state can be restored more than once
        b.set_state(kept)
        assert second[0].book is second[1].book
        assert second[0].book == {"told": 2}
        second[0].book["told"] = 4


def test_a_kept_state_does_not_move_on_with_the_run():
    diary = Diary(site())
    h = host(diary)
    h.step(0, {})
    kept = h.get_state()
    h.step(60_000, {})
    assert kept["0:" + DMS]["controller"]["seen"] == [(0.0, [])]


def test_summary_of_what_a_command_moves():
    assert summary({"device": np.array([1, 2]), "p_max_mw": np.array([0.5, 0.25])}) == ("p_max_mw", 0.75, 2)
    assert summary({"line": np.array([4]), "closed": np.array([True])}) == ("closed", 1.0, 1)
    assert summary({"p_delta_mw": 12.0}) == ("p_delta_mw", 12.0, 1)
    assert summary({}) == ("", 0.0, 0)


def test_who_is_put_off_is_left_alone_until_then_and_urgent_mail_may_bring_the_turn_forward():
    lazy = Diary(site())
    lazy.due_s = 600.0
    other = Diary(site(AGENT, "agent", 300_000))
    h = host(lazy, other)
    assert h.step(0, {}).next_ms == 300_000
    lazy.due_s = 180.0
    step = h.step(90_000, deliver(mail("fault", 90_000.0)))
    assert step.next_ms == 180_000
    lazy.due_s = 900.0
    assert h.step(180_000, {}).next_ms == 300_000
    assert h.step(300_000, {}).next_ms == 600_000, "the turn at 600 s was moved to 180 s, and then to 900 s"
    h.step(600_000, {})
    assert [t for t, _ in lazy.seen] == [0.0, 90.0, 180.0]
    assert [t for t, _ in other.seen] == [0.0, 300.0, 600.0]


def test_a_turn_that_was_put_off_survives_a_restart():
    a, b = Diary(site()), Diary(site())
    a.due_s = b.due_s = 300.0
    first, second = host(a), host(b)
    first.step(0, {})
    second.set_state(first.get_state())
    assert second.step(60_000, {}).next_ms == 300_000
    assert [t for t, _ in b.seen] == [0.0]


@pytest.mark.parametrize("value", [np.full(3, 1e300), np.ones((1, 2)), np.array([1e200 + 1j]), np.array([], float)])
def test_large_or_many_numbers_are_numbers(value):
    message, = host(Diary(site(), [Message(DMS, "tso", "goal", {"v": value})])).step(0, {}).outputs["outbox"]
    assert message.values["v"] is value
