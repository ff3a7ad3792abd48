import numpy as np
import pytest

from controllers.local.fcr import FCR, V2G, Containment, FcrSettings, participating_share


def settled(law, t):
    base, swing = law.settle(t, 900.0)
    return base + swing * law.curve(900.0)(t.f_hz)


def test_full_at_200_mhz_dead_within_10(terminal):
    law = Containment(5, FcrSettings())
    t = terminal(5, p_mw=0.0, p_up_mw=1.0, p_dn_mw=1.0, f_hz=[49.7, 49.8, 49.99, 50.01, 50.105])
    assert settled(law, t).tolist() == pytest.approx([0.5, 0.5, 0.0, 0.0, -0.25])


def test_the_slowest_that_is_allowed_is_full_in_30_s_half_in_15(terminal):
    law, t = Containment(1, FcrSettings(full_s=30.0, lag_s=0.0)), terminal(p_mw=0.0, p_up_mw=1.0, f_hz=49.8)
    powers = [law.respond(t, 0.5)[0][0] for _ in range(80)]
    assert powers[29] == pytest.approx(0.25)
    assert powers[59] == pytest.approx(0.5)
    assert powers[79] == pytest.approx(0.5)


def test_a_battery_answers_with_its_own_lag(terminal):
    law, t = Containment(1), terminal(p_mw=0.0, p_up_mw=1.0, f_hz=49.8)
    powers = [law.respond(t, 0.1)[0][0] for _ in range(50)]
    assert powers[4] == pytest.approx(0.5 * (1 - np.exp(-1.0)))
    assert powers[49] == pytest.approx(0.5, abs=1e-4)


def test_beyond_the_reserve_all_that_a_battery_has_follows_by_2_percent_droop(terminal):
    f_hz = [50.2, 50.5, 50.8, 49.4, 51.5]
    expected = [-0.5, -0.8, -1.0, 0.9, -0.3]  # the third is full charging, the last has no more room
    down, up = [1.0, 1.0, 1.0, 1.0, 0.3], [1.0] * 5
    t = terminal(5, p_mw=0.0, p_rated_mw=1.0, p_up_mw=up, p_dn_mw=down, f_hz=f_hz)
    assert settled(Containment(5, FCR), t).tolist() == pytest.approx(expected)
    law = Containment(5, FCR)
    for _ in range(100):
        power = law.respond(t, 0.1)[0]
    assert power.tolist() == pytest.approx(expected, abs=1e-6)
    assert settled(Containment(5, FcrSettings()), t).tolist() == pytest.approx([-0.5, -0.5, -0.5, 0.5, -0.3])


def test_v2g_slope_is_the_reserve_over_180_mhz(terminal):
    law = Containment(1, V2G)
    t = terminal(p_mw=-0.1, p_rated_mw=1.0, p_up_mw=1.0, p_dn_mw=1.0, f_hz=50.11)
    assert settled(law, t)[0] == pytest.approx(-0.1 - (1.0 / 0.18) * 0.09)


def test_empty_full_or_unplugged_gives_nothing_that_way(terminal):
    law = Containment(3, V2G)
    t = terminal(3, p_mw=0.0, p_up_mw=[0.0, 0.2, 0.0], p_dn_mw=[0.3, 0.0, 0.0], f_hz=[49.8, 50.2, 49.8])
    assert settled(law, t).tolist() == pytest.approx([0.0, 0.0, 0.0])


def test_an_ordered_droop_replaces_the_own_offer(terminal):
    law = Containment(2)
    t = terminal(2, p_mw=0.0, p_up_mw=1.0, p_dn_mw=1.0, f_hz=50.2, droop_mw_per_hz=[1.0, np.nan])
    assert settled(law, t).tolist() == pytest.approx([-0.19, -0.5])


def test_participating_share():
    assert participating_share(np.array([1.0, 0.2]), np.array([0.5, 0.4]), np.array([1.0, 1.0])) == pytest.approx(0.35)
    assert participating_share(np.zeros(1), np.zeros(1), np.zeros(1)) == 0.0


def test_an_ordered_droop_is_the_promise_in_place_of_the_own_offer():
    law = Containment(3)
    droop = np.array([np.nan, 1.0, 100.0])
    # Half of the rating by itself; 1 MW/Hz over 190 mHz; never more than the rating.
    assert law.promise(np.full(3, 2.0), droop) == pytest.approx([1.0, 0.19, 2.0])


def design_incident(terminal, ta_s, load_mw=150_000.0, ev=False):
    """Continental Europe loses 3000 MW: df/dt = f0/(Ta P)(P_FCR + P_EV - 3000 - 1 %/Hz P df), steps of 10 ms."""
    fcr = Containment(1, FcrSettings(deadband_hz=1e-9, full_s=30.0, lag_s=0.0, reserve_share=1.0))
    v2g = Containment(1, FcrSettings(deadband_hz=0.02, full_hz=0.22, full_s=0.0, lag_s=0.2, reserve_share=1.0))
    big = terminal(p_mw=0.0, p_rated_mw=3000.0, p_up_mw=3000.0, p_dn_mw=3000.0)
    cars = terminal(p_mw=0.0, p_rated_mw=1000.0, p_up_mw=1000.0, p_dn_mw=1000.0)
    df, dt, track = 0.0, 0.01, []
    for _ in range(12_000):
        big.f_hz[:] = cars.f_hz[:] = 50.0 + df
        power = fcr.respond(big, dt)[0][0] + (v2g.respond(cars, dt)[0][0] if ev else 0.0)
        df += dt * 50.0 / (ta_s * load_mw) * (power - 3000.0 - 0.01 * load_mw * df)
        track.append(1000 * df)
    return min(track), dt * (int(np.argmin(track)) + 1), track[-1]


@pytest.mark.parametrize(("ta_s", "load_mw", "ev", "nadir", "steady"), [
    (10.0, 150_000.0, False, -778.4, -181.8), (12.0, 150_000.0, False, -702.6, -181.8),
    (10.0, 300_000.0, False, -389.2, None), (10.0, 150_000.0, True, -438.1, -144.2),
])
def test_design_incident_of_continental_europe(terminal, ta_s, load_mw, ev, nadir, steady):
    lowest, at_s, last = design_incident(terminal, ta_s, load_mw, ev)
    assert lowest == pytest.approx(nadir, abs=1.0)
    if ta_s == 10.0 and load_mw == 150_000.0 and not ev:
        assert at_s == pytest.approx(18.3, abs=0.1)
    if steady is not None:
        assert last == pytest.approx(steady, abs=0.2)
