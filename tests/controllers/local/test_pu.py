import pytest

from controllers.local.pu import VOLT_WATT_B, PowerVoltage


@pytest.mark.parametrize(("v", "share"), [(1.0, 1), (1.10, 1), (1.105, 0.75), (1.11, 0.5), (1.12, 0), (1.15, 0)])
def test_points_in_both_forms(terminal, v, share):
    law, t = PowerVoltage(1), terminal(p_mw=0.8, v_pu=v)
    assert law.respond(t, 1.0)[0][0] == pytest.approx(0.8 * share)
    base, swing = law.settle(t, 900.0)
    assert base[0] + swing[0] * law.curve(900.0)(t.v_pu)[0] == pytest.approx(0.8 * share)


def test_consumption_is_left_alone(terminal):
    law, t = PowerVoltage(1), terminal(p_mw=-0.8, v_pu=1.12)
    assert law.respond(t, 1.0)[0][0] == -0.8
    assert law.settle(t, 1.0)[1][0] == 0.0


def test_volt_watt_limits_by_rated_power(terminal):
    law = PowerVoltage(3, VOLT_WATT_B, of="rated")
    p, _ = law.respond(terminal(3, p_mw=[0.3, 0.8, 1.0], v_pu=1.08), 1.0)
    assert p.tolist() == pytest.approx([0.3, 0.5, 0.5])
