import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from controllers.dms import kernels
from controllers.dms.network import Network
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


@pytest.mark.parametrize("make", [pn.mv_oberrhein, pn.case33bw, lambda: pn.create_cigre_network_mv(with_der="all")])
def test_power_flow_equals_pandapower_given_its_busbar_voltages(make):
    net = make()
    pp.runpp(net, tolerance_mva=1e-9)
    grid = CompiledNet.from_net(net, "x")
    model = Network(grid)
    topology = model.topology(model.normal)
    p, q = grid.nominal()
    s = (p + 1j * q) / grid.base_mva
    result = net.res_bus.loc[grid.node_bus]
    v_ref = result.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(result.va_degree.to_numpy()))
    v = topology.flow(s, v_ref[model.anchor])
    np.testing.assert_allclose(v[topology.live], v_ref[topology.live], atol=2e-7)
    rows = np.flatnonzero(topology.joined & (grid.branch_kind == "line"))
    expected = net.res_line.loading_percent.loc[grid.branch_element[rows]].to_numpy()
    np.testing.assert_allclose(topology.loading(v)[rows], expected, atol=1e-3)
    losses = net.res_line.pl_mw.loc[grid.branch_element[rows]].sum()
    assert topology.losses(v, s) * grid.base_mva == pytest.approx(losses, abs=2e-5)


def test_case33bw_losses_are_the_published_ones():
    grid = CompiledNet.from_net(pn.case33bw(), "case33bw")
    model = Network(grid)
    topology = model.topology(model.normal)
    p, q = grid.nominal()
    s = (p + 1j * q) / grid.base_mva
    v = topology.flow(s, np.ones(1))
    assert topology.losses(v, s) * 1e4 == pytest.approx(202.677, abs=0.01)  # base 10 MVA, in kW


def test_sensitivities_predict_a_small_change(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.6, sun=0.5)
    topology, anchor = field.topology, field.net.anchor
    node = np.array([60, 100])
    moves = topology.moves(field.v, node)
    ds = np.zeros(len(field.v), dtype=complex)
    ds[node] = [0.2 + 0.1j, -0.1j]
    after = topology.flow(field.s + ds, field.v[anchor])
    predicted = moves @ ds[node].real + (-1j * moves) @ ds[node].imag
    change = (after - field.v)[topology.free]
    assert np.abs(predicted - change).max() < 0.03 * np.abs(change).max()


def test_reactive_power_raises_magnitudes_as_its_moves_with_the_transformer_behind_the_busbar(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.6)
    top, v, q = field.topology, field.v, np.zeros(len(field.v))
    q[[60, 100]] = 0.05, -0.02
    both = -1j * top.moves(v, np.array([60, 100]), with_feed=True) @ np.array([0.05, -0.02])
    at, found = v[top.free], np.empty(len(top.free))
    kernels.raised(top.lu, top.w, field.net.z_feed, top.free, top.anchor, v, q, found)
    np.testing.assert_allclose(found, (np.conj(at) * both).real / np.abs(at), atol=1e-12)


def test_room_is_what_the_first_node_to_reach_its_bound_allows(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.6)
    top, v, node = field.topology, field.v, np.array([60, 100])
    given, reach = np.array([0.01, 0.0]), np.array([0.3, 0.3])
    one = (np.conj(v[top.free] / np.abs(v[top.free]))[:, None] * (-1j * top.moves(v, node, with_feed=True))).real
    idle, effect = np.abs(v[top.free]) - one @ given, one @ reach
    moving = effect > 1e-9
    low, high = (idle - effect / 4)[moving].min(), (idle + effect / 2)[moving].max()

    def room(high):
        return kernels.room(
            top.lu, top.w, field.net.z_feed, top.free, top.anchor, v, node, given, -reach, reach, low, high)

    np.testing.assert_allclose(room(high), [0.25, 0.5], rtol=1e-9)
    np.testing.assert_allclose(room(idle[moving].max() - 1e-3), [0.25, 0.0], rtol=1e-9)
    # 25 MVA with 11.2 %, at the tap -2 x 1.5 % of the net file.
    assert field.net.z_feed[0].imag == pytest.approx(0.112 * field.belief.grid.base_mva / 25, rel=0.07)


def test_opening_a_line_makes_what_is_below_dark(kit):
    model = Network(kit.grid("case33bw"))
    closed = model.normal.copy()
    closed[model.line(5)] = False
    topology = model.topology(closed)
    # Line 5 is branch 6-7 of the paper: buses 7 to 18 lie behind it.
    assert sorted(model.grid.node_bus[~topology.live]) == list(range(6, 18))
    v = topology.flow(np.zeros(33, complex), np.ones(1))
    assert (v[~topology.live] == 0).all()
    np.testing.assert_allclose(v[topology.live], 1.0)
    assert model.topology(closed) is topology


def test_collapse_is_nan_not_nonsense(kit):
    model = Network(kit.grid("case33bw"))
    topology = model.topology(model.normal)
    p, q = model.grid.nominal()
    assert np.isnan(topology.flow(8 * (p + 1j * q) / model.grid.base_mva, np.ones(1))).all()


def test_unknown_line_and_dark_node_are_named(kit):
    model = Network(kit.grid("case33bw"))
    with pytest.raises(GridError, match="line 999"):
        model.line(999)
    topology = model.topology(model.normal)
    with pytest.raises(GridError, match="node 0"):
        topology.moves(np.ones(33, complex), np.array([0]))
