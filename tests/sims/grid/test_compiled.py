"""The compiled grid carries pandapower's own parameters; a bad net is refused by name."""

import copy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


def test_two_buses_by_hand(two_bus):
    grid = CompiledNet.from_net(two_bus, "hand")
    # Z base = 20^2 / 10 = 40 ohm; y = 1 / ((1 + 2j) / 40) = 8 - 16j; I base = 10 / (sqrt(3) 20) kA.
    assert grid.y_ff[0] == pytest.approx(8 - 16j)
    assert grid.y_ft[0] == grid.y_tf[0] == pytest.approx(-8 + 16j)
    assert grid.rating_from[0] == pytest.approx(0.1 / (10 / (np.sqrt(3) * 20)))
    assert grid.rating[0] == pytest.approx(np.sqrt(3) * 20 * 0.1)
    p, q = grid.nominal()
    assert (p.tolist(), q.tolist()) == ([0.0, -2.0], [0.0, -1.0])
    assert grid.radial
    assert grid.parent.tolist() == [-1, 0]
    assert grid.roots.tolist() == [0]
    assert grid.root_v[0] == pytest.approx(1.02)


@pytest.mark.parametrize("name", ["mv_oberrhein", "cigre_mv_all", "case118", "case33bw"])
def test_pandapowers_voltages_satisfy_the_compiled_nodal_equations(grid_of, name):
    net, grid = grid_of(name)
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9)
    v = np.zeros(grid.n_nodes, complex)
    for bus, node in grid.bus_node.items():
        v[node] = net.res_bus.vm_pu[bus] * np.exp(1j * np.deg2rad(net.res_bus.va_degree[bus]))
    current = grid.shunt_y * v
    np.add.at(current, grid.branch_from, grid.y_ff * v[grid.branch_from] + grid.y_ft * v[grid.branch_to])
    np.add.at(current, grid.branch_to, grid.y_tf * v[grid.branch_from] + grid.y_tt * v[grid.branch_to])
    s = v * current.conj() * grid.base_mva
    p, q = grid.nominal()
    rest = np.setdiff1d(np.arange(grid.n_nodes), [*grid.roots, *grid.elements["gen"].node])
    np.testing.assert_allclose(s[rest], (p + 1j * q)[rest], atol=1e-7)


def test_tap_tables_hold_what_pandapower_builds_at_each_position():
    net = pn.mv_oberrhein()
    grid = CompiledNet.from_net(net)
    table = grid.taps[0]
    assert (table.positions[0], table.positions[-1], table.initial, table.side) == (-9, 9, -2, "hv")
    for position in (-9, 0, 7):
        other = copy.deepcopy(net)
        other.trafo.loc[table.element, "tap_pos"] = position
        again = CompiledNet.from_net(other)
        row = table.branches[0]
        want = [again.y_ff[row], again.y_ft[row], again.y_tf[row], again.y_tt[row]]
        np.testing.assert_allclose(table.y[0][:, table.slot(position)], want, rtol=1e-12)


def test_low_voltage_side_tap_changes_the_series_impedance():
    net = pn.create_kerber_dorfnetz()
    net.trafo["tap_side"] = "lv"
    table = CompiledNet.from_net(net).taps[0]
    low, high = table.y[0][:, 0], table.y[0][:, -1]
    # Off-nominal ratio aside, |y_ft y_tf| = |y_series|^2: it moves only if the impedance does.
    assert abs(low[1] * low[2] / abs(low[0])) != pytest.approx(abs(high[1] * high[2] / abs(high[0])), rel=1e-4)


def test_taps_without_type_are_not_ignored():
    net = pn.mv_oberrhein()
    net.trafo["tap_changer_type"] = None
    table = CompiledNet.from_net(net).taps[0]
    assert len(table.positions) == 19
    assert abs(table.y[0][1, 0]) != pytest.approx(abs(table.y[0][1, -1]), rel=1e-3)
    assert net.trafo.tap_changer_type.isna().all(), "the user's net stays as it is"


def test_tap_beyond_the_range_is_refused(grid_of):
    _, grid = grid_of("mv_oberrhein")
    with pytest.raises(GridError, match=r"trafo 114: tap position .*-9\.\.9"):
        grid.taps[0].slot(10, grid.name)


def test_merged_roots_share_one_node():
    net = pn.mv_oberrhein()
    apart, merged = CompiledNet.from_net(net), CompiledNet.from_net(net, merge_roots=True)
    assert len(apart.roots) == 2
    assert len(merged.roots) == 1
    assert merged.n_nodes == apart.n_nodes - 1
    assert merged.bus_node[58] == merged.bus_node[318] == merged.roots[0]


def test_bus_switches_fuse_or_stay_apart():
    net = pp.create_empty_network()
    a, b, c = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, a)
    pp.create_switch(net, a, b, "b")
    pp.create_line_from_parameters(net, b, c, 1.0, 0.2, 0.3, 10, 0.2)
    pp.create_load(net, c, 1.0)
    fused, split = CompiledNet.from_net(net), CompiledNet.from_net(net, split=True)
    assert fused.bus_node == {a: 0, b: 0, c: 1}
    assert split.n_nodes == 3
    assert split.rep.tolist() == [0, 0, 2]


def test_positions_come_from_the_net(grid_of, two_bus):
    _, grid = grid_of("mv_oberrhein")
    assert grid.lon[grid.node(0)] == pytest.approx(7.765225672614365)
    assert grid.lat[grid.node(0)] == pytest.approx(48.41, abs=0.01)
    assert np.isnan(CompiledNet.from_net(two_bus).lon).all(), "no position in the net, none made up"


def test_object_columns_are_read(two_bus):
    two_bus.line["r_ohm_per_km"] = two_bus.line["r_ohm_per_km"].astype(object)
    two_bus.load["p_mw"] = two_bus.load["p_mw"].astype("Float64")
    assert CompiledNet.from_net(two_bus).y_ff[0] == pytest.approx(8 - 16j)


def test_profiles_are_left_behind(two_bus):
    two_bus["profiles"] = {"load": np.zeros(10)}
    grid = CompiledNet.from_net(two_bus)
    assert "profiles" not in grid.net
    assert "profiles" in two_bus


def test_unknown_bus_and_branch_name_the_net(grid_of):
    _, grid = grid_of("case33bw")
    with pytest.raises(GridError, match="case33bw: bus 99 does not exist"):
        grid.node(99)
    with pytest.raises(GridError, match="trafo 3 does not exist"):
        grid.branch("trafo", 3)


def _without_slack(net):
    net.ext_grid["in_service"] = False


def _island(net):
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_line_from_parameters(net, a, b, 1.0, 0.2, 0.3, 10, 0.2)
    pp.create_load(net, b, 1.0)


def _nan_trafo(net):
    lv = pp.create_bus(net, 0.4)
    pp.create_transformer(net, 1, lv, "0.4 MVA 20/0.4 kV")
    net.trafo.loc[0, "vk_percent"] = np.nan


def _nan_line(net):
    net.line.loc[0, "x_ohm_per_km"] = np.nan


def _nan_load(net):
    net.load.loc[0, "p_mw"] = np.nan


def _lost_bus(net):
    net.load.loc[0, "bus"] = 77


def _zero_line(net):
    net.line.loc[0, ["r_ohm_per_km", "x_ohm_per_km"]] = 0.0


def _xward(net):
    pp.create_xward(net, 1, 0, 0, 0, 0, 0.1, 0.1, 1.0)


def _two_setpoints(net):
    pp.create_ext_grid(net, 0, vm_pu=1.05)


@pytest.mark.parametrize(("spoil", "text"), [
    (_without_slack, "no ext_grid in service"),
    (_island, r"load 1 at bus 3 is in service on an island without slack"),
    (_nan_line, r"line 0: x_ohm_per_km is nan"),
    (_nan_trafo, r"trafo 0: vk_percent is nan"),
    (_nan_load, r"load 0: p_mw is nan"),
    (_lost_bus, r"load 0: bus 77 is not in the bus table"),
    (_zero_line, r"line 0: impedance is zero"),
    (_xward, r"xward 0: this element is not supported"),
    (_two_setpoints, r"ext_grid 1: .*one set-point"),
])
def test_bad_nets_are_refused_with_the_culprit(two_bus, spoil, text):
    spoil(two_bus)
    with pytest.raises(GridError, match=f"net bad: .*{text}") as caught:
        CompiledNet.from_net(two_bus, "bad")
    assert "\n" not in str(caught.value), "one fault, one line"


def test_all_faults_are_listed_at_once(two_bus):
    _nan_line(two_bus)
    _nan_load(two_bus)
    with pytest.raises(GridError) as caught:
        CompiledNet.from_net(two_bus, "bad")
    assert len(str(caught.value).splitlines()) == 2


def test_dark_islands_may_be_allowed(two_bus):
    _island(two_bus)
    grid = CompiledNet.from_net(two_bus, allow_dark=True)
    assert grid.dark.tolist() == [2, 3]
