import numpy as np
import pytest

from controllers.local.trips import Trips, TripSettings
from sims.der.fleet import DeviceTable
from sims.der.law import Bound
from sims.der.lawbook import LawBook

DT = 0.02


def run(law, terminal, seconds, dt=DT, **given):
    p = q = None
    at = terminal(**{"q_mvar": 0.3, "f_hz": 60.0, **given})
    for _ in range(round(seconds / dt)):
        p, q = law.respond(at, dt)
    return p[0], q[0]


def test_a_dip_shorter_than_its_clearing_time_is_ridden_through(terminal):
    law = Trips(1)
    assert run(law, terminal, 20.9, v_pu=0.8) == (1.0, 0.3)
    assert run(law, terminal, 1.0, v_pu=1.0) == (1.0, 0.3)
    assert run(law, terminal, 20.9, v_pu=0.8) == (1.0, 0.3), "the timer has begun anew"


@pytest.mark.parametrize(
    ("given", "clears_s"),
    [({"v_pu": 0.8}, 21.0), ({"v_pu": 0.4}, 2.0), ({"v_pu": 1.15}, 13.0), ({"v_pu": 1.25}, 0.16),
     ({"f_hz": 61.5}, 300.0), ({"f_hz": 62.5}, 0.16), ({"f_hz": 58.0}, 300.0), ({"f_hz": 56.0}, 0.16)],
)  # fmt: skip
def test_each_threshold_has_its_clearing_time(terminal, given, clears_s):
    law = Trips(1)
    if clears_s > 100:
        run(law, terminal, clears_s - 10.0, dt=0.1, **given)
        clears_s = 10.0
    assert run(law, terminal, clears_s - DT, **given) == (1.0, 0.3)
    assert run(law, terminal, DT, **given) == (0.0, 0.0)


def test_return_after_the_delay_and_by_the_ramp(terminal):
    law = Trips(1)
    run(law, terminal, 0.2, f_hz=62.5)
    assert run(law, terminal, 290.0, dt=0.1) == (0.0, 0.0)
    assert run(law, terminal, 9.0) == (0.0, 0.0)
    run(law, terminal, 1.0)
    assert run(law, terminal, 30.0)[0] == pytest.approx(0.1, abs=2e-4)
    assert run(law, terminal, 150.0)[0] == pytest.approx(0.6, abs=2e-4)
    assert run(law, terminal, 151.0, dt=0.1)[0] == pytest.approx(1.0)


def test_a_disturbance_before_the_return_begins_the_delay_anew(terminal):
    law = Trips(1, TripSettings(delay_s=10.0, ramp_s=1.0))
    run(law, terminal, 0.2, f_hz=62.5)
    run(law, terminal, 9.0)
    run(law, terminal, 1.0, v_pu=1.06)
    assert run(law, terminal, 9.0)[0] == 0.0
    assert run(law, terminal, 3.0)[0] == 1.0


def test_momentary_cessation_stops_at_once_and_goes_on_without_delay(terminal):
    law = Trips(1, TripSettings(cease_v_pu=(0.5, 1.1)))
    assert run(law, terminal, 0.08, v_pu=0.4) == (1.0, 0.3)
    assert run(law, terminal, 0.02, v_pu=0.4) == (0.0, 0.0), "within 83 ms"
    assert run(law, terminal, 1.5, v_pu=0.4) == (0.0, 0.0)
    assert law.off.tolist() == [True]
    assert run(law, terminal, 0.38, v_pu=0.97) == (0.0, 0.0)
    assert run(law, terminal, 0.02, v_pu=0.97) == (1.0, 0.3), "no delay to return to service, no ramp"
    assert run(law, terminal, 5.0, v_pu=1.15) == (0.0, 0.0)
    assert run(law, terminal, 8.1, v_pu=1.15) == (0.0, 0.0)
    assert run(law, terminal, 60.0, v_pu=1.0) == (0.0, 0.0), "it has tripped after 13 s"


def test_cessation_survives_a_restart_and_steps_of_minutes(terminal):
    law, twin = (Trips(1, TripSettings(cease_v_pu=(0.5, 1.1))) for _ in range(2))
    run(law, terminal, 1.0, v_pu=0.4)
    twin.set_state(law.get_state())
    assert run(twin, terminal, 0.2, v_pu=1.0) == (0.0, 0.0)
    assert run(twin, terminal, 60.0, dt=60.0, v_pu=1.0) == (1.0, 0.3)


def test_in_steps_of_minutes_what_held_counts_for_the_whole_step(terminal):
    law = Trips(1)
    assert run(law, terminal, 60, dt=60, v_pu=0.7) == (0.0, 0.0)
    assert run(law, terminal, 300, dt=60)[0] == pytest.approx(0.0)
    assert run(law, terminal, 60, dt=60)[0] == pytest.approx(0.2)


def test_state_survives_a_restart(terminal):
    law, twin = Trips(1), Trips(1)
    run(law, terminal, 15.0, v_pu=0.8)
    twin.set_state(law.get_state())
    for one in (law, twin):
        assert run(one, terminal, 5.9, v_pu=0.8)[0] == 1.0
        assert run(one, terminal, 0.12, v_pu=0.8)[0] == 0.0


def test_what_is_off_feeds_nothing_whatever_other_laws_ask_for():
    from controllers.local.qu import ReactiveVoltage

    table = DeviceTable.of(
        feeder_names=["f"], dso_names=["d"], name=["a", "b"], kind="pv", feeder=[0, 0], node=[0, 1], dso=[0, 0],
        p_rated_mw=[1.0, 1.0], s_rated_mva=[1.1, 1.1],
    )
    both = np.arange(2)
    laws = [Bound(ReactiveVoltage(2), both), Bound(Trips(2), both)]
    v, f = np.array([0.3, 1.05]), np.full(2, 60.0)
    book = LawBook(table, laws, v, f, step_s=60.0, trace_mw=0.1)

    class Plan:
        p_mw, q_mvar, p_avail_mw, soc = np.ones(2), np.zeros(2), np.ones(2), np.zeros(2)
        p_up_mw, p_dn_mw = np.zeros(2), np.ones(2)

    held = dict.fromkeys(("droop_mw_per_hz", "inertia_mw_s_per_hz"), np.full(2, np.nan))
    p, q, swing, _ = book.answer(Plan, held, None, v, 60.0, 0)
    assert p.tolist() == [0.0, 1.0]
    assert (q[0], swing["qu"][0]) == (0.0, 0.0)
    assert swing["qu"][1] > 0
