import numpy as np
import pytest

from controllers.dms.congestion import Lever, Limits, quantised, relieve, violations

LIMITS = Limits(0.954, 1.046, 96.0)


def sunny(kit, kind="oberrhein", pv=2.0, **field):
    f = kit.field(kit.feeder(kind, pv=pv, storage=0), load=0.1, sun=1.0, **field)
    d = f.belief.devices
    rows = np.flatnonzero(d.kind == "pv")
    have = f.available()[rows]
    return f, Lever(d.node[rows], have, np.zeros(len(rows)), have, have, np.ones(len(rows)))


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_relief_holds_in_the_power_flow_and_curtails_no_more_than_needed(kit, kind):
    field, levers = sunny(kit, kind, pv=2.2)
    topology, anchor = field.topology, field.v[field.net.anchor]
    nodes, branches = violations(topology, field.v, LIMITS)
    assert nodes.any() or branches.any()
    found = relieve(topology, field.v, field.s, anchor, levers, LIMITS)
    assert found.secure
    s = field.s.copy()
    np.add.at(s, levers.node, (found.p_mw - levers.p_mw) / field.belief.grid.base_mva)
    v = topology.flow(s, anchor)
    assert np.abs(v[topology.free]).max() < 1.0465
    assert topology.loading(v).max() < 96.2
    # Giving back 3 % of what was taken breaks a limit again: nothing was curtailed for nothing.
    back = s.copy()
    np.add.at(back, levers.node, 0.03 * (levers.p_mw - found.p_mw) / field.belief.grid.base_mva)
    v = topology.flow(back, anchor)
    assert np.abs(v[topology.free]).max() > 1.0459 or topology.loading(v).max() > 96.0


def test_the_cheapest_lever_is_used_first(kit):
    field, levers = sunny(kit, "cigre", pv=2.2)
    dear = levers.cost.copy()
    dear[::2] = 10.0
    topology, anchor = field.topology, field.v[field.net.anchor]
    even = relieve(topology, field.v, field.s, anchor, levers, LIMITS)
    priced = relieve(topology, field.v, field.s, anchor, Lever(*(getattr(levers, n) for n in (
        "node", "p_mw", "lower_mw", "upper_mw", "preferred_mw")), dear), LIMITS)
    cut = levers.p_mw - priced.p_mw
    cost = float((dear * cut).sum())
    assert cost <= float((dear * (levers.p_mw - even.p_mw)).sum()) + 1e-6
    assert cut.sum() >= (levers.p_mw - even.p_mw).sum() - 1e-6


def test_nothing_is_asked_where_nothing_is_wrong(kit):
    field, levers = sunny(kit, "cigre", pv=0.5)
    found = relieve(field.topology, field.v, field.s, field.v[field.net.anchor], levers, LIMITS)
    assert found.secure
    np.testing.assert_allclose(found.p_mw, levers.p_mw)


def test_caps_that_are_no_longer_needed_come_back(kit):
    field, levers = sunny(kit, "cigre", pv=0.5)
    capped = Lever(levers.node, 0.4 * levers.p_mw, levers.lower_mw, levers.upper_mw, levers.preferred_mw, levers.cost)
    s = field.s.copy()
    np.add.at(s, levers.node, -0.6 * levers.p_mw / field.belief.grid.base_mva)
    v = field.topology.flow(s, field.v[field.net.anchor])
    found = relieve(field.topology, v, s, field.v[field.net.anchor], capped, LIMITS)
    np.testing.assert_allclose(found.p_mw, levers.p_mw)


def test_what_cannot_be_relieved_says_so_and_does_its_best(kit):
    field, levers = sunny(kit, "cigre", pv=2.2)
    p = levers.p_mw[:2]
    stiff = Lever(levers.node[:2], p, 0.9 * p, p, p, levers.cost[:2])
    found = relieve(field.topology, field.v, field.s, field.v[field.net.anchor], stiff, LIMITS)
    assert not found.secure
    assert (found.p_mw >= stiff.lower_mw - 1e-9).all()


def test_undervoltage_asks_for_more_not_less(kit):
    field = kit.field(kit.feeder("case33bw", pv=0, storage=1.0), load=1.0)
    d = field.belief.devices
    rows = np.flatnonzero(d.kind == "storage")
    zero, rated = np.zeros(len(rows)), d.p_rated_mw[rows]
    levers = Lever(d.node[rows], zero, -rated, rated, zero, np.ones(len(rows)))
    found = relieve(field.topology, field.v, field.s, field.v[field.net.anchor], levers, Limits(0.95, 1.05, 1e9))
    assert found.secure
    assert (found.p_mw >= -1e-9).all()
    assert np.abs(found.v[field.topology.free]).min() == pytest.approx(0.95, abs=3e-4)


def test_quantised_rounds_down_to_the_steps():
    caps = quantised(np.array([1.0, 0.99, 0.6, 0.59, 0.3, 0.1]), np.ones(6))
    np.testing.assert_allclose(caps, [1, 0.6, 0.6, 0.3, 0.3, 0])
    np.testing.assert_allclose(quantised(np.array([1.9]), np.array([2.0])), [1.2])
