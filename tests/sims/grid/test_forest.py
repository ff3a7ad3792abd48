"""A forest agrees with pandapower and with fleets, and knows how its power follows voltage and frequency."""

import copy

import numpy as np
import pandapower as pp
import pytest

from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.grid.forest import Forest, starts
from sims.grid.topology import TopologyVariants

QU = Curve("qu", (0.93, 0.97, 1.03, 1.07), (1.0, 0.0, 0.0, -1.0))
PU = Curve("pu", (1.01, 1.06), (1.0, 0.0))
NAMES = ("cigre_mv", "mv_oberrhein", "kerber_landnetz", "cigre_mv", "case33bw")


def nothing(forest, curves=0):
    n = int(forest.node_start[-1])
    return np.zeros(n), np.zeros(n), np.zeros((n, curves)), np.zeros((n, curves)), np.zeros(n)


def loaded(nets, rng, curves=(), size=0.2, amplitude=0.0):
    """A forest of `nets` with random injections, amplitudes on half of the nodes, and what was injected."""
    forest = Forest(nets, curves)
    p, q, pa, qa, pf = nothing(forest, len(curves))
    for f, net in enumerate(nets):
        total = sum(float(np.abs(net.elements[k].p_mw).sum()) for k in ("load", "sgen"))
        at = slice(forest.node_start[f], forest.node_start[f + 1])
        scale = size * total / net.n_nodes
        p[at], q[at] = scale * rng.normal(-0.5, 1.0, net.n_nodes), scale * rng.normal(-0.2, 0.5, net.n_nodes)
        on = rng.random((net.n_nodes, len(curves))) < 0.5
        pa[at], qa[at] = scale * amplitude * on, scale * amplitude * on[:, ::-1]
        pf[at] = -scale * rng.random(net.n_nodes)
    forest.inject(p, q, pa, qa, pf)
    return forest, (p, q, pa, qa, pf)


def alone(forest, f, given, slack, curves=()):
    """The same feeder in a fleet of one."""
    net, at = forest.nets[f], slice(forest.node_start[f], forest.node_start[f + 1])
    fleet = FleetPowerFlow(net, 1, tolerance_pu=1e-11)
    p, q, pa, qa, _ = (values[at] for values in given)
    fleet.set_injection(p, q)
    if curves:
        fleet.set_curves(curves, pa.T[:, :, None], qa.T[:, :, None])
    for row, slot in enumerate(forest.slots[f].tolist()):
        fleet.set_tap(row, slot + int(net.taps[row].positions[0]))
    fleet.set_slack(slack[f])
    assert fleet.solve().all()
    return fleet


@pytest.fixture
def nets(grid_of):
    return [grid_of(name)[1] for name in NAMES]


@pytest.fixture
def slack(rng):
    return rng.uniform(0.98, 1.04, len(NAMES)) * np.exp(1j * rng.uniform(-0.3, 0.3, len(NAMES)))


def test_two_buses_by_hand(two_bus):
    two_bus.line["x_ohm_per_km"] = 0.0
    forest = Forest([CompiledNet.from_net(two_bus)] * 2, [])
    p, *rest = nothing(forest)
    p[[1, 3]] = -2.0, -1.0
    forest.inject(p, *rest)
    assert forest.solve(np.array([1.02, 1.02 * np.exp(0.1j)])).all()
    forest.read()
    # Pure resistance of 1/40 pu: v^2 - 1.02 v + s / 40 = 0.
    for f, s in enumerate((0.2, 0.1)):
        v = (1.02 + np.sqrt(1.02**2 - 4 * s / 40)) / 2
        assert abs(forest.v[2 * f + 1]) == pytest.approx(v, abs=1e-9)
        loss = (s / v) ** 2 / 40 * 10
        assert forest.loss_mw[f] == pytest.approx(loss, abs=1e-8)
        assert forest.power_mva[f] == pytest.approx(10 * s + loss, abs=1e-8)
        assert forest.loading_percent[f] == pytest.approx(100 * (10 * s / v / (np.sqrt(3) * 20)) / 0.1, abs=1e-6)


def test_every_radial_grid_equals_pandapower_under_random_inputs_and_taps(radial, oracle, rng):
    net, grid = radial
    forest = Forest([grid, grid], [])
    other = copy.deepcopy(net)
    for kind in ("load", "sgen", "storage"):
        other[kind] = other[kind].iloc[:0]
    p, q, *rest = nothing(forest)
    nodes = np.flatnonzero((np.arange(grid.n_nodes) == grid.rep) & grid.live)
    size = float(np.abs(grid.elements["load"].p_mw).sum()) / grid.n_nodes
    p[nodes], q[nodes] = size * rng.normal(-0.5, 0.5, nodes.size), size * rng.normal(-0.1, 0.3, nodes.size)
    for node in nodes.tolist():
        pp.create_sgen(other, int(grid.node_bus[node]), p_mw=p[node], q_mvar=q[node])
    p, q = p + np.where(np.arange(p.size) < grid.n_nodes, np.resize(grid.fixed_p_mw, p.size), 0.0), q + np.where(
        np.arange(p.size) < grid.n_nodes, np.resize(grid.fixed_q_mvar, p.size), 0.0)
    slots = np.array([rng.integers(0, len(t.positions)) for t in grid.taps], np.int64)
    for table, slot in zip(grid.taps, slots.tolist(), strict=True):
        if len(table.positions) > 1:
            other[table.kind].loc[table.element, "tap_pos"] = table.positions[slot]
    forest.set_taps(0, slots)
    forest.inject(p, q, *rest)
    assert forest.solve(np.array([1.01 * np.exp(0.2j), 1.0])).all()
    other.ext_grid["vm_pu"], other.ext_grid["va_degree"] = 1.01, np.rad2deg(0.2)
    forest.read()
    n, b = grid.n_nodes, grid.n_branches
    power = forest.power_mva[0]
    oracle(other, grid).check(forest.v[:n], np.nan_to_num(forest.loading_percent[:b]), power.real, power.imag)


def test_feeders_of_many_shapes_with_characteristics_equal_fleets_of_one(nets, slack, rng):
    curves = (QU, PU)
    forest, given = loaded(nets, rng, curves, amplitude=1.0)
    forest.set_taps(1, np.array([len(t.positions) - 1 for t in nets[1].taps]))
    assert forest.solve(slack).all()
    forest.read()
    for f, net in enumerate(nets):
        fleet = alone(forest, f, given, slack, curves)
        at, b = (slice(s[f], s[f + 1]) for s in (forest.node_start, forest.branch_start))
        np.testing.assert_allclose(forest.v[at], fleet.v[:, 0], atol=1e-8)
        _, _, loading, loss = fleet.readings()
        np.testing.assert_allclose(forest.loading_percent[b], loading[:, 0], atol=1e-4)
        size = np.abs(given[0][at]).sum()
        found = complex(fleet.slack_p_mw[0], fleet.slack_q_mvar[0])
        assert forest.power_mva[f] == pytest.approx(found, abs=1e-6 * size)
        assert forest.loss_mw[f] == pytest.approx(loss[0], abs=1e-6 * size)
        np.testing.assert_allclose(forest.flow_mva[b].real, fleet.flows.p_from_mw[:, 0], atol=1e-5 * size)
        assert net is forest.nets[f]


def test_the_slopes_are_those_of_small_steps_in_voltage_and_frequency(nets, slack, rng):
    curves = (QU, PU)
    forest, (p, q, pa, qa, pf) = loaded(nets, rng, curves, amplitude=1.0)
    assert forest.solve(slack).all()
    per_pu, per_hz = forest.per_pu_mva.copy(), forest.per_hz_mva.copy()
    h = 1e-5
    around = []
    for side in (1, -1):
        assert forest.solve(slack * (1 + side * h / np.abs(slack))).all()
        around.append(forest.power_mva.copy())
    np.testing.assert_allclose(per_pu, (around[0] - around[1]) / (2 * h), rtol=2e-3, atol=2e-3)
    assert np.abs(per_pu).max() > 1.0
    around = []
    for side in (1, -1):
        forest.inject(p + side * 1e-3 * pf, q, pa, qa, pf)
        assert forest.solve(slack).all()
        around.append(forest.power_mva.copy())
    np.testing.assert_allclose(per_hz, (around[0] - around[1]) / 2e-3, rtol=1e-3, atol=1e-4)
    assert (per_hz.real > 0).all(), "infeed falls with frequency, so more is drawn"


def test_a_start_that_follows_the_slopes_needs_one_step(nets, slack, rng):
    forest, _ = loaded(nets, rng)
    assert forest.solve(slack).all()
    assert (forest.iterations > 1).all()
    assert forest.solve(slack * np.exp(0.3j) * (1 + 1e-5)).all()
    assert (forest.iterations == 1).all()


def test_the_answer_does_not_depend_on_where_it_started(nets, slack, rng):
    curves = (QU, PU)
    forest, given = loaded(nets, rng, curves, amplitude=1.0)
    for at in (slack * 1.03, slack * 0.97, slack):
        assert forest.solve(at).all()
    fresh = Forest(nets, curves)
    fresh.inject(*given)
    assert fresh.solve(slack).all()
    np.testing.assert_allclose(forest.v, fresh.v, atol=1e-9)


def test_a_variant_has_dark_nodes_and_a_meshed_one_is_left_alone(grid_of, rng):
    grid = grid_of("cigre_mv")[1]
    on = grid.branch_in_service.copy()
    on[np.flatnonzero(grid.branch_kind == "line")[1]] = False
    variants = TopologyVariants(grid)
    cut = variants.of_masks(grid.switch_closed, on)
    ring = variants.of_masks(np.ones_like(grid.switch_closed), grid.branch_in_service)
    assert cut.radial
    assert not ring.radial
    forest, given = loaded([grid, grid], rng)
    slack = np.array([1.03, 1.0 + 0j])
    whole = forest.solve(slack).all() and forest.power_mva.copy()
    forest.set_variant(0, cut)
    assert forest.solve(slack).all()
    at = slice(0, grid.n_nodes)
    assert (forest.v[at][~cut.live] == 0).all()
    assert (~cut.live).any()
    assert forest.live[at].tolist() == cut.live.tolist()
    np.testing.assert_allclose(forest.v[at], alone(forest, 0, given, slack).v[:, 0], atol=1e-8)
    assert forest.power_mva[1] == pytest.approx(whole[1], abs=1e-8)
    forest.set_variant(0, grid)
    assert forest.solve(slack).all()
    assert forest.power_mva == pytest.approx(whole, abs=1e-7)
    forest.set_variant(1, ring)
    assert forest.meshed.tolist() == [False, True]
    forest.v[grid.n_nodes :] = 7.0
    assert forest.solve(slack).tolist() == [True, False]
    assert (forest.v[grid.n_nodes :] == 7.0).all(), "whoever solves it writes its voltages"


def test_a_solution_found_elsewhere_is_where_the_next_starts(nets, slack, rng):
    """At twice the slope a start from no load circles; from the solution it does not."""
    curves = (QU, PU)
    forest, given = loaded(nets, rng, curves, amplitude=2.0)
    lost = np.flatnonzero(~forest.solve(slack))
    assert lost.size
    for f in lost.tolist():
        forest.adopt(f, alone(forest, f, given, slack, curves).v[:, 0])
    assert forest.solve(slack).all()


def test_what_cannot_be_supplied_is_said_and_the_others_stand(grid_of, rng):
    grid = grid_of("cigre_mv")[1]
    forest = Forest([grid, grid], [])
    p, *rest = nothing(forest)
    p[grid.n_nodes - 3] = -5000.0
    p[2 * grid.n_nodes - 3] = -1.0
    forest.inject(p, *rest)
    assert forest.solve(np.array([1.0, 1.0 + 0j])).tolist() == [False, True]
    forest.inject(p * 0, *rest)
    assert forest.solve(np.array([1.0, 1.0 + 0j])).all(), "it starts anew from no load"


def test_starts():
    assert starts([3, 0, 2]).tolist() == [0, 3, 3, 5]
    assert starts([]).tolist() == [0]
