import dataclasses

import numpy as np
import pytest

from controllers.centralized.compensation import STEP_PU
from controllers.centralized.congestion import ManageCongestion
from controllers.centralized.kept_storage import scheduled
from controllers.dms.congestion import Supply


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


def at_busbar(kit):
    """A feeder whose PV stands at the first busbar with a transformer, spoken to through the primary substation."""
    belief = kit.feeder("cigre", pv=1.0, storage=0.0)
    d, busbar = belief.devices, int(kit.field(belief).net.feed_busbar[0])
    return dataclasses.replace(belief, devices=dataclasses.replace(d, node=np.where(d.kind == "pv", busbar, d.node)))


@pytest.mark.parametrize(("stage", "told"), [(2, True), (3, False)])
def test_an_overloaded_transformer_is_relieved_of_reactive_power_in_small_steps(kit, stage, told):
    field = kit.field(at_busbar(kit), load=0.5, sun=0.0)
    field.regulate()
    controller = ManageCongestion(kit.site([field.belief], stage=stage))
    drawn = [field.drawn.imag[0]]
    orders = []
    for k in range(0, 16, 5):
        frame = field.primary(60_000 * k)
        loading = np.full(len(field.net.feed), 10.0)
        loading[0] = 110.0
        frame = dataclasses.replace(frame, values={**frame.values, "loading_percent": loading})
        mail = [frame, *field.secondary(60_000 * k)]
        out = [m for m in commands(controller.decide(60.0 * k, mail)) if "q_set_mvar" in m.values]
        before = abs(field.v[field.net.feed_busbar[0]])
        field.obey(out)
        assert abs(field.v[field.net.feed_busbar[0]]) - before < STEP_PU * 1.2
        orders += out
        drawn.append(field.drawn.imag[0])
        field.regulate()
    assert bool(orders) is told
    station = field.belief.gateways[field.net.feed_busbar[0]] or field.belief.name
    assert all(m.receiver == station and m.topic == "command/manage_congestion" for m in orders)
    assert bool(drawn[-1] < drawn[0] - 1e-4) is told


def test_kept_storage_fills_and_empties_while_its_transformer_has_room():
    now, fills, gives, below = np.zeros(2), np.array([-2.0, -4.0]), np.array([2.0, 4.0]), np.ones((1, 2))
    low, high = np.array([-20.0]), np.array([20.0])
    for drawn, taken in ((20.0, 0.0), (12.0, 3.0), (-5.0, 6.0)):  # of 20 MW 15 are filled up to
        found = scheduled(Supply(np.array([drawn]), low, high), now, fills, below)
        np.testing.assert_allclose(found.sum(), -taken)
        back = scheduled(Supply(np.array([-drawn]), low, high), now, gives, below)
        np.testing.assert_allclose(back.sum(), taken)
    rest = scheduled(Supply(np.zeros(1), np.array([-np.inf]), np.array([np.inf])), now, fills, below)
    np.testing.assert_allclose(rest, 0.0)
    # What they do already is not counted as drawn by others: 14 MW with 3 of them charging leave room for 4.
    found = scheduled(Supply(np.array([14.0]), low, high), np.array([-3.0, 0.0]), fills, below)
    np.testing.assert_allclose(found.sum(), -4.0)


@pytest.mark.parametrize(
    ("need_mwh", "held_mwh"),
    [(1.9, 0.95 * 8), (-1.9, 0.95 * 8 - 1.9 * 0.95), (0.0, 4.0), (-0.1, 4.0), (-99.0, 0.05 * 8)],
    ids=["a peak", "room for what flows back", "nothing foreseen", "room enough is there", "all of it"],
)
def test_storage_at_a_busbar_is_filled_or_emptied_for_what_is_foreseen(kit, need_mwh, held_mwh):
    belief = kit.feeder("oberrhein", storage=0.2)
    d, busbar = belief.devices, kit.field(belief).net.feed_busbar[0]
    own = np.flatnonzero(d.kind == "storage")[:4]
    rated, energy = d.p_rated_mw.copy(), d.energy_mwh.copy()
    node, (rated[own], energy[own]) = np.where(d.kind == "storage", busbar, d.node), (1.0, 2.0)
    others = np.setdiff1d(np.flatnonzero(d.kind == "storage"), own)
    steerable = d.controllable.copy()
    steerable[others] = False
    devices = dataclasses.replace(d, node=node, p_rated_mw=rated, energy_mwh=energy, controllable=steerable)
    field = kit.field(dataclasses.replace(belief, devices=devices), load=0.3)
    controller = ManageCongestion(kit.site([field.belief]))
    desk = controller._desk
    desk.storages.energy_mwh[own] = {1.9: 0.25, -1.9: 1.75}.get(need_mwh, 1.0)
    desk.need_mwh[0][:] = [need_mwh, 0.0]
    for k in range(0, 185, 5):
        frame = field.primary(60_000 * k)
        loading = 100 * np.hypot(frame.values["p_mw"], frame.values["q_mvar"]) / 25.0
        frame = dataclasses.replace(frame, values={**frame.values, "loading_percent": loading})
        mail = [frame, *(field.secondary(60_000 * k) if k % 15 == 0 else [])]
        field.obey([m for m in controller.decide(60.0 * k, mail) if "p_set_mw" in m.values])
    assert desk.storages.energy_mwh[own].sum() == pytest.approx(held_mwh, rel=0.01)
    assert np.abs(field.p_set[own]).max() < 0.05
    assert (need_mwh == 0.0) == bool(np.isnan(desk.points.total("p_set_mw")[own]).all()), "held until the peak"
