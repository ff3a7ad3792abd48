import numpy as np
import pytest

from controllers.local.cosphi import CosPhi


@pytest.mark.parametrize(("share", "small", "large"), [
    (0.3, 1.0, 1.0), (0.5, 1.0, 1.0), (0.75, 0.975, 0.95), (1, 0.95, 0.90),
])
def test_power_factor_points(terminal, share, small, large):
    t = terminal(2, p_rated_mw=[0.004, 1.0], s_rated_mva=[0.0044, 1.2], p_mw=[0.004 * share, share])
    p, q = CosPhi().respond(t, 1.0)
    assert (p / np.hypot(p, q)).tolist() == pytest.approx([small, large])
    assert (q <= 0).all()


def test_full_power_at_090_draws_04843(terminal):
    _, q = CosPhi().respond(terminal(), 1.0)
    assert q[0] == pytest.approx(-0.48432, abs=1e-5)


def test_consumption_and_zero_rating_draw_nothing(terminal):
    _, q = CosPhi().respond(terminal(2, p_mw=[-1.0, 0.0], p_rated_mw=[1.0, 0.0]), 1.0)
    assert q.tolist() == [0.0, 0.0]
