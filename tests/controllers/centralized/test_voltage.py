import numpy as np
import pytest

from controllers.centralized.voltage import ControlVoltage


def run(kit, kind, minutes, stage=2, load=0.3, sun=0.0, v_hv=1.0, v_set=1.0, pv=1.2, settings=None):
    field = kit.field(kit.feeder(kind, pv=pv), load=load, sun=sun, v_hv=v_hv, q_u=True)
    field.v_set[:] = v_set
    field.regulate()
    controller, sent = ControlVoltage(kit.site([field.belief], stage=stage, settings=settings)), []
    for k in range(minutes):
        mail = [field.primary(60_000 * k), *(field.secondary(60_000 * k) if k % 15 == 0 else [])]
        out = controller.decide(60.0 * k, mail)
        sent.append(out)
        field.obey(out)
        field.regulate()
    return field, controller, sent


def live(field):
    return np.abs(field.v[field.topology.free])


def test_regulators_are_told_a_better_set_point(kit):
    field, _, sent = run(kit, "oberrhein", 10, v_set=1.04)
    told = [m for out in sent for m in out if "v_set_pu" in m.values]
    assert told
    assert all(m.receiver == field.belief.name and m.topic == "command/control_voltage" for m in told)
    assert set(np.concatenate([m.values["trafo"] for m in told])) <= {114, 142}
    assert all((m.values["v_set_pu"] < 1.03).all() for m in told)
    assert live(field).max() < 1.025


def test_a_grid_without_tap_changers_is_held_by_inverters(kit):
    before = kit.field(kit.feeder("cigre", pv=1.2), load=0.8, sun=0.0, v_hv=0.98, q_u=True)
    field, _, sent = run(kit, "cigre", 22, load=0.8, v_hv=0.98)
    assert live(before).min() < 0.955
    assert live(field).min() > live(before).min() + 0.01
    assert field.q_set.sum() > 0
    assert not any("v_set_pu" in m.values for out in sent for m in out)


def test_overvoltage_makes_inverters_absorb(kit):
    field, _, _ = run(kit, "cigre", 12, load=0.05, sun=0.9, v_hv=1.045)
    assert field.q_set.sum() < 0
    assert live(field).max() < 1.05


def test_within_the_band_it_is_silent(kit):
    _, _, sent = run(kit, "oberrhein", 12)
    assert not any(sent)


def test_steady_state_needs_no_further_set_points_but_keeps_them_alive(kit):
    field, _, sent = run(kit, "cigre", 40, load=0.8, v_hv=0.98)
    spoken = [k for k, out in enumerate(sent) if out]
    assert max(np.diff(spoken)) <= 15
    q = field.q_set.copy()
    assert np.abs(q).sum() > 0


def test_with_interface_support_the_band_is_the_limits(kit):
    _, _, early = run(kit, "oberrhein", 8, stage=2, v_set=1.03)
    _, _, later = run(kit, "oberrhein", 8, stage=3, v_set=1.03)
    assert any(early)
    assert not any(later)


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_silence_gives_silence(kit, kind):
    field = kit.field(kit.feeder(kind))
    controller = ControlVoltage(kit.site([field.belief]))
    assert controller.decide(0.0, []) == controller.decide(60.0, []) == []
    mail = [field.primary(0), *field.secondary(0)]
    controller.decide(120.0, mail)
    assert controller.decide(121.0, mail) == []


def test_orders_never_leave_a_feeder_lower_than_its_own_law_would_once_the_sun_is_gone(kit):
    def day(controlled):
        field = kit.field(kit.feeder("cigre", pv=1.2), load=0.05, sun=0.9, v_hv=1.025, q_u=True)
        controller = ControlVoltage(kit.site([field.belief], stage=2))
        lowest = []
        for k in range(14):
            if k == 7:  # frames from the substations are seven minutes old by now
                field.sun, field.load, field.v_hv = 0.0, 1.1, 0.99
            field.solve()
            mail = [field.primary(60_000 * k), *(field.secondary(0) if k == 0 else [])]
            out = controller.decide(60.0 * k, mail)
            if controlled:
                field.obey(out)
            lowest.append(live(field).min())
        return np.array(lowest)

    assert (day(True)[7:] >= day(False)[7:] - 1e-6).all()


def test_orders_are_taken_back_when_the_inverters_hold_the_limits_alone(kit):
    field = kit.field(kit.feeder("cigre", pv=1.2), load=0.7, v_hv=0.97, q_u=True)
    controller = ControlVoltage(kit.site([field.belief], stage=2))
    for k in range(40):
        if k == 15:
            field.load = 0.2
            field.solve()
        mail = [field.primary(60_000 * k), *(field.secondary(60_000 * k) if k % 15 == 0 else [])]
        field.obey(controller.decide(60.0 * k, mail))
        if k == 14:
            assert field.q_told.any()
    assert not field.q_told.any()
