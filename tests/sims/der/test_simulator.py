import datetime as dt

import numpy as np
import pytest

from controllers.local.cap import FeedInCap
from controllers.local.cosphi import CosPhi
from controllers.local.fcr import Containment
from controllers.local.inertia import SyntheticInertia
from controllers.local.pf import PowerFrequency
from controllers.local.pu import PowerVoltage
from controllers.local.qu import ReactiveVoltage
from sims.core.errors import ModelError, ScenarioError
from sims.core.harness import Harness
from sims.core.message import Message
from sims.core.ports import Ports, Step, items, one
from sims.der.fleet import DeviceTable
from sims.der.law import Bound
from sims.der.profiles import Profiles
from sims.der.simulator import DerSettings, DerSimulator
from sims.der.storage import StorageSettings

MIN = 60_000
TICK = 15 * MIN
LOAD, PV, BIG_PV, BATTERY, EV = range(5)
PLAIN = DerSettings(storage=StorageSettings(1.0, 1.0, 0.0, 1.0, 0.0), ramp_share_per_s=1.0)


def profiles(sun=(0.0, 0.5, 1.0, 1.0, 0.9, 0.0), start="2016-07-18T10:00+02:00"):
    values = np.array([[0.5, s] for s in sun])
    return Profiles(("H_p", "S_p"), values, 0, TICK, dt.datetime.fromisoformat(start))


def table(**changes):
    columns = {
        "name": ["load", "pv", "bigpv", "battery", "ev"], "kind": ["load", "pv", "pv", "storage", "ev"],
        "feeder": [0, 0, 1, 1, 1], "node": [1, 1, 1, 2, 3], "dso": [0, 0, 1, 1, 1],
        "p_rated_mw": [1.0, 1.0, 2.0, 1.0, 0.011],
        "s_rated_mva": [2.0, 1.25, 2.5, 1.25, 0.02], "profile": ["H", "S", "S", "", ""], "cos_phi": [0.8, 1, 1, 1, 1],
        "e_rated_mwh": [0, 0, 0, 2.0, 0], "vehicles": [0, 0, 0, 0, 1], **changes,
    }
    return DeviceTable.of(feeder_names=("north", "south"), dso_names=("d0", "d1"), **columns)


def simulator(laws=(), *, authorize=lambda *_: None, settings=PLAIN, given=None, **more):
    given = given or table()
    return DerSimulator(
        given, more.pop("profiles", profiles()), sources={"west": given.of_dso(0), "east": given.of_dso(1)},
        laws=[Bound(law, np.array(devices)) for law, devices in laws], authorize=authorize, step_ms=TICK,
        until_ms=more.pop("until_ms", 6 * TICK), seed=1, settings=settings, **more,
    )


def reports(sim, p=None, v=1.0, f=50.0):
    """What the distribution simulators would return: realised power, as planned if not given."""
    p = sim.out["p"] if p is None else np.asarray(p, float)
    v = np.broadcast_to(np.asarray(v, float), p.shape)
    of = {"west": sim.table.of_dso(0), "east": sim.table.of_dso(1)}
    return {
        "v_pu": {k: v[i] for k, i in of.items()}, "p_real_mw": {k: p[i] for k, i in of.items()},
        "f_hz": {"transmission": np.full(2, f)},
    }


def order(duty="manage_congestion", ttl_ms=0, sent_ms=0, **values):
    return Message("dms", "der", f"command/{duty}", values, sent_ms=sent_ms, ttl_ms=ttl_ms)


def test_profiles_become_injections():
    out = simulator().step(0, {}).outputs
    assert out["p_mw"][[LOAD, PV, BIG_PV]].tolist() == pytest.approx([-0.5, 0.0, 0.0])
    assert out["q_mvar"][LOAD] == pytest.approx(-0.375)
    sim = simulator()
    sim.step(0, {})
    step = sim.step(TICK, {})
    assert step.outputs["p_mw"][[PV, BIG_PV]].tolist() == pytest.approx([0.5, 1.0])
    assert step.outputs["p_avail_mw"][BIG_PV] == pytest.approx(1.0)
    assert step.next_ms == 2 * TICK


def test_the_first_step_needs_no_reports_and_the_next_is_always_named():
    assert simulator().step(0, {}).next_ms == TICK
    assert simulator().step(7 * MIN, {}).next_ms == TICK


def test_energy_is_integrated_once_with_the_realised_power():
    given = table(node=[1, 1, 1, 1, 3])
    sim = simulator(given=given)
    sim.step(0, {})
    sim.step(TICK, reports(sim))
    assert sim.out["p"][BATTERY] == pytest.approx(-1.0)
    before = float(sim.dispatch.storage.e_mwh[0])
    real = sim.out["p"].copy()
    real[BATTERY] = -0.6
    for now in (TICK, TICK + 5 * MIN, TICK + 5 * MIN, TICK + 12 * MIN, 2 * TICK, 2 * TICK):
        sim.step(now, reports(sim, real))
    assert sim.dispatch.storage.e_mwh[0] - before == pytest.approx(0.6 * 0.25, abs=1e-9)


def test_charging_ends_when_full_whatever_the_number_of_steps():
    given = table(node=[1, 1, 1, 1, 3], soc_start=0.9)
    sim = simulator(given=given, profiles=profiles([1.0] * 6))
    for k in range(6):
        sim.step(k * TICK, reports(sim) if k else {})
    assert sim.dispatch.storage.soc[0] == pytest.approx(1.0, abs=1e-9)
    assert sim.out["p"][BATTERY] == pytest.approx(0.0, abs=1e-9)


def test_a_command_acts_at_the_next_tick_holds_and_falls_back():
    sim = simulator([(CosPhi(), [PV, BIG_PV])])
    sim.step(0, {})
    sim.step(TICK, reports(sim))
    orders = [order(device=[BIG_PV], p_max_mw=[0.4], ttl_ms=30 * MIN, sent_ms=TICK),
              order("control_voltage", device=[BIG_PV], q_set_mvar=[0.25], ttl_ms=30 * MIN, sent_ms=TICK)]
    assert sim.step(TICK + MIN, reports(sim)).outputs == {}  # between ticks nothing changes
    assert sim.out["p"][BIG_PV] == pytest.approx(1.0)
    out = sim.step(2 * TICK, {**reports(sim), "commands": {"comms": tuple(orders)}}).outputs
    assert [(a.actor, a.quantity, a.refused) for a in out["acts"] if a.actor == "dms"] == [
        ("dms", "p_max_mw", ""), ("dms", "q_set_mvar", "")
    ]
    assert (out["p_mw"][BIG_PV], out["q_mvar"][BIG_PV]) == pytest.approx((0.4, 0.25))
    assert out["p_avail_mw"][BIG_PV] == pytest.approx(2.0)
    out = sim.step(3 * TICK, reports(sim)).outputs  # expired: cos phi(P) again, at full power 0.9 under-excited
    assert out["p_mw"][BIG_PV] == pytest.approx(2.0)
    assert out["q_mvar"][BIG_PV] == pytest.approx(-2.0 * np.tan(np.arccos(0.9)))


def test_a_refused_command_leaves_the_device_unmoved():
    rule = "manage_congestion belongs to the dso from stage 2"
    moved, still = simulator(authorize=lambda *_: rule), simulator()
    orders = {"commands": {"comms": [order(device=[BIG_PV], p_set_mw=[0.1])]}}
    step = moved.step(0, orders)
    assert [(a.actor, a.asset, a.refused) for a in step.outputs["acts"]] == [("dms", "south", rule)]
    still.step(0, {})
    for k in range(1, 4):
        a, b = moved.step(k * TICK, reports(moved)).outputs, still.step(k * TICK, reports(still)).outputs
        assert (a["p_mw"] == b["p_mw"]).all()


def test_set_points_of_storage_and_ev():
    sim = simulator()
    sim.step(0, {"commands": {"comms": [order(device=[BATTERY, EV], p_set_mw=[0.7, 0.0])]}})
    out = sim.step(TICK, reports(sim)).outputs
    assert out["p_mw"][[BATTERY, EV]].tolist() == pytest.approx([0.7, 0.0])
    energy = sim.step(2 * TICK, reports(sim)).outputs["energy"]
    assert energy["storage_soc_mwh"].tolist() == pytest.approx([0.0, 1.0 - 0.7 * 0.5])
    assert energy["ev_unmet_mwh"].tolist() == [0.0, 0.0]


def test_a_set_point_is_reached_by_ramp():
    slow = DerSettings(storage=PLAIN.storage, ramp_share_per_s=0.2 / (15 * 60))
    sim = simulator(settings=slow, profiles=profiles([1.0] * 6))
    sim.step(0, {"commands": {"comms": [order(device=[PV], p_max_mw=[0.5])]}})
    powers = [sim.step(k * TICK, reports(sim)).outputs["p_mw"][PV] for k in range(1, 5)]
    assert powers == pytest.approx([0.5, 0.5, 0.5, 0.5])
    sim = simulator(settings=slow, profiles=profiles([1.0] * 6))
    sim.step(0, {})
    sim.step(MIN, {"commands": {"comms": [order(device=[PV], p_max_mw=[0.5])]}})
    powers = [sim.step(k * TICK, reports(sim)).outputs["p_mw"][PV] for k in range(1, 5)]
    assert powers == pytest.approx([0.8, 0.6, 0.5, 0.5])


def test_characteristics_are_handed_over_as_curve_and_amplitude():
    sim = simulator([(FeedInCap(), [PV]), (ReactiveVoltage(2), [PV, BIG_PV]), (PowerVoltage(2), [PV, BIG_PV])])
    for k in range(3):
        out = sim.step(k * TICK, reports(sim) if k else {}).outputs
    assert [c.name for c in sim.curves] == ["qu", "pu"]
    assert sim.curve_qu.tolist() == [-1, 0, 0, -1, -1]
    assert sim.curve_pu.tolist() == [-1, 1, 1, -1, -1]
    assert (sim.curve_pf == -1).all()
    assert out["p_mw"][[PV, BIG_PV]].tolist() == pytest.approx([0.7, 2.0])
    assert out["pu_mw"][[PV, BIG_PV]].tolist() == pytest.approx([0.7, 2.0])
    assert out["qu_mvar"][[PV, BIG_PV]].tolist() == pytest.approx([0.4843, 0.9686])


def test_reactive_amplitude_stays_inside_the_apparent_power():
    sim = simulator([(ReactiveVoltage(1), [PV])], given=table(s_rated_mva=[2.0, 1.05, 2.5, 1.25, 0.02]))
    for k in range(3):
        out = sim.step(k * TICK, reports(sim) if k else {}).outputs
    assert out["qu_mvar"][PV] == pytest.approx(np.sqrt(1.05**2 - 1))


def test_two_laws_in_one_slot_are_refused():
    with pytest.raises(ScenarioError, match="device 'battery' carries both fcr and pf"):
        simulator([(Containment(1), [BATTERY]), (PowerFrequency(1), [BATTERY])])


def test_laws_leave_a_trace_when_they_begin_and_end_on_a_feeder():
    sim = simulator([(FeedInCap(), [PV, BIG_PV]), (PowerVoltage(2), [PV, BIG_PV])])
    seen = []
    for k in range(6):
        v = 1.11 if k in (3, 4) else 1.0
        seen += [(k, a) for a in sim.step(k * TICK, reports(sim, v=v) if k else {}).outputs["acts"]]
    found = [(k, a.duty, a.asset, round(a.value, 3), a.count) for k, a in seen if a.asset == "south"]
    assert found == [
        (2, "manage_congestion", "south", -0.6, 1),   # cap begins: 2.0 -> 1.4
        (3, "manage_congestion", "south", -0.7, 1),   # P(U) began in the step before: half of 1.4
        (5, "manage_congestion", "south", 0.0, 0),
        (5, "manage_congestion", "south", 0.0, 0),
    ]
    assert all(a.actor == "device" and a.quantity == "p_mw" for _, a in seen)


def test_dark_nodes_feed_nothing_and_poison_nothing():
    sim = simulator([(PowerFrequency(2), [PV, BIG_PV]), (ReactiveVoltage(2), [PV, BIG_PV])])
    sim.step(0, {})
    p = sim.out["p"].copy()
    p[PV] = np.nan
    v = np.array([1.0, np.nan, 1.0, 1.0, 1.0])
    out = sim.step(TICK, reports(sim, p, v)).outputs
    assert out["p_mw"][PV] == 0.0
    assert all(np.isfinite(values).all() for values in out.values() if isinstance(values, np.ndarray))


def test_what_does_not_fit_is_named():
    sim = simulator()
    with pytest.raises(ModelError, match="comes from 'nord', known are west, east"):
        sim.step(0, {"v_pu": {"nord": np.ones(2)}})
    with pytest.raises(ModelError, match="values for"):
        sim.step(0, {"v_pu": {"west": np.ones(3)}})
    with pytest.raises(ScenarioError, match="the run needs"):
        simulator(until_ms=7 * TICK)


def test_continues_bit_by_bit_from_its_state():
    laws = [(CosPhi(), [PV, BIG_PV])]
    one, two = simulator(laws), simulator(laws)
    one.step(0, {"commands": {"comms": [order(device=[BATTERY], p_set_mw=[0.3])]}})
    one.step(TICK, reports(one))
    two.set_state(one.get_state())
    a, b = one.step(2 * TICK, reports(one)).outputs, two.step(2 * TICK, reports(one)).outputs
    arrays = [name for name, values in a.items() if isinstance(values, np.ndarray)]
    assert len(arrays) == 6
    assert all((a[name] == b[name]).all() for name in arrays)


def test_fast_response_freezes_trips_and_returns():
    sim = simulator([(PowerFrequency(2), [PV, BIG_PV]), (Containment(1), [BATTERY])], profiles=profiles([1.0] * 6))
    sim.step(0, {})
    assert (sim.respond_fast(np.array([50.0, 50.0]), 0.02) == 0).all()
    for _ in range(500):
        change = sim.respond_fast(np.array([50.0, 50.8]), 0.02)
    assert change[[PV, BIG_PV]].tolist() == pytest.approx([0.0, -0.24 * 2.0], rel=1e-6)
    # half of the rating up to 200 mHz and 2 % droop beyond, 1.1 times the rating: it charges with all it has
    assert change[BATTERY] == pytest.approx(-1.0, rel=1e-6)
    for _ in range(50):
        change = sim.respond_fast(np.array([50.0, 51.6]), 0.02)
    assert change[BIG_PV] == pytest.approx(-2.0)


def test_time_spent_fast_is_not_counted_again_at_the_tick():
    sim = simulator([(PowerFrequency(1), [BIG_PV])], profiles=profiles([1.0] * 6))
    sim.step(0, {})
    for _ in range(10):
        sim.respond_fast(np.array([50.0, 51.6]), 0.02)
    sim.respond_fast(np.array([50.0, 50.0]), float(TICK / 1000 - 60.0))
    still_off = sim.step(TICK, reports(sim)).outputs["p_mw"][BIG_PV]
    assert 0 < still_off < 2.0 + 1e-9


def test_what_laws_did_while_frequency_moved_fast_is_told_at_the_next_tick():
    sim = simulator([(PowerFrequency(2), [PV, BIG_PV])], profiles=profiles([1.0] * 6))
    sim.step(0, {})
    for _ in range(500):
        sim.respond_fast(np.array([50.0, 50.8]), 0.02)
    acts = sim.step(TICK, reports(sim)).outputs["acts"]
    assert [(a.duty, a.asset, round(a.value, 3), a.count) for a in acts] == [
        ("contain_frequency", "south", -0.48, 1), ("contain_frequency", "south", 0.0, 0)
    ]


def test_an_old_window_does_not_fake_a_slope():
    inertia = SyntheticInertia(np.array([1.0]), filter_s=1e-9)
    sim = simulator([(inertia, [BATTERY])])
    sim.step(0, {})
    for _ in range(10):
        sim.respond_fast(np.full(2, 49.9), 0.02)
    sim.step(TICK, reports(sim))
    assert (sim.respond_fast(np.full(2, 50.0), 0.02) == 0).all()
    assert sim.respond_fast(np.full(2, 49.98), 0.02)[BATTERY] == pytest.approx(0.45)


def test_reactive_power_first_takes_from_active_power():
    first = DerSettings(storage=PLAIN.storage, ramp_share_per_s=1.0, q_first=True)
    given = table(s_rated_mva=[2.0, 1.0, 2.5, 1.25, 0.02])
    sim = simulator([(ReactiveVoltage(1), [PV])], settings=first, given=given, profiles=profiles([1.0] * 6))
    out = sim.step(0, {}).outputs
    assert out["qu_mvar"][PV] == pytest.approx(0.4843)
    assert out["p_mw"][PV] == pytest.approx(np.sqrt(1 - 0.4843**2))


class Letterbox:
    """Holds, at each grid tick, what came since the last: one order, seven minutes after the start."""

    ports = Ports(writes=("box",))

    def step(self, now_ms, inputs):
        mail = (order(device=[BIG_PV], p_max_mw=[0.1], sent_ms=7 * MIN),) if now_ms == TICK else ()
        return Step(now_ms + TICK, {"box": mail})


class Grid:
    """A distribution grid without losses or limits: what is fed in is realised."""

    ports = Ports(reads=("p_mw",), writes=("p_real_mw",))

    def __init__(self, index):
        self.index = index

    def step(self, now_ms, inputs):
        return Step(now_ms + TICK, {"p_real_mw": one(inputs, "p_mw")[self.index]})


class Reader:
    ports = Ports(reads=("p_mw", "acts"))

    def __init__(self):
        self.power, self.acts = {}, []

    def step(self, now_ms, inputs):
        self.power[now_ms] = one(inputs, "p_mw")[BIG_PV]
        self.acts += items(inputs, "acts")
        return Step(now_ms + TICK)


def test_in_a_world_an_order_off_the_grid_acts_once_at_the_next_tick():
    sim, reader = simulator(profiles=profiles([1.0] * 6)), Reader()
    with Harness() as world:
        for name, model in (("letterbox", Letterbox()), ("der", sim), ("west", Grid(sim.table.of_dso(0))),
                            ("east", Grid(sim.table.of_dso(1))), ("reader", reader)):
            world.add(name, model)
        world.connect("letterbox", "box", "der", "commands")
        for name in ("west", "east"):
            world.connect("der", "p_mw", name)
            world.connect(name, "p_real_mw", "der", shifted=True, initial=None)
        for port in ("p_mw", "acts"):
            world.connect("der", port, "reader")
        world.run(4 * TICK)
    assert [(a.t_ms, a.asset, a.refused) for a in reader.acts] == [(TICK, "south", "")]
    assert reader.power == pytest.approx({0: 2.0, TICK: 0.1, 2 * TICK: 0.1, 3 * TICK: 0.1})
