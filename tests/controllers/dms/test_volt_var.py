import numpy as np
import pytest

from controllers.dms.optimiser import solve
from controllers.dms.volt_var import Band, Sources, best_q, best_steps, settled

BAND = Band(0.98, 1.02, 0.955, 1.045)


def busbar_steps(field, v, room=9):
    n = len(field.net.anchor)
    return best_steps(field.topology, v, np.full(n, 0.015), BAND, np.full((2, n), room))


def test_taps_centre_a_profile_that_is_too_high_or_too_low(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.3)
    v = field.v / np.abs(field.v[field.net.anchor[0]])
    assert (busbar_steps(field, v) == 0).all()
    assert (busbar_steps(field, v * 1.04) < 0).all()
    assert (busbar_steps(field, v * 0.96) > 0).all()
    assert (busbar_steps(field, v * 0.96, room=0) == 0).all()


def test_no_step_where_it_would_gain_too_little(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.1)
    v = np.where(field.topology.live, 1.0205 + 0j, 0)
    assert (busbar_steps(field, v) == 0).all()


@pytest.mark.parametrize(("load", "sun", "sign"), [(0.05, 1.0, -1), (1.2, 0.0, 1)])
def test_reactive_power_pushes_against_the_deviation_and_holds_the_band(kit, load, sun, sign):
    field = kit.field(kit.feeder("oberrhein", pv=1.3), load=load, sun=sun, v_hv=0.98)
    d = field.belief.devices
    rows = np.flatnonzero(d.kind == "pv")
    reach = np.sqrt(d.s_rated_mva[rows] ** 2 - field.der[rows] ** 2)
    sources = Sources(d.node[rows], np.zeros(len(rows)), -reach, reach)
    v = field.v
    band = Band(0.98, 1.02, 0.9, np.abs(v).max() - 0.006) if sign < 0 else Band(
        0.98, 1.02, np.abs(v[field.topology.free]).min() + 0.006, 1.1)
    q = best_q(field.topology, v, field.s, sources, band, np.zeros(len(field.net.anchor)), 1000.0)
    assert sign * q.sum() > 0
    assert (np.abs(q) <= reach + 1e-9).all()
    ds = np.zeros(len(v), dtype=complex)
    np.add.at(ds, sources.node, 1j * q / field.belief.grid.base_mva)
    expected = np.abs(settled(field.topology, v, field.s, ds)[field.topology.free])
    before = band.outside(np.abs(v[field.topology.free]))
    assert band.outside(expected).sum() < 0.1 * before.sum()


def test_no_branch_is_loaded_beyond_its_limit_by_reactive_power(kit):
    field = kit.field(kit.feeder("oberrhein", pv=1.3), load=1.2, v_hv=0.98)
    d = field.belief.devices
    rows = np.flatnonzero(d.kind == "pv")
    reach = d.s_rated_mva[rows]
    sources = Sources(d.node[rows], np.zeros(len(rows)), -reach, reach)
    band = Band(0.98, 1.02, np.abs(field.v[field.topology.free]).min() + 0.03, 1.1)
    none = np.zeros(len(field.net.anchor))
    before = field.topology.loading(field.v)
    unbound = best_q(field.topology, field.v, field.s, sources, band, none, 1e6)
    bound = best_q(field.topology, field.v, field.s, sources, band, none, 0.0)

    def loading(q):
        ds = np.bincount(sources.node, q, len(field.v)) * 1j / field.belief.grid.base_mva
        return field.topology.loading(field.topology.flow(field.s + ds, field.v[field.net.anchor]))

    assert (loading(unbound) - before).max() > 5.0
    assert bound is None or (loading(bound) - before).max() < 2.0


def test_inside_the_limits_nothing_is_worth_an_order(kit):
    field = kit.field(kit.feeder("cigre"), load=0.1)
    d = field.belief.devices
    rows = np.flatnonzero(d.kind == "pv")
    reach = d.s_rated_mva[rows]
    q = best_q(field.topology, field.v, field.s, Sources(d.node[rows], np.zeros(len(rows)), -reach, reach),
               Band(0.9, 1.1, 0.85, 1.15), np.zeros(len(field.net.anchor)), 100.0)
    assert q is None or np.abs(q).max() < 1e-9


def test_optimiser_solves_a_hand_worked_programme_and_admits_defeat():
    # min x + 2y, x + y >= 3, x <= 2 -> (2, 1)
    args = np.array([1.0, 2.0]), np.array([[1.0, 1.0]])
    found = solve(*args, np.array([3.0]), np.array([np.inf]), np.zeros(2), np.array([2.0, 5.0]))
    np.testing.assert_allclose(found, [2.0, 1.0])
    assert solve(*args, np.array([9.0]), np.array([np.inf]), np.zeros(2), np.array([2.0, 5.0])) is None
