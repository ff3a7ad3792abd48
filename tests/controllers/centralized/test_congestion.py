import numpy as np
import pytest

from controllers.centralized.congestion import ManageCongestion


def commands(out):
    return [m for m in out if m.topic.startswith("command/")]


def run(kit, kind, minutes, sun, settings=None, pv=2.2, stage=4, lose=lambda k: False):
    """Feed a controller minute by minute; return the field, its controller and what was sent by minute."""
    field = kit.field(kit.feeder(kind, pv=pv, storage=0.1), load=0.1, sun=sun(0))
    site = kit.site([field.belief], settings={"patience": 0, **(settings or {})}, stage=stage)
    controller, sent = ManageCongestion(site), []
    for k in range(minutes):
        field.sun = sun(k)
        field.regulate()
        mail = [] if lose(k) else [field.primary(60_000 * k), *(field.secondary(60_000 * k) if k % 15 == 0 else [])]
        out = controller.decide(60.0 * k, mail)
        sent.append(out)
        field.obey(out)
    return field, controller, sent


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_violations_go_and_caps_are_lifted_in_the_evening(kit, kind):
    field, _, sent = run(kit, kind, 7, lambda k: 1.0)
    field.regulate()
    v = np.abs(field.v[field.topology.free])
    assert v.max() < 1.05
    assert field.topology.loading(field.v).max() < 100
    assert field.der.sum() < field.available().sum() - 0.1
    assert commands(sent[1])
    assert all(m.topic == "command/manage_congestion" for m in commands(sent[1]))
    field, _, sent = run(kit, kind, 45, lambda k: 1.0 if k < 10 else 0.2)
    assert field.der.sum() == pytest.approx(field.available().sum())
    rated = field.belief.devices.p_rated_mw
    assert (field.p_max[np.isfinite(field.p_max)] >= 0.99 * rated[np.isfinite(field.p_max)]).all()
    kept = np.isin(field.belief.devices.node, field.net.anchor)  # storage at the busbars is kept for peaks
    assert (field.p_set[~kept] == 0).all()
    late = [m for out in sent[35:] for m in commands(out) if m.receiver != field.belief.name]
    assert not any(np.isfinite(v).any() for m in late for v in (m.values.get("p_max_mw"),) if v is not None)


def test_caps_are_refreshed_before_they_expire(kit):
    _, _, sent = run(kit, "cigre", 40, lambda k: 1.0)
    last = {}
    for k, out in enumerate(sent):
        for m in commands(out):
            for i, cap in zip(m.values["device"], m.values.get("p_max_mw", ()), strict=False):
                assert k * 60_000 - last.get(i, k * 60_000) < 900_000
                last[i] = k * 60_000
                assert cap >= 0
    assert last
    assert max(last.values()) > 30 * 60_000


def test_quantised_caps_are_steps(kit):
    _, controller, sent = run(kit, "cigre", 3, lambda k: 1.0, settings={"quantise": True})
    caps = [(int(i), c) for out in sent for m in commands(out) if "p_max_mw" in m.values
            for i, c in zip(m.values["device"], m.values["p_max_mw"], strict=True)]
    rated = controller._desk.register.p_rated_mw
    assert caps
    for i, cap in caps:
        assert min(abs(cap / rated[i] - step) for step in (1.0, 0.6, 0.3, 0.0)) < 1e-9


def test_volt_var_gets_its_turn_before_power_is_touched(kit):
    _, _, sent = run(kit, "oberrhein", 12, lambda k: 0.65, settings={"patience": 1}, pv=2.0)
    first = next(k for k, out in enumerate(sent) if commands(out))
    assert first == 6


def test_silence_and_twice_the_same_mail_do_no_harm(kit):
    field, controller, _ = run(kit, "cigre", 10, lambda k: 1.0, lose=lambda k: True)
    assert controller.decide(600.0, []) == []
    mail = [field.primary(600_000), *field.secondary(600_000)]
    assert commands(controller.decide(660.0, mail + mail))
    assert controller.decide(661.0, mail) == []


def test_a_feeder_without_trouble_gets_no_mail(kit):
    _, _, sent = run(kit, "oberrhein", 12, lambda k: 0.3, pv=0.5)
    assert not any(commands(out) for out in sent)
