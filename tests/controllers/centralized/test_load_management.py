import numpy as np

from controllers.centralized.load_management import ManageLoad


def busy(kit, load, **settings):
    f = kit.field(kit.feeder("cigre", pv=0.0, storage=0.0), load=load)
    return f, ManageLoad(kit.site([f.belief], settings={"estimation_ms": 60_000, **settings}))


def told(controller, field, minutes):
    out = []
    for k in minutes:
        out += [(k, m) for m in controller.decide(60.0 * k, [field.primary(60_000 * k), *field.secondary(60_000 * k)])]
    return out


def orders(out):
    return [(k, m) for k, m in out if m.topic == "command/manage_congestion"]


def worst(field):
    return float(field.topology.loading(field.v).max())


def test_a_lasting_overload_is_switched_away_after_the_operators_word(kit):
    field, controller = busy(kit, 1.0, operator_delay_sigma=0.0)
    before = worst(field)
    assert before > 100.0
    found = orders(told(controller, field, range(2, 30)))
    assert [k for k, _ in found] == [14]  # seen at minute 2, 10 minutes of patience, 2 for the operator
    order = found[0][1]
    assert (np.diff(order.values["closed"].astype(int)) >= 0).all()  # opens before it closes
    field.obey([order])
    assert field.topology.radial
    assert field.topology.live.sum() == field.net.topology(field.net.normal).live.sum()
    assert worst(field) < min(before, 100.0)
    # It rests after a switching, and then finds nothing more to do.
    assert orders(told(controller, field, range(30, 100))) == []


def test_what_is_not_overloaded_is_left_unless_losses_are_asked_for(kit):
    field, controller = busy(kit, 0.5)
    assert worst(field) < 100.0
    assert orders(told(controller, field, range(2, 40))) == []
    field, keen = busy(kit, 0.8, save_losses=True)
    found = orders(told(keen, field, range(2, 40)))
    assert len(found) == 1
    lost = field.topology.losses(field.v, field.s)
    field.obey([found[0][1]])
    assert field.topology.losses(field.v, field.s) < lost


def test_an_overload_that_passes_is_not_acted_on(kit):
    field, controller = busy(kit, 1.0)
    assert orders(told(controller, field, range(2, 9))) == []
    field.load = 0.4
    field.solve()
    assert orders(told(controller, field, range(9, 40))) == []


def test_before_any_telemetry_nothing_is_done(kit):
    _, controller = busy(kit, 1.0)
    assert controller.decide(600.0, []) == []
