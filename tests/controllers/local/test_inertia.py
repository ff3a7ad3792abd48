import math

import numpy as np
import pytest

from controllers.local.inertia import SyntheticInertia, delay_margin_s, refuse_unstable
from sims.core.errors import ScenarioError


def test_filtered_slope_beyond_the_dead_band(terminal):
    law = SyntheticInertia(np.array([0.4]))
    t = terminal(p_mw=0.2, rocof_hz_s=-1.0, p_up_mw=1.0)
    for _ in range(5):
        p, _ = law.respond(t, 0.02)
    assert p[0] == pytest.approx(0.2 + 0.4 * 0.95 * (1 - math.exp(-1)))


def test_dead_band_and_headroom(terminal):
    law = SyntheticInertia(np.array([10.0, 10.0]), filter_s=1e-9)
    p, _ = law.respond(terminal(2, rocof_hz_s=[0.05, 2.0], p_dn_mw=0.3), 0.02)
    assert p.tolist() == pytest.approx([1.0, 0.7])


def test_it_stands_for_k_f0_over_two():
    assert SyntheticInertia(np.array([0.4])).equivalent_mws()[0] == 10.0


def test_delay_margin_agrees_with_the_loop_it_describes():
    r, t_f = 2.0, 0.1
    margin = delay_margin_s(r * 100, 100, filter_s=t_f, window_s=0.0, coupling_s=0.0)
    w = math.sqrt(3) / t_f
    loop = r / (1 + 1j * w * t_f) * np.exp(-1j * w * margin)
    assert abs(loop) == pytest.approx(1.0)
    assert loop == pytest.approx(-1.0)
    assert delay_margin_s(200, 100) == pytest.approx(margin - 0.05 - 0.01)
    assert delay_margin_s(90, 100) == math.inf


def test_too_much_inertia_for_its_delay_is_refused():
    refuse_unstable("c1", 200, 100, 0.02)
    with pytest.raises(ScenarioError, match=r"cell 'c1'.*lower K_in"):
        refuse_unstable("c1", 200, 100, 0.2)
