"""The meshed engine agrees with pandapower under random inputs, taps, branches and limits."""

import copy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from sims.core.errors import GridError
from sims.grid import reference
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow


def _check(oracle, net, engine, **options):
    oracle(net, engine.compiled, **options).check(engine.v, engine.loading_percent, engine.slack_p_mw,
                                                  engine.slack_q_mvar)


def test_random_load_generation_and_voltages_equal_pandapower(meshed, oracle, rng):
    net, grid = meshed
    other, engine = copy.deepcopy(net), MeshedPowerFlow(grid)
    for _ in range(2):
        for field in ("p_mw", "q_mvar"):
            other.load[field] = net.load[field] * rng.uniform(0.8, 1.1, len(net.load))
            engine.set("load", field, other.load[field])
        other.gen["p_mw"] = net.gen.p_mw * rng.uniform(0.9, 1.1, len(net.gen))
        other.gen["vm_pu"] = net.gen.vm_pu * rng.uniform(0.99, 1.01, len(net.gen))
        other.ext_grid["vm_pu"] = rng.uniform(0.99, 1.03)
        other.ext_grid["va_degree"] = rng.uniform(-20, 20)
        engine.set("gen", "p_mw", other.gen.p_mw)
        engine.set("gen", "vm_pu", other.gen.vm_pu)
        engine.set("ext_grid", "vm_pu", other.ext_grid.vm_pu)
        engine.set("ext_grid", "va_degree", other.ext_grid.va_degree)
        assert engine.solve()
        assert engine.iterations > 0, "solved by lightsim2grid, not by the fallback"
        _check(oracle, other, engine)
        np.testing.assert_allclose(engine.gen_q_mvar, other.res_gen.q_mvar, atol=1e-5)
    losses = other.res_line.pl_mw.sum() + other.res_trafo.pl_mw.sum()
    if len(other.shunt):
        losses += other.res_shunt.p_mw.sum()
    assert engine.loss_mw == pytest.approx(losses, abs=1e-6)


def test_branches_and_taps_equal_pandapower(meshed, oracle):
    net, grid = meshed
    engine, other = MeshedPowerFlow(grid), copy.deepcopy(net)
    assert engine.solve()
    line = int(net.line.index[2])
    engine.set_branch("line", line, in_service=False)
    other.line.loc[line, "in_service"] = False
    for i, table in enumerate(grid.taps):
        if len(table.positions) > 1:
            engine.set_tap(i, table.positions[0])
            other.trafo.loc[table.element, "tap_pos"] = float(table.positions[0])
    assert engine.solve()
    _check(oracle, other, engine)
    engine.set_branch("line", line, in_service=True)
    other.line.loc[line, "in_service"] = True
    assert engine.solve()
    _check(oracle, other, engine)


def test_several_slacks_are_folded_exactly(oracle):
    net = pn.case39()
    pp.create_ext_grid(net, int(net.gen.bus.iloc[0]), vm_pu=float(net.gen.vm_pu.iloc[0]), va_degree=-3.0)
    net.gen = net.gen.drop(net.gen.index[0])
    engine = MeshedPowerFlow(CompiledNet.from_net(net, "two slacks"))
    assert engine.solve()
    assert engine.iterations > 0
    _check(oracle, net, engine)
    order = np.argsort([engine.compiled.bus_node[b] for b in net.ext_grid.bus])
    np.testing.assert_allclose(engine.root_mva.real, net.res_ext_grid.p_mw.to_numpy()[order], atol=1e-5)


def test_reactive_limits_equal_pandapower(oracle):
    net = pn.case30()
    free = MeshedPowerFlow(CompiledNet.from_net(net))
    assert free.solve()
    net.gen["max_q_mvar"] = np.where(free.gen_q_mvar > 5, 0.7 * free.gen_q_mvar, 60.0)
    limited = MeshedPowerFlow(CompiledNet.from_net(net), enforce_q_limits=True)
    assert limited.solve()
    _check(oracle, net, limited, enforce_q_lims=True)
    np.testing.assert_allclose(limited.gen_q_mvar, net.res_gen.q_mvar, atol=1e-6)
    at_limit = np.isclose(limited.gen_q_mvar, net.gen.max_q_mvar) | np.isclose(limited.gen_q_mvar, net.gen.min_q_mvar)
    assert at_limit.any(), "the case must bring a generator to its limit"
    assert np.abs(free.vm - limited.vm).max() > 1e-4


def test_generator_trip(oracle):
    net = pn.case39()
    engine = MeshedPowerFlow(CompiledNet.from_net(net))
    assert engine.solve()
    engine.set_generator(3, in_service=False)
    assert engine.solve()
    net.gen.loc[net.gen.index[3], "in_service"] = False
    _check(oracle, net, engine)


def test_nodal_injection_replaces_the_loads(oracle):
    net = pn.case14()
    grid = CompiledNet.from_net(net)
    engine = MeshedPowerFlow(grid)
    p, q = np.zeros(grid.n_nodes), np.zeros(grid.n_nodes)
    nodes = [grid.bus_node[b] for b in net.load.bus]
    np.add.at(p, nodes, -0.9 * net.load.p_mw)
    np.add.at(q, nodes, -1.1 * net.load.q_mvar)
    engine.set_injection(p, q)
    assert engine.solve()
    net.load["p_mw"] *= 0.9
    net.load["q_mvar"] *= 1.1
    _check(oracle, net, engine)


def test_voltage_dependent_loads(oracle):
    net = pn.case14()
    net.load["const_z_p_percent"], net.load["const_i_q_percent"] = 60.0, 40.0
    engine = MeshedPowerFlow(net)
    assert engine.solve()
    _check(oracle, net, engine)


def test_radial_grids_and_switches_too(oracle):
    net = pn.mv_oberrhein()
    engine = MeshedPowerFlow(net)
    assert engine.solve()
    _check(oracle, net, engine)
    closed = ~engine.compiled.switch_closed | engine.compiled.switch_closed
    engine.set_topology(closed, engine.compiled.branch_in_service)
    net.switch["closed"] = True
    assert engine.solve()
    _check(oracle, net, engine)


def test_vector_groups_in_the_loop_start_right(oracle):
    net = pn.create_cigre_network_mv(with_der=False)
    net.switch["closed"] = True
    engine = MeshedPowerFlow(net)
    assert engine.solve()
    assert engine.iterations > 0
    _check(oracle, net, engine)


def test_voltages_outlive_the_solver():
    engine = MeshedPowerFlow(pn.case9())
    engine.solve()
    v = engine.v
    kept = v.copy()
    engine.set("load", "p_mw", np.array([10.0, 20.0, 30.0]))
    engine.solve()
    del engine
    np.testing.assert_array_equal(v, kept)


def test_collapse_is_nan_and_recovers():
    net = pn.case9()
    engine = MeshedPowerFlow(net)
    engine.set("load", "p_mw", net.load.p_mw * 20)
    assert not engine.solve()
    assert np.isnan(engine.vm).all()
    assert np.isnan(engine.slack_p_mw)
    engine.set("load", "p_mw", net.load.p_mw)
    assert engine.solve()


def test_export_reproduces_the_state(oracle):
    engine = MeshedPowerFlow(pn.case30())
    engine.set("gen", "p_mw", engine.compiled.net.gen.p_mw * 0.9)
    engine.set("load", "q_mvar", engine.compiled.net.load.q_mvar * 1.2)
    engine.set_branch("line", 5, in_service=False)
    assert engine.solve()
    exported = engine.export()
    reference.run(exported)
    np.testing.assert_allclose(reference.voltages(engine.compiled, exported), engine.v, atol=1e-8)


@pytest.mark.parametrize(("act", "text"), [
    (lambda m: m.set("gen", "p", 1.0), "gen has no field p"),
    (lambda m: m.set("gen", "p_mw", [1.0] * 7), "gen.p_mw has 7 values, needs 2"),
    (lambda m: m.set("sgen", "p_mw", 1.0), "no sgen to set"),
    (lambda m: m.set_injection([1.0], [1.0]), "injection has 1 and 1 values"),
    (lambda m: m.set_tap(4, 0), "no transformer number 4; it has 0"),
    (lambda m: m.set_branch("line", 77, in_service=False), "line 77 does not exist"),
])
def test_wrong_inputs_are_named(grid_of, act, text):
    with pytest.raises(GridError, match=f"case9: {text}"):
        act(MeshedPowerFlow(grid_of("case9")[1]))
