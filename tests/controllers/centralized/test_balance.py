from dataclasses import replace

import numpy as np
import pytest

from controllers.belief import GeneratorBelief
from controllers.centralized.balance import BalanceCell
from sims.core.message import Message


def tie(t_ms, p, schedule, f=50.0):
    return Message("tso", "dso_1.dms", "tie", {"f_hz": f, "p_tie_mw": p, "p_sched_mw": schedule}, sent_ms=t_ms)


def export(field):
    return -field.drawn.real.sum() * field.belief.grid.base_mva


def run(kit, minutes, load, storage=0.5, sun=0.3, pv=1.2, reserve=0.0, full_s=300.0, chp=0.0):
    """Let the load step at the start; stations give what is called, the whole contract in `full_s`."""
    belief = kit.feeder("oberrhein", pv=pv, storage=storage, wind=chp)
    kind = np.where(belief.devices.kind == "wind", "chp", belief.devices.kind)
    field = kit.field(replace(belief, devices=replace(belief.devices, kind=kind)), load=0.5, sun=sun)
    schedule = export(field)
    field.load = load
    field.solve()
    generators = (GeneratorBelief("G1", "gen.G1", 1, reserve, full_s),)
    controller, sent = BalanceCell(kit.site([field.belief], generators=generators)), []
    controller.decide(0.0, [field.primary(0), *field.secondary(0)])
    errors, called, field.come = [export(field) - schedule], 0.0, 0.0
    for k in range(1, minutes):
        mail = [field.primary(60_000 * k), *(field.secondary(60_000 * k) if k % 15 == 0 else [])]
        out = controller.decide(60.0 * k, [*mail, tie(60_000 * k, export(field) + field.come, schedule)])
        sent.append(out)
        field.obey(out)
        called = next((m.values["p_delta_mw"] for m in out if m.receiver == "gen.G1"), called)
        step = reserve * 60.0 / full_s
        field.come += float(np.clip(called - field.come, -step, step))
        errors.append(export(field) + field.come - schedule)
    return field, controller, errors, sent


@pytest.mark.parametrize(("load", "sign"), [(0.6, 1), (0.4, -1)])
def test_restores_the_schedule_with_storage_first(kit, load, sign):
    field, _, errors, sent = run(kit, 14, load)
    assert abs(errors[0]) > 3
    assert abs(errors[-1]) < 0.25 * abs(errors[0])
    assert sign * field.p_set.sum() > 0
    assert np.isinf(field.p_max).all()
    assert all(m.topic in ("command/balance_cell", "goal") for out in sent for m in out)


def test_storage_fills_in_until_the_stations_have_come(kit):
    field, _, errors, sent = run(kit, 20, 0.6, reserve=20.0, full_s=1200.0)
    filled = [next(m.values["filled_in_mw"] for m in out if m.topic == "goal") for out in sent]
    assert errors[0] < -3
    assert filled[0] > 1, "a station that needs 20 min gives 1 MW in the first one"
    assert abs(errors[4]) < 0.35 * abs(errors[0])
    assert filled[-1] == 0.0
    assert not field.p_set.any(), "storage is let go: the last order takes the set-point back"
    assert abs(errors[-1]) < 0.25 * abs(errors[0])
    assert field.come == pytest.approx(-errors[0], rel=0.3)


def test_stations_are_called_every_four_seconds_devices_once_a_minute(kit):
    field = kit.field(kit.feeder("oberrhein", storage=0.5), load=0.5)
    stations = (GeneratorBelief("G1", "gen.G1", 1, 60.0, 300.0),)
    settings = {"reserve_deadband_mw": 0.0}
    controller = BalanceCell(kit.site([field.belief], generators=stations, settings=settings))
    controller.decide(0.0, [field.primary(0), *field.secondary(0), tie(0, 0.0, 0.0)])
    called, minutes = [], []
    for k in range(1, 31):
        out = controller.decide(4.0 * k + 0.1, [tie(4000 * k, -30.0, 0.0)])
        called += [m.values["p_delta_mw"] for m in out if m.receiver == "gen.G1"]
        minutes += [4 * k for m in out if "p_set_mw" in m.values]
        assert out[-1].topic == "goal"
    # 30 MW short: 3 + 4/120 * 30 = 4, but of 60 MW in 300 s only 0.8 come in 4 s, and the integral waits
    assert called[:3] == pytest.approx([0.8, 1.6, 2.4], abs=0.03)
    assert np.all(np.diff(called[:14]) == pytest.approx(0.8, abs=1e-6)), "they are led no further than they come"
    assert set(minutes) <= {60, 120}, "devices look for orders at the grid step"
    assert minutes, "15 MW more than stations give within a minute: storage fills in"
    assert not controller.decide(122.0, [tie(122_000, -30.0, 0.0)]), "within the cycle"


def test_nothing_of_the_dso_is_moved_where_stations_are_quick_enough(kit):
    field, _, errors, sent = run(kit, 12, 0.6, reserve=100.0)
    assert abs(errors[-1]) < 1.0, "as exact as calls are told"
    told = [m for out in sent for m in out if m.topic.startswith("command/")]
    assert told
    assert {m.receiver for m in told} == {"gen.G1"}
    assert {m.topic for m in told} == {"command/balance_cell"}
    assert not field.p_set.any()


def test_feed_in_is_not_held_back_while_stations_can_go_down(kit):
    field, _, errors, _ = run(kit, 30, 0.1, storage=0.02, sun=0.8, reserve=60.0, full_s=1200.0)
    assert errors[0] > 8
    assert np.isinf(field.p_max).all()
    assert abs(errors[-1]) < 0.25 * errors[0]


def test_droop_told_to_devices_is_no_error_of_the_cell(kit):
    field = kit.field(kit.feeder("oberrhein"))
    controller = BalanceCell(kit.site([field.belief]))
    storage = controller._desk.register.of("storage")
    controller._desk.droop_mw_per_hz[storage] = 100.0 / len(storage)
    goal = controller.decide(60.0, [tie(60_000, 50.0 + 4.0, 0.0, f=49.95)])[-1].values
    assert goal["error_mw"] == pytest.approx(0.0, abs=1e-9)


def test_curtails_only_when_storage_is_used_up(kit):
    field, _, errors, _ = run(kit, 16, 0.1, storage=0.1, sun=0.8)
    assert errors[0] > 8
    assert (field.p_max < np.inf).any()
    assert abs(errors[-1]) < 0.4 * errors[0]
    d = field.belief.devices
    assert field.p_set[d.kind == "storage"].sum() < -0.6 * d.p_rated_mw[d.kind == "storage"].sum() * 0.9


@pytest.mark.parametrize(("chp_share", "all_of_it"), [(0.6, False), (0.1, True)])
def test_chp_is_held_back_before_the_sun_and_the_wind(kit, chp_share, all_of_it):
    field, _, errors, _ = run(kit, 16, 0.1, storage=0.1, sun=0.8, pv=1.2, chp=chp_share)
    d = field.belief.devices
    chp, pv = d.kind == "chp", d.kind == "pv"
    used = 1 - field.der[chp].sum() / field.available()[chp].sum()
    held_pv = (field.available() - field.der)[pv].sum()
    assert errors[0] > 3
    assert abs(errors[-1]) < 0.4 * errors[0]
    if all_of_it:
        assert used > 0.95
        assert held_pv > 1.0
    else:
        assert 0.1 < used < 0.9
        assert held_pv == pytest.approx(0.0, abs=1e-6), "nothing of it while there is CHP to hold back"


def test_empty_storage_is_not_asked_to_discharge(kit):
    _, controller, _, _ = run(kit, 3, 0.6)
    ledger = controller._desk.storages
    ledger.energy_mwh[:] = 0.0
    out = controller.decide(600.0, [tie(600_000, -50.0, 0.0)])
    told = [m.values["p_set_mw"] for m in out if "p_set_mw" in m.values]
    assert told
    assert max(float(v[np.isfinite(v)].max(initial=0.0)) for v in told) <= 1e-9  # infinite: taken back


def test_silence_and_old_mail_do_nothing(kit):
    field = kit.field(kit.feeder("cigre", storage=0.5))
    controller = BalanceCell(kit.site([field.belief]))
    assert controller.decide(0.0, []) == []
    first = tie(60_000, 5.0, 0.0)
    assert controller.decide(60.0, [field.primary(60_000), *field.secondary(60_000), first])
    assert controller.decide(120.0, [first, tie(30_000, 99.0, 0.0)]) == []
