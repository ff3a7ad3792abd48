import dataclasses

import numpy as np
import pytest

from controllers.bench import rows
from controllers.contract import Site
from controllers.distributed.observe import ObserveArea
from controllers.host import ControllerHost
from controllers.postmark import franked
from controllers.seat import Seat
from controllers.specimen import small_belief, small_feeder
from sims.core.bundle import Bundle, unbundled
from sims.core.errors import ControllerError

NAMES = small_feeder().agents


class Alone(ObserveArea):
    """One that sits on no bench."""

    bench = None


def seats(cls, **kw):
    sites = [
        Site(name, "agent", frozenset({"observe"}), small_belief(k), (), 60_000, np.random.default_rng(k),
             {"shared": {}})
        for k, name in enumerate(NAMES)
    ]
    return [Seat(site, cls(site), **kw) for site in sites]


def host(cls):
    return ControllerHost(seats(cls), lambda *_: None, 60_000)


def noon(world, minute, rng):
    """Return what is measured in a minute, with an error of its own for each value."""
    world.v0 = 1.01 + 0.01 * rng.standard_normal()
    world.solve()
    now_ms = 60_000 * minute
    mail = [world.own(a, now_ms) for a in range(4)] + [world.primary(now_ms)]
    mail += [world.secondary(n, now_ms) for n in range(2, 8)] if minute % 15 == 0 else []
    return [
        dataclasses.replace(m, values={
            key: value * (1 + 0.002 * rng.standard_normal(np.shape(value))) if key[:2] in ("v_", "p_", "q_") else value
            for key, value in m.values.items()
        })
        for m in mail
    ]


def lived(made, physics, minutes, *, opened=False, restart=None):
    """Run a host; return what it writes and reports, by time. Letters come as they are, or `opened` as messages."""
    rng, world, told = np.random.default_rng(1), physics(v0=1.01, pv_mw=1.0, load_mw=0.6), []
    for minute in range(minutes):
        mail = noon(world, minute, rng)
        for turn in range(10):
            now_ms = 60_000 * minute + 100 * turn
            step = made.step(now_ms, {"mail": {"comms": mail}})
            out = step.outputs.get("outbox", [])
            told += [(now_ms, m.sender, m.receiver, m.values) for m in unbundled(out)]
            told += [(now_ms, m.sender, m.topic, m.values) for m in step.outputs.get("reports", ())]
            mail = [
                item.arrived(np.arange(len(item)), np.full(len(item), now_ms + 50.0)) if isinstance(item, Bundle)
                else dataclasses.replace(item, arrived_ms=now_ms + 50.0)
                for item in (unbundled(out) if opened else out)
            ]
            if (minute, turn) == restart:
                made, state = host(ObserveArea), made.get_state()
                made.set_state(state)
            if not mail:
                break
    return told


def same(ones, others):
    assert len(ones) == len(others) > 0
    for one, other in zip(sorted(ones, key=repr), sorted(others, key=repr), strict=True):
        assert one[:3] == other[:3]
        assert one[3].keys() == other[3].keys()
        for name, value in one[3].items():
            assert np.array_equal(value, other[3][name]), (one[:3], name)


@pytest.mark.parametrize("opened", [False, True])
def test_on_a_bench_each_decides_as_it_does_alone(physics, opened):
    together = lived(host(ObserveArea), physics, 31, opened=opened)
    same(together, lived(host(Alone), physics, 31))
    letters = [row for row in together if "line" in row[3]]
    assert len(letters) >= 7 * 2 * 3, "seven cycles over three lines, both ways"
    assert {row[1] for row in together if row[2] == "estimate"} == set(NAMES)


@pytest.mark.parametrize("turn", [0, 1])
def test_a_restart_in_mid_cycle_goes_on_alike(physics, turn):
    same(lived(host(ObserveArea), physics, 21, restart=(10, turn)), lived(host(ObserveArea), physics, 21))


def test_letters_leave_a_bench_as_one_bundle(physics):
    world = physics(v0=1.01)
    world.solve()
    mail = [world.own(a, 0) for a in range(4)] + [world.primary(0)]
    bundle, = host(ObserveArea).step(0, {"mail": {"comms": mail}}).outputs["outbox"]
    assert isinstance(bundle, Bundle)
    assert len(bundle) == 6
    assert bundle.sent_ms == 0


def test_who_has_hours_of_its_own_sits_alone():
    one, other, third, fourth = seats(ObserveArea)
    one.spans_ms = ((0, 60_000),)
    other.budget_s = 1.0
    row, = rows([one, other, third, fourth])
    assert row.numbers == [2, 3]
    assert rows(seats(Alone)) == []
    assert rows(seats(type("Mine", (ObserveArea,), {}))) == [], "who derives a class decides for itself"


def test_letters_to_somebody_else_come_as_messages(physics):
    world = physics(v0=1.01)
    world.solve()
    mail = [world.own(a, 0) for a in range(4)] + [world.primary(0)]
    bundle, = host(ObserveArea).step(0, {"mail": {"comms": mail}}).outputs["outbox"]
    row, = rows(seats(ObserveArea)[:3])
    assert row.takes(bundle) == []
    assert row.letters == []


def test_a_number_that_is_none_is_told_of_its_sender(physics):
    world = physics(v0=1.01)
    world.solve()
    mail = [world.own(a, 0) for a in range(4)] + [world.primary(0)]
    bundle, = host(ObserveArea).step(0, {"mail": {"comms": mail}}).outputs["outbox"]
    off = dataclasses.replace(bundle, values={**bundle.values, "p_mw": np.where(np.arange(6) == 4, np.nan, 0.0)})
    sender = bundle.addresses.senders[bundle.rows[4]]
    with pytest.raises(ControllerError, match="sent boundary with p_mw not finite") as err:
        franked([off], 0)
    assert sender in str(err.value)
