import pytest

from controllers.local.cap import FeedInCap


def test_seventy_percent_of_installed_power_and_no_more(terminal):
    t = terminal(4, p_mw=[0.5, 0.7, 0.9, -0.9])
    p, q = FeedInCap().respond(t, 60.0)
    assert p.tolist() == pytest.approx([0.5, 0.7, 0.7, -0.9])
    assert q is t.q_mvar


def test_it_has_no_characteristic_for_the_power_flow():
    assert FeedInCap().curve(60.0) is None
