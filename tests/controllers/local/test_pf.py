import numpy as np
import pytest

from controllers.local.pf import VDE_4105, VDE_4110, PfSettings, PowerFrequency, StorageFrequency

AT_ONCE = PfSettings(tau_s=1e-9)


@pytest.mark.parametrize(("f", "share"), [
    (50.0, 1.0), (50.2, 1.0), (50.45, 0.90), (50.8, 0.76), (51.2, 0.60), (51.4999, 0.48004), (51.5, 0.0), (52.0, 0.0),
    (47.6, 1.0), (47.5, 0.0),
])
def test_vde_points_hold_in_the_time_domain_and_in_the_characteristic(terminal, f, share):
    law = PowerFrequency(1, AT_ONCE)
    law.respond(terminal(), 0.02)
    p, _ = law.respond(terminal(f_hz=f), 0.02)
    assert p[0] == pytest.approx(share, abs=1e-9)
    curve = law.curve(900.0)
    assert 1 + curve(np.array([f]))[0] == pytest.approx(share, abs=1e-6)


def test_the_power_at_the_crossing_is_frozen(terminal):
    law = PowerFrequency(1, AT_ONCE)
    law.respond(terminal(p_mw=0.5), 0.02)
    law.respond(terminal(p_mw=0.5, f_hz=50.3), 0.02)
    p, _ = law.respond(terminal(p_mw=0.9, f_hz=50.8), 0.02)
    assert p[0] == pytest.approx(0.5 * 0.76)


def test_less_sun_while_frozen_counts_once(terminal):
    law = PowerFrequency(1, AT_ONCE)
    law.respond(terminal(p_mw=1.0, f_hz=50.8), 0.02)
    p, _ = law.respond(terminal(p_mw=0.3, f_hz=50.8), 0.02)
    assert p[0] == pytest.approx(0.3)


def test_power_returns_by_ten_percent_a_minute(terminal):
    law = PowerFrequency(1, AT_ONCE)
    law.respond(terminal(f_hz=50.8), 1.0)
    law.respond(terminal(f_hz=51.2), 1.0)
    p, _ = law.respond(terminal(f_hz=50.1), 1.0)
    assert p[0] == pytest.approx(0.60 + 0.1 / 60, abs=1e-6)
    for _ in range(59):
        p, _ = law.respond(terminal(f_hz=50.1), 1.0)
    assert p[0] == pytest.approx(0.70, abs=1e-6)
    for _ in range(240):
        p, _ = law.respond(terminal(f_hz=50.0), 1.0)
    assert p[0] == pytest.approx(1.0)


def test_a_tripped_unit_waits_a_minute_and_then_ramps(terminal):
    law = PowerFrequency(1, AT_ONCE)
    law.respond(terminal(f_hz=51.6), 1.0)
    powers = [law.respond(terminal(f_hz=50.0), 1.0)[0][0] for _ in range(720)]
    assert max(powers[:59]) == 0.0
    assert powers[119] == pytest.approx(0.1, abs=0.004)
    assert powers[659] == pytest.approx(1.0, abs=0.004)


def test_a_tripped_unit_stays_off_above_fifty_point_one(terminal):
    law = PowerFrequency(1, AT_ONCE)
    law.respond(terminal(f_hz=51.6), 1.0)
    assert all(law.respond(terminal(f_hz=50.15), 1.0)[0][0] == 0 for _ in range(300))


def test_a_dark_terminal_disconnects_and_returns_by_ramp(terminal):
    law = PowerFrequency(2, AT_ONCE)
    p, _ = law.respond(terminal(2, v_pu=[np.nan, 1.0]), 1.0)
    assert p.tolist() == [0.0, 1.0]
    for _ in range(180):
        p, _ = law.respond(terminal(2), 1.0)
    assert p[0] == pytest.approx(0.2, abs=0.004)
    assert p[1] == 1.0


def test_4110_holds_power_back_for_ten_minutes(terminal):
    law = PowerFrequency(1, PfSettings(release_s=VDE_4110.release_s, tau_s=1e-9))
    law.respond(terminal(f_hz=51.2), 1.0)
    for _ in range(599):
        p, _ = law.respond(terminal(f_hz=50.0), 1.0)
    assert p[0] == pytest.approx(0.60)
    for _ in range(61):
        p, _ = law.respond(terminal(f_hz=50.0), 1.0)
    assert p[0] == pytest.approx(0.70, abs=0.002)


def test_under_frequency_raises_only_a_curtailed_unit(terminal):
    law = PowerFrequency(2, AT_ONCE)
    t = terminal(2, p_mw=[0.5, 1.0], p_avail_mw=[0.52, 1.0], f_hz=49.3)
    p, _ = law.respond(t, 0.02)
    assert p.tolist() == pytest.approx([0.52, 1.0])


def test_lag_reaches_63_percent_after_tau(terminal):
    law = PowerFrequency(1, VDE_4105)
    law.respond(terminal(), 0.02)
    for _ in range(25):
        p, _ = law.respond(terminal(f_hz=50.8), 0.02)
    assert 1 - p[0] == pytest.approx(0.24 * (1 - np.exp(-1)), rel=1e-9)


def test_settling_in_long_steps_meets_the_last_frequency(terminal):
    law = PowerFrequency(1, VDE_4105)
    for p_now, expected in ((1.0, 0.76), (0.9, 0.76), (0.5, 0.5)):
        t = terminal(p_mw=p_now, f_hz=50.8)
        base, swing = law.settle(t, 900.0)
        fed = base + swing * law.curve(900.0)(t.f_hz)
        assert fed[0] == pytest.approx(expected)


def test_settling_after_a_trip_counts_the_time_that_passed(terminal):
    law = PowerFrequency(1, VDE_4105)
    assert law.settle(terminal(f_hz=51.7), 60.0)[0][0] == 0
    assert law.settle(terminal(), 60.0)[0][0] == pytest.approx(0.0)
    assert law.settle(terminal(), 60.0)[0][0] == pytest.approx(0.1)
    assert law.settle(terminal(), 900.0)[0][0] == pytest.approx(1.0)


def test_state_continues_bit_by_bit(terminal):
    one, two = PowerFrequency(1), PowerFrequency(1)
    one.respond(terminal(f_hz=51.0), 0.5)
    two.set_state(one.get_state())
    assert one.respond(terminal(f_hz=50.4), 0.5)[0] == two.respond(terminal(f_hz=50.4), 0.5)[0]


def test_storage_reduces_charging_first_then_discharges(terminal):
    law = StorageFrequency(3, tau_s=1e-9)
    t = terminal(3, p_mw=[-1.0, -1.0, 1.0], p_up_mw=[2.0, 2.0, 0.0], p_dn_mw=[0.0, 0.0, 2.0], f_hz=[49.5, 48.8, 50.7])
    p, _ = law.respond(t, 0.02)
    assert p.tolist() == pytest.approx([-0.7, 0.0, 0.5])
    base, swing = law.settle(t, 60.0)
    assert (base + swing * law.curve(60.0)(t.f_hz)).tolist() == pytest.approx([-0.7, 0.0, 0.5])
