import numpy as np
import pytest

from controllers.local.watt_var import WattVar


@pytest.mark.parametrize(
    ("p", "q"), [(0.0, 0.0), (0.5, 0.0), (0.75, -0.22), (1.0, -0.44), (-0.5, 0.0), (-0.75, 0.22), (-1.0, 0.44)]
)
def test_points_of_category_b(terminal, p, q):
    law = WattVar(1, tau_s=0.0)
    found = law.respond(terminal(p_mw=p, s_rated_mva=1.0), 1.0)
    assert found[1][0] == pytest.approx(q, abs=1e-9)


def test_the_response_time_reaches_ninety_percent(terminal):
    law = WattVar(1, tau_s=10.0 / np.log(10.0))
    now = terminal(p_mw=1.0, s_rated_mva=1.0)
    for _ in range(500):
        _, q = law.respond(now, 0.02)
    assert q[0] == pytest.approx(0.9 * -0.44, rel=1e-6)
