import numpy as np
import pytest

from controllers.local.compensator import StaticCompensator


@pytest.mark.parametrize(
    ("susceptance", "v", "q"),
    [(True, 1.0, 0.0), (True, 0.985, 0.5 * 0.97**2), (True, 0.97, 0.97**2), (True, 0.8, 0.64), (True, 1.1, -1.21),
     (False, 1.015, -0.515), (False, 0.8, 0.8), (False, 1.1, -1.1)],
)  # fmt: skip
def test_linear_within_the_slope_then_susceptance_or_current(susceptance, v, q):
    curve = StaticCompensator(1, susceptance=susceptance).curve(60.0)
    assert float(curve(np.array([v]))[0]) == pytest.approx(q, abs=2e-3)


def test_the_amplitude_is_the_rating(terminal):
    law = StaticCompensator(1, susceptance=True)
    base, swing = law.settle(terminal(p_rated_mw=0.0, s_rated_mva=3.0), 60.0)
    assert (base[0], swing[0]) == pytest.approx((0.0, 3.0))
