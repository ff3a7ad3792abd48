import numpy as np

from controllers.local.crew import Crew
from sims.core.message import Message


def called(kit, line=12, seed_site="dso_1.crew", settings=None):
    field = kit.field(kit.feeder("oberrhein"), load=0.6)
    mail = field.strike(line, 0)
    values = {"feeder": field.belief.name, "tripped_line": mail[0].values["tripped_line"],
              "passed": np.array([m.values["line"] for m in mail[1:]])}
    call = Message(field.belief.name, seed_site, "outage_call", values, sent_ms=0)
    return field, Crew(kit.site([field.belief], name=seed_site, actor="crew", settings=settings)), call


def minutes_until_switched(crew, call, most=400):
    crew.decide(0.0, [call])
    for k in range(1, most):
        out = crew.decide(60.0 * k, [])
        if out:
            return k, out
    return most, []


def test_switches_after_a_drive_of_about_the_median(kit):
    field, crew, call = called(kit)
    k, out = minutes_until_switched(crew, call)
    assert 20 <= k <= 110
    assert out[0].topic == "command/restore_supply"
    assert out[0].receiver == field.belief.name
    field.obey(out)
    assert field.trips == 0
    assert (field.load * field.belief.load_mw)[~field.topology.live].sum() == 0
    assert crew.decide(60.0 * 500, []) == []


def test_median_of_many_drives(kit):
    field, crew, call = called(kit)
    ready = []
    for _ in range(2000):
        crew.decide(0.0, [call])
        ready.append(crew._jobs.pop(field.belief.name).ready_ms / 60_000)
    assert abs(np.median(ready) - 45) < 1.5
    assert abs(np.log(np.array(ready)).std() - 0.3) < 0.02


def test_same_seed_same_drive_and_repeated_calls_are_one_job(kit):
    _, a, call = called(kit)
    _, b, _ = called(kit)
    b.decide(0.0, [call, call])
    assert minutes_until_switched(a, call)[0] == minutes_until_switched(b, call)[0]


def test_turns_round_where_somebody_was_faster(kit):
    field, crew, call = called(kit)
    crew.decide(0.0, [call])
    done = {"feeder": field.belief.name, "line": np.array([12]), "closed": np.array([False])}
    crew.decide(120.0, [Message("dso_1.dms", "dso_1.crew", "switched", done, sent_ms=110_000)])
    assert minutes_until_switched(crew, Message("x", "y", "other"))[1] == []


def test_finds_nothing_to_do_without_a_tripped_breaker(kit):
    field, crew, _ = called(kit)
    bare = Message(field.belief.name, "dso_1.crew", "outage_call", {"feeder": field.belief.name}, sent_ms=0)
    _, out = minutes_until_switched(crew, bare)
    assert [m.topic for m in out] == ["goal"]
    elsewhere = Message("dso_9.f01", "dso_1.crew", "outage_call", {"feeder": "dso_9.f01"}, sent_ms=0)
    assert minutes_until_switched(crew, elsewhere)[1] == []
