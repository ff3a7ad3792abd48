import pytest

from controllers.local.freq_droop import FrequencyDroop


def test_published_point_at_60_5_hz(terminal):
    law = FrequencyDroop(1, response_s=1e-9)
    law.respond(terminal(p_mw=0.8, f_hz=60.0), 1.0)
    p, _ = law.respond(terminal(p_mw=0.8, f_hz=60.5), 1.0)
    assert p[0] == pytest.approx(0.64533, abs=5e-6)


def test_ninety_percent_of_a_step_within_the_response_time(terminal):
    law = FrequencyDroop(1)
    for _ in range(100):
        p, _ = law.respond(terminal(p_mw=0.8, f_hz=60.5), 0.05)
    assert (0.8 - p[0]) / (0.8 - 0.645333333) == pytest.approx(0.9, abs=1e-6)


def test_rises_to_what_is_available_and_falls_to_zero(terminal):
    law = FrequencyDroop(2, response_s=1e-9)
    p, _ = law.respond(terminal(2, p_mw=[0.5, 0.1], p_avail_mw=[0.6, 0.1], f_hz=[59.0, 61.5]), 1.0)
    assert p.tolist() == pytest.approx([0.6, 0.0])


def test_trips(terminal):
    p, _ = FrequencyDroop(2).respond(terminal(2, f_hz=[56.0, 62.5]), 0.02)
    assert p.tolist() == [0.0, 0.0]


def test_settled_form_meets_the_published_point(terminal):
    law, t = FrequencyDroop(1), terminal(p_mw=0.8, p_dn_mw=0.8, f_hz=60.5)
    base, swing = law.settle(t, 60.0)
    assert (base + swing * law.curve(60.0)(t.f_hz))[0] == pytest.approx(0.64533, abs=5e-6)
