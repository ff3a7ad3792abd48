"""What the operator is told when it begins, and who is named as nearest."""

import dataclasses

import numpy as np
import pytest

from controllers.centralized.watch import Watch
from controllers.dms.gis import electrical_ohm
from sims.core.message import Message


@pytest.fixture
def noon(kit):
    """A feeder that sun lifts above 1.05 pu, and its watch."""
    field = kit.field(kit.feeder("oberrhein", pv=2.2), load=0.2, sun=1.0)
    field.solve()
    return field, Watch(kit.site([field.belief]))


def mail(field, t_ms):
    return [field.primary(t_ms), *field.secondary(t_ms)]


def told(out):
    return [(m.values["kind"], m.values["text"], m.values["value"]) for m in out if m.topic == "alarm"]


def test_a_violation_is_told_once_with_the_resources_that_act_most_on_it(noon):
    field, watch = noon
    worst = int(np.where(field.topology.at >= 0, np.abs(field.v), 0).argmax())
    assert np.abs(field.v)[worst] > 1.05
    (_, text, value), *rest = [t for t in told(watch.decide(60.0, mail(field, 0))) if t[0] == "voltage"]
    assert not rest
    assert value == pytest.approx(np.abs(field.v)[worst], abs=2e-3)
    bus = int(field.belief.grid.node_bus[worst])
    assert text.startswith(f"dso_1.f01: {value:.3f} pu at bus {bus}; nearest: ")
    devices = field.belief.devices
    able = devices.node[devices.controllable]
    best = able[np.nanargmax(electrical_ohm(field.topology, worst)[able])]
    assert f" at {field.belief.gateways[best]} (" in text.split(",")[0]
    assert not [t for t in told(watch.decide(360.0, mail(field, 300_000))) if t[0] == "voltage"], "it stands"


def test_it_is_news_again_once_it_has_been_away(noon):
    field, watch = noon
    assert told(watch.decide(60.0, mail(field, 0)))
    field.sun = 0.0
    field.solve()
    for k in range(1, 4):
        assert not [t for t in told(watch.decide(60.0 + 300 * k, mail(field, 300_000 * k))) if t[0] == "loading"]
    field.sun = 1.0
    field.solve()
    assert [t[0] for t in told(watch.decide(1260.0, mail(field, 1_200_000)))].count("loading") == 1


def test_a_gross_error_is_named_by_its_bus(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.5)
    frames = field.secondary(0, np.random.default_rng(1))
    bad = frames[7]
    frames[7] = Message(bad.sender, bad.receiver, "secondary", {**bad.values, "v_pu": 1.10}, sent_ms=0)
    found = told(Watch(kit.site([field.belief])).decide(60.0, [field.primary(0), *frames]))
    bus = int(field.belief.grid.node_bus[bad.values["node"]])
    assert [text for kind, text, _ in found if kind == "bad_data"] == [f"dso_1.f01: voltage of bus {bus} left out"]


def test_clean_telemetry_and_a_healthy_grid_raise_nothing(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.5)
    watch, rng = Watch(kit.site([field.belief])), np.random.default_rng(1)
    for k in range(12):
        frames = [field.primary(300_000 * k), *field.secondary(300_000 * k, rng)]
        assert not told(watch.decide(60.0 + 300 * k, frames))


def test_silence_and_its_end(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.5)
    watch = Watch(kit.site([field.belief]))
    assert not told(watch.decide(60.0, mail(field, 0)))
    assert not told(watch.decide(180.0, []))
    assert told(watch.decide(240.0, [])) == [("telemetry", "nothing heard of dso_1.f01 for 240 s", 240.0)]
    assert not told(watch.decide(300.0, []))
    assert not told(watch.decide(360.0, mail(field, 330_000)))
    assert len(told(watch.decide(600.0, []))) == 1


def test_a_trip_is_told_when_it_is_heard_of(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.5)
    watch = Watch(kit.site([field.belief]))
    assert "fault" in watch.urgent
    trip = Message("dso_1.f01", "dso_1.dms", "fault", {"tripped_line": np.array([3])}, sent_ms=5)
    stranger = dataclasses.replace(trip, sender="dso_9.f01")
    assert told(watch.decide(1.0, [trip, stranger])) == [("trip", "dso_1.f01: the breaker of line 3 has tripped", 3.0)]


def test_substations_nobody_ever_heard_of_are_named(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.5)
    watch, found = Watch(kit.site([field.belief])), []
    silent = [m.values["node"] for m in field.secondary(0)][:12]
    for k in range(6):
        frames = [m for m in field.secondary(300_000 * k) if m.values["node"] not in silent]
        found += [(k, t) for t in told(watch.decide(60.0 + 300 * k, [field.primary(300_000 * k), *frames]))]
    buses = ", ".join(str(field.belief.grid.node_bus[n]) for n in sorted(silent)[:10])
    assert found == [(3, ("telemetry", f"dso_1.f01: never heard of bus {buses} and 2 more", 12.0))]
