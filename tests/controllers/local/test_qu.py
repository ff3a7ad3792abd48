import numpy as np
import pytest

from controllers.local.qu import VOLT_VAR_B, ReactiveVoltage


@pytest.mark.parametrize(("v", "share"), [
    (0.90, 1), (0.93, 1), (0.95, 0.5), (0.97, 0), (1.0, 0), (1.03, 0), (1.05, -0.5), (1.07, -1), (1.10, -1),
])
def test_points(terminal, v, share):
    t = terminal(2, v_pu=v, p_rated_mw=[0.004, 1.0], s_rated_mva=[0.0046, 1.1])
    _, q = ReactiveVoltage(2, tau_s=0.0).respond(t, 1.0)
    assert q.tolist() == pytest.approx([share * 0.3287 * 0.004, share * 0.4843])


def test_lag_of_the_time_domain(terminal):
    law = ReactiveVoltage(1)
    for _ in range(33):
        _, q = law.respond(terminal(v_pu=1.07), 0.1)
    assert q[0] == pytest.approx(-0.4843 * (1 - np.exp(-1)), rel=1e-9)


def test_steps_with_base_and_amplitude_are_the_same_lag(terminal):
    slow, fast = ReactiveVoltage(1), ReactiveVoltage(1)
    t = terminal(v_pu=1.05)
    slow.set_state({"last": [0.0], "base": [0.0], "swing": [0.0]})
    for _ in range(3):
        base, swing = slow.settle(t, 2.0)
        settled = base + swing * slow.curve(2.0)(t.v_pu)
        for _ in range(200):
            _, q = fast.respond(t, 0.01)
        assert settled[0] == pytest.approx(q[0], rel=1e-9)


def test_the_first_step_and_long_steps_follow_the_characteristic(terminal):
    law = ReactiveVoltage(1)
    assert law.settle(terminal(v_pu=1.05), 0.0)[1][0] == pytest.approx(0.4843)
    base, swing = law.settle(terminal(v_pu=1.05), 900.0)
    assert (base[0], swing[0]) == pytest.approx((0.0, 0.4843))


def test_ieee_category_b(terminal):
    law = ReactiveVoltage(5, VOLT_VAR_B, ratio=0.44, of="s", tau_s=0.0)
    _, q = law.respond(terminal(5, v_pu=[0.92, 0.95, 1.0, 1.05, 1.08], s_rated_mva=1.0), 1.0)
    assert q.tolist() == pytest.approx([0.44, 0.22, 0.0, -0.22, -0.44])
