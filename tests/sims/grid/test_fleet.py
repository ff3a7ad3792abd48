"""Fleets agree with pandapower feeder by feeder, under random inputs, taps and topologies."""

import copy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from sims.core.errors import GridError
from sims.grid import reference
from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.topology import TopologyVariants


def test_two_buses_by_hand(two_bus):
    two_bus.load["q_mvar"] = 0.0
    two_bus.line["x_ohm_per_km"] = 0.0
    fleet = FleetPowerFlow(CompiledNet.from_net(two_bus), 1)
    assert fleet.solve().all()
    # Pure resistance of 1/40 pu: v^2 - 1.02 v + 0.2 / 40 = 0.
    v = (1.02 + np.sqrt(1.02**2 - 4 * 0.2 / 40)) / 2
    assert fleet.vm[1, 0] == pytest.approx(v, abs=1e-9)
    loss = (0.2 / v) ** 2 / 40 * 10
    assert fleet.loss_mw[0] == pytest.approx(loss, abs=1e-8)
    assert fleet.slack_p_mw[0] == pytest.approx(2 + loss, abs=1e-8)
    assert fleet.loading_percent[0, 0] == pytest.approx(100 * (2 / v / (np.sqrt(3) * 20)) / 0.1, abs=1e-6)


def test_random_elements_slack_and_taps_equal_pandapower(radial, oracle, rng):
    net, grid = radial
    width = 5
    fleet = FleetPowerFlow(grid, width)
    slack = rng.uniform(0.96, 1.04, width) * np.exp(1j * rng.uniform(-0.3, 0.3, width))
    fleet.set_slack(slack)
    columns, taps = {}, {}
    for kind in ("load", "sgen", "storage"):
        if len(net[kind]):
            for field in ("p_mw", "q_mvar"):
                spread = rng.uniform(0, 1.3, (len(net[kind]), width))
                columns[kind, field] = net[kind][field].to_numpy()[:, None] * spread
                fleet.set(kind, field, columns[kind, field])
    for i, table in enumerate(grid.taps):
        taps[i] = rng.integers(table.positions[0], table.positions[-1] + 1, width)
        fleet.set_tap(i, taps[i])
    assert fleet.solve().all()
    v, loading, p, q = fleet.v, fleet.loading_percent, fleet.slack_p_mw, fleet.slack_q_mvar
    for j in range(0, width, 2):
        other = copy.deepcopy(net)
        for (kind, field), values in columns.items():
            other[kind][field] = values[:, j]
        other.ext_grid["vm_pu"], other.ext_grid["va_degree"] = abs(slack[j]), np.rad2deg(np.angle(slack[j]))
        for i, positions in taps.items():
            if len(grid.taps[i].positions) > 1:
                other.trafo.loc[grid.taps[i].element, "tap_pos"] = positions[j]
        oracle(other, grid).check(v[:, j], loading[:, j], p[j], q[j])


def test_random_switches_equal_pandapower(oracle, rng):
    net = pn.mv_oberrhein()
    grid = CompiledNet.from_net(net, split=True)
    variants = TopologyVariants(grid)
    width = 12
    fleet = FleetPowerFlow(grid, width)
    states, dark, rings = [], 0, 0
    for j in range(width):
        closed, lines = grid.switch_closed.copy(), net.line.in_service.copy()
        closed[rng.choice(len(closed), 2, replace=False)] ^= True
        if j % 3 == 0:
            ties = np.nonzero(~grid.switch_closed)[0]
            tie = grid.switches.branch[rng.choice(ties)]
            closed[grid.switches.branch == tie] = True
        out = int(rng.choice(net.line.index)) if j % 4 == 1 else None
        states.append((closed, out))
        on = grid.branch_in_service.copy()
        if out is not None:
            on[grid.branch("line", out)] = False
            lines[out] = False
        variant = variants.of_masks(closed, on)
        dark += len(variant.dark)
        rings += not variant.radial
        fleet.set_variant(j, variant)
    assert dark > 0
    assert rings > 0
    assert fleet.solve().all()
    v, loading, p, q = fleet.v, fleet.loading_percent, fleet.slack_p_mw, fleet.slack_q_mvar
    for j, (closed, out) in enumerate(states):
        other = copy.deepcopy(net)
        other.switch["closed"] = closed
        if out is not None:
            other.line.loc[out, "in_service"] = False
        oracle(other, grid).check(v[:, j], loading[:, j], p[j], q[j])


def test_taps_and_variants_together(oracle, rng):
    net = pn.mv_oberrhein()
    grid = CompiledNet.from_net(net)
    fleet = FleetPowerFlow(grid, 3)
    variant = TopologyVariants(grid).variant(out_of_service_lines=[int(net.line.index[7])])
    fleet.set_variant(1, variant)
    fleet.set_tap(0, [2, -5, 0])
    fleet.set_tap(1, [0, 4, 3])
    assert fleet.solve().all()
    other = copy.deepcopy(net)
    other.line.loc[net.line.index[7], "in_service"] = False
    other.trafo["tap_pos"] = [-5, 4]
    oracle(other, grid).check(fleet.v[:, 1], fleet.loading_percent[:, 1], fleet.slack_p_mw[1], fleet.slack_q_mvar[1])
    fleet.set_variant(1, None)
    fleet.set_tap(0, -2)
    fleet.set_tap(1, -3)
    assert fleet.solve().all()
    oracle(copy.deepcopy(net), grid).check(
        fleet.v[:, 1], fleet.loading_percent[:, 1], fleet.slack_p_mw[1], fleet.slack_q_mvar[1])


def test_three_winding_transformer_and_open_side(oracle):
    net = pp.create_empty_network()
    hv, mv, lv, end = (pp.create_bus(net, vn) for vn in (110.0, 20.0, 10.0, 10.0))
    pp.create_ext_grid(net, hv, 1.01)
    pp.create_transformer3w(net, hv, mv, lv, "63/25/38 MVA 110/20/10 kV", tap_pos=-3)
    pp.create_load(net, mv, 12.0, 4.0)
    pp.create_line_from_parameters(net, lv, end, 2.0, 0.1, 0.2, 250, 0.4)
    load = pp.create_load(net, end, 3.0, 1.0)
    grid = CompiledNet.from_net(net, "three")
    fleet = FleetPowerFlow(grid, 2)
    fleet.set_tap(0, [-3, 5])
    assert fleet.solve().all()
    oracle(net, grid).check(fleet.v[:, 0], fleet.loading_percent[:, 0], fleet.slack_p_mw[0], fleet.slack_q_mvar[0])
    rows = grid.branch_kind == "trafo3w"
    assert fleet.loading_percent[rows, 0].max() == pytest.approx(net.res_trafo3w.loading_percent[0], abs=1e-6)
    net.trafo3w["tap_pos"] = 5
    oracle(net, grid).check(fleet.v[:, 1], fleet.loading_percent[:, 1], fleet.slack_p_mw[1], fleet.slack_q_mvar[1])
    pp.create_switch(net, lv, 0, "t3", closed=False)
    net.load.loc[load, "in_service"] = False
    half = CompiledNet.from_net(net, "half")
    one = FleetPowerFlow(half, 1)
    assert one.solve().all()
    oracle(net, half).check(one.v[:, 0], one.loading_percent[:, 0], one.slack_p_mw[0], one.slack_q_mvar[0])


def test_half_open_transformer_keeps_its_magnetising_current(oracle):
    net = pn.mv_oberrhein()
    pp.create_switch(net, int(net.trafo.lv_bus.iloc[0]), int(net.trafo.index[0]), "t", closed=False)
    grid = CompiledNet.from_net(net, allow_dark=True)
    fleet = FleetPowerFlow(grid, 1)
    fleet.set_tap(0, 3)
    assert fleet.solve().all()
    net.trafo.loc[net.trafo.index[0], "tap_pos"] = 3
    oracle(net, grid).check(fleet.v[:, 0], fleet.loading_percent[:, 0], fleet.slack_p_mw[0], fleet.slack_q_mvar[0])


def test_zip_loads_equal_pandapower(oracle):
    net = pn.create_cigre_network_lv()
    net.load = net.load.drop_duplicates("bus")
    for column, value in (("const_z_p_percent", 30), ("const_i_p_percent", 40), ("const_z_q_percent", 50),
                          ("const_i_q_percent", 10)):
        net.load[column] = float(value)
    grid = CompiledNet.from_net(net)
    fleet = FleetPowerFlow(grid, 2)
    assert fleet.solve().all()
    oracle(net, grid).check(fleet.v[:, 0], fleet.loading_percent[:, 0], fleet.slack_p_mw[0], fleet.slack_q_mvar[0])


def test_zip_shares_of_nodal_injections(two_bus):
    grid = CompiledNet.from_net(two_bus)
    fleet = FleetPowerFlow(grid, 1)
    fleet.set_injection([0.0, -2.0], [0.0, -1.0])
    fleet.set_zip([0.0, 0.3], [0.0, 0.2])
    assert fleet.solve().all()
    u = fleet.vm[1, 0]
    p, q = fleet.injected()
    assert p[1, 0] == pytest.approx(-2 * (0.5 + 0.2 * u + 0.3 * u * u), abs=1e-9)
    assert fleet.slack_p_mw[0] - fleet.loss_mw[0] == pytest.approx(-p[1, 0], abs=1e-7)
    assert q[1, 0] == pytest.approx(p[1, 0] / 2)
    fleet.set_zip(None)
    assert fleet.solve().all()
    assert fleet.vm[1, 0] > u, "above 1 pu the voltage-dependent load draws more"
    with pytest.raises(GridError, match="at most 1"):
        fleet.set_zip(0.8, 0.3)


def test_power_balances_by_feeder_with_losses_from_flows(radial, rng):
    _, grid = radial
    fleet = FleetPowerFlow(grid, 70)
    p, q = grid.nominal()
    p = p[:, None] * rng.uniform(0.1, 1.2, (grid.n_nodes, 70))
    fleet.set_injection(p, q)
    assert fleet.solve().all()
    np.testing.assert_allclose(fleet.slack_p_mw + p.sum(axis=0), fleet.loss_mw, atol=2e-7)


def test_result_does_not_depend_on_neighbours_or_start(grid_of, rng):
    _, grid = grid_of("mv_oberrhein")
    p, q = grid.nominal()
    p = p[:, None] * rng.uniform(0.1, 1.2, (grid.n_nodes, 40))
    together = FleetPowerFlow(grid, 40)
    together.set_injection(0.3 * p, q)
    together.solve()
    together.set_injection(p, q)
    together.solve()
    alone = FleetPowerFlow(grid, 1)
    for j in (0, 31, 39):
        alone.set_injection(p[:, j], q)
        alone.solve()
        np.testing.assert_allclose(together.v[:, j], alone.v[:, 0], atol=1e-8)


def test_export_reproduces_the_state(radial, oracle, rng):
    _, grid = radial
    fleet = FleetPowerFlow(grid, 2)
    p, q = grid.nominal()
    fleet.set_injection(p[:, None] * np.array([0.4, 0.9]), q)
    fleet.set_slack(np.array([1.0, 1.01 * np.exp(0.1j)]))
    if len(grid.taps[:1]) and len(grid.taps[0].positions) > 1:
        fleet.set_tap(0, grid.taps[0].positions[[0, -1]])
    assert fleet.solve().all()
    oracle(fleet.export(1), grid).check(
        fleet.v[:, 1], fleet.loading_percent[:, 1], fleet.slack_p_mw[1], fleet.slack_q_mvar[1])


def test_overload_is_marked_and_never_an_older_solution(two_bus):
    grid = CompiledNet.from_net(two_bus, "weak")
    fleet = FleetPowerFlow(grid, 3)
    assert fleet.solve().all()
    # The line can carry at most some V^2 / (2 (|Z| + R)) = 64 MW.
    fleet.set_injection(np.array([[0, 0, 0], [-2.0, -500.0, -3.0]]), np.zeros((2, 3)))
    assert fleet.solve().tolist() == [True, False, True]
    assert np.isnan(fleet.vm[:, 1]).all()
    assert np.isnan(fleet.loading_percent[:, 1]).all()
    assert np.isnan(fleet.slack_p_mw[1])
    assert np.isfinite(fleet.vm[:, [0, 2]]).all()
    fleet.set_injection([0.0, -2.0], [0.0, -1.0])
    assert fleet.solve().all()


def test_near_the_limit_newton_takes_over(two_bus, oracle):
    grid = CompiledNet.from_net(two_bus)
    fleet = FleetPowerFlow(grid, 1)
    fleet.set_slack([1.02])
    two_bus.load[["p_mw", "q_mvar"]] = [63.0, 0.0]
    fleet.set("load", "p_mw", [63.0])
    fleet.set("load", "q_mvar", [0.0])
    assert fleet.solve().all()
    oracle(two_bus, grid).check(fleet.v[:, 0], fleet.loading_percent[:, 0], fleet.slack_p_mw[0], fleet.slack_q_mvar[0])


def test_nan_input_hurts_its_own_feeder_only(grid_of):
    _, grid = grid_of("cigre_mv")
    fleet = FleetPowerFlow(grid, 40, max_fallbacks=0)
    p, q = grid.nominal()
    p = np.repeat(p[:, None], 40, axis=1)
    p[5, 7] = np.nan
    fleet.set_injection(p, q)
    assert np.nonzero(~fleet.solve())[0].tolist() == [7]


@pytest.mark.parametrize(("act", "text"), [
    (lambda f: f.set("loads", "p_mw", 1.0), r"no loads to set \(did you mean load\?\)"),
    (lambda f: f.set("load", "p", 1.0), "load has no field p"),
    (lambda f: f.set("load", "p_mw", np.ones(3)),
     r"load.p_mw has shape \(3, 1\), needs \[element, feeder\] = \(18, 4\)"),
    (lambda f: f.set_injection(np.ones(3), np.ones(3)), r"p_mw has shape .*needs \[node, feeder\]"),
    (lambda f: f.set_slack(np.ones(3)), r"slack voltage has shape \(3,\)"),
    (lambda f: f.set_tap(9, 0), "no transformer number 9; it has 2"),
    (lambda f: f.set_tap(0, 40), "tap position"),
    (lambda f: f.set_curves([object()], np.ones(1), np.ones(1)), r"needs \[curve, node, feeder\]"),
])
def test_wrong_inputs_are_named(grid_of, act, text):
    _, grid = grid_of("cigre_mv")
    with pytest.raises(GridError, match=text):
        act(FleetPowerFlow(grid, 4))


def test_generators_and_foreign_variants_are_refused(grid_of):
    with pytest.raises(GridError, match=r"case9: gen 0 holds a voltage.*MeshedPowerFlow"):
        FleetPowerFlow(grid_of("case9")[1], 1)
    with pytest.raises(GridError, match="is not a variant"):
        FleetPowerFlow(grid_of("cigre_mv")[1], 1).set_variant(0, grid_of("case33bw")[1])
    with pytest.raises(GridError, match="at least one feeder"):
        FleetPowerFlow(grid_of("cigre_mv")[1], 0)


def test_reference_agrees_with_itself(grid_of, oracle):
    net, grid = grid_of("cigre_mv")
    engine = reference.ReferencePowerFlow(grid)
    engine.set("load", "p_mw", net.load.p_mw * 0.7)
    engine.set_slack(1.01)
    assert engine.solve().all()
    other = copy.deepcopy(net)
    other.load["p_mw"] *= 0.7
    other.ext_grid["vm_pu"] = 1.01
    oracle(other, grid).check(
        engine.v[:, 0], engine.loading_percent[:, 0], engine.slack_p_mw[0], engine.slack_q_mvar[0])
