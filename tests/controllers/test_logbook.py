import math

import numpy as np

from controllers.contract import Site
from controllers.host import ControllerHost
from controllers.logbook import LOGBOOK, Standing, alarm, goal
from controllers.responsibility import Responsibility
from controllers.seat import Seat
from controllers.specimen import small_belief

SITE = Site("dso_1.dms", "dms", frozenset(), small_belief(), (), 60_000, np.random.default_rng(1), {})


def test_an_alarm_is_news_when_it_begins_and_again_after_it_has_been_away():
    standing = Standing(away=2)
    looks = [["a"], ["a", "b"], ["a"], [], ["a"], [], [], ["a", "b"]]
    assert [standing.news(look) for look in looks] == [["a"], ["b"], [], [], [], [], [], ["a", "b"]]


def test_with_patience_it_takes_some_looks_in_a_row():
    standing = Standing(patience=2)
    assert [standing.news(look) for look in (["a"], [], ["a"], ["a"], ["a"])] == [[], [], [], ["a"], []]


def test_goals_say_what_they_are_about():
    told = goal(SITE, "observe", {"feeder": "f1"}, p_mw=1.5)
    assert (told.receiver, told.topic) == (LOGBOOK, "goal")
    assert told.values == {"duty": "observe", "feeder": "f1", "p_mw": 1.5}


class Alarmed:
    urgent = frozenset()

    def __init__(self, site):
        self.site = site

    def decide(self, now_s, inbox):
        return [alarm(self.site, "voltage", "too high", 1.07), alarm(self.site, "trip", "line 3"),
                goal(self.site, "observe", p_mw=1.0)]


def test_the_host_hands_alarms_on_apart_from_other_reports():
    host = ControllerHost([Seat(SITE, Alarmed(SITE))], Responsibility("centralized", 2).authorize, 60_000)
    outputs = host.step(60_000, {}).outputs
    first, second = outputs["alarms"]
    assert first == (60_000, "dso_1.dms", "voltage", "too high", 1.07)
    assert second[:4] == (60_000, "dso_1.dms", "trip", "line 3")
    assert math.isnan(second[4])
    assert [m.topic for m in outputs["reports"]] == ["goal"]
    assert "outbox" not in outputs, "neither travels"
