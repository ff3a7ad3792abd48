import numpy as np
import pytest

from controllers.centralized.balance import BalanceCell, RestorationLaw, cell_error
from sims.core.message import Message


def tie(t_ms, p, schedule, f=50.0):
    return Message("tso", "dso_1.dms", "tie", {"f_hz": f, "p_tie_mw": p, "p_sched_mw": schedule}, sent_ms=t_ms)


def export(field):
    return -field.drawn.real.sum() * field.belief.grid.base_mva


def run(kit, minutes, load, storage=0.5, sun=0.3, pv=1.2):
    field = kit.field(kit.feeder("oberrhein", pv=pv, storage=storage), load=0.5, sun=sun)
    schedule = export(field)
    field.load = load
    field.solve()
    controller, sent = BalanceCell(kit.site([field.belief])), []
    controller.decide(0.0, [field.primary(0), *field.secondary(0)])
    errors = [export(field) - schedule]
    for k in range(1, minutes):
        mail = [field.primary(60_000 * k), *(field.secondary(60_000 * k) if k % 15 == 0 else [])]
        out = controller.decide(60.0 * k, [*mail, tie(60_000 * k, export(field), schedule)])
        sent.append(out)
        field.obey(out)
        errors.append(export(field) - schedule)
    return field, controller, errors, sent


def test_cell_error_is_long_when_exporting_too_much_or_too_fast():
    assert cell_error(110, 100, 50.0, 50.0, 1000) == 10
    assert cell_error(100, 100, 50.01, 50.0, 1000) == pytest.approx(10)
    # The self-responsible cell: a low frequency that its own droop answers is no error of its own.
    assert cell_error(150, 100, 49.95, 50.0, 1000) == pytest.approx(0.0, abs=1e-9)


def test_law_by_hand_and_without_windup():
    law = RestorationLaw(0.1, 120.0)
    assert law.step(-12.0, 60.0, -100, 100) == pytest.approx(1.2 + 6.0)
    assert law.step(-12.0, 60.0, -100, 100) == pytest.approx(1.2 + 12.0)
    for _ in range(50):
        assert law.step(-12.0, 60.0, -100, 15.0) <= 15.0
    assert law.integral_mw > -20
    assert law.step(12.0, 60.0, -100, 15.0) < 15.0


@pytest.mark.parametrize(("load", "sign"), [(0.6, 1), (0.4, -1)])
def test_restores_the_schedule_with_storage_first(kit, load, sign):
    field, _, errors, sent = run(kit, 14, load)
    assert abs(errors[0]) > 3
    assert abs(errors[-1]) < 0.25 * abs(errors[0])
    assert sign * field.p_set.sum() > 0
    assert np.isinf(field.p_max).all()
    assert all(m.topic in ("command/balance_cell", "goal") for out in sent for m in out)


def test_curtails_only_when_storage_is_used_up(kit):
    field, _, errors, _ = run(kit, 16, 0.1, storage=0.1, sun=0.8)
    assert errors[0] > 8
    assert (field.p_max < np.inf).any()
    assert abs(errors[-1]) < 0.4 * errors[0]
    d = field.belief.devices
    assert field.p_set[d.kind == "storage"].sum() < -0.6 * d.p_rated_mw[d.kind == "storage"].sum() * 0.9


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
