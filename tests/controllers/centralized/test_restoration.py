import numpy as np
import pytest

from controllers.centralized.restoration import RestoreSupply


def calm(kit, kind="oberrhein", **field):
    f = kit.field(kit.feeder(kind), load=0.6, **field)
    site = kit.site([f.belief])
    controller = RestoreSupply(site)
    controller.decide(0.0, [f.primary(0), *f.secondary(0)])
    return f, controller


@pytest.mark.parametrize(("kind", "line"), [("oberrhein", 12), ("oberrhein", 100), ("cigre", 2), ("cigre", 7)])
def test_restores_after_the_remote_delay_without_closing_onto_the_fault(kit, kind, line):
    field, controller = calm(kit, kind)
    mail = field.strike(line, 100_000)
    dark = (~field.topology.live).sum()
    assert controller.decide(100.0, mail) == []
    out = controller.decide(160.0, [])
    order = next(m for m in out if m.topic == "command/restore_supply")
    assert order.receiver == field.belief.name
    closed = order.values["closed"]
    assert not closed[0]
    assert order.values["line"][0] == line
    assert (np.diff(closed.astype(int)) >= 0).all()  # opens before it closes
    field.obey(out)
    assert field.trips == 0
    assert field.topology.radial
    assert (~field.topology.live).sum() < dark
    load = field.load * field.spread * field.belief.load_mw
    assert load[~field.topology.live].sum() == 0.0
    assert field.topology.loading(field.v).max() < 100
    for k in range(4, 20):
        assert controller.decide(60.0 * k, [field.primary(60_000 * k)]) == []


def test_without_a_delay_of_the_operator_it_decides_in_the_step_it_is_told(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.6)
    controller = RestoreSupply(kit.site([field.belief], settings={"remote_delay_ms": 0}))
    controller.decide(0.0, [field.primary(0), *field.secondary(0)])
    out = controller.decide(100.0, field.strike(12, 100_000))
    order = next(m for m in out if m.topic == "command/restore_supply")
    assert order.values["line"][0] == 12
    assert not order.values["closed"][0]


def test_without_a_sign_of_life_the_order_is_repeated_then_given_up(kit):
    field, controller = calm(kit)
    controller.decide(100.0, field.strike(12, 100_000))
    sent = [controller.decide(160.0 + 60 * k, []) for k in range(20)]
    orders = [k for k, out in enumerate(sent) if any(m.topic.startswith("command/") for m in out)]
    assert orders == [0, 3, 6]


def test_late_and_repeated_alarms_change_nothing(kit):
    field, controller = calm(kit)
    mail = field.strike(12, 100_000)
    controller.decide(100.0, mail[:1])
    controller.decide(101.0, mail[::-1])
    first = [m for m in controller.decide(160.0, mail) if m.topic.startswith("command/")]
    assert len(first) == 1
    assert controller.decide(170.0, [*mail, field.primary(165_000)]) == []


def test_lost_indicators_mean_the_head_line_and_a_second_trip_tries_again(kit):
    field, controller = calm(kit)
    mail = field.strike(100, 100_000)
    controller.decide(100.0, [mail[0], mail[-1]])  # only the head's own indicator came through
    out = controller.decide(160.0, [])
    field.obey(out)
    head = mail[0].values["tripped_line"]
    order = next(m for m in out if m.topic.startswith("command/"))
    assert not order.values["closed"][order.values["line"] == head].any()
    # A tie fed the fault: its breaker trips, and the next plan never closes the lines known as faulted.
    if field.trips:
        again = field.strike(100, 200_000)
        controller.decide(200.0, again)
        second = [m for m in controller.decide(260.0, []) if m.topic.startswith("command/")]
        closing = {int(i) for m in second for i, c in zip(m.values["line"], m.values["closed"], strict=True) if c}
        assert head not in closing
        assert 100 not in closing


def test_alarms_of_other_feeders_are_ignored(kit):
    _, controller = calm(kit, "cigre")
    other = kit.field(kit.feeder("cigre", name="dso_2.f07"), load=0.6)
    assert controller.decide(100.0, other.strike(2, 100_000)) == []
    assert controller.decide(160.0, []) == []
