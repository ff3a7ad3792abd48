"""A cut net says the same as the joined one, and is put together again as it was."""

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.coupled import CoupledPowerFlow
from sims.grid.held import HeldGrid
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.partition import MARK, attach, join, split


def _solved(net):
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, max_iteration=40)
    return net


def _tiers(second_trafo=True):
    """110 kV ring with a generator, 20 kV grids A (two transformers, a ring) and B (one), a three-winding one to C."""
    net = pp.create_empty_network(name="tiers")
    hv = [pp.create_bus(net, 110.0) for _ in range(4)]
    pp.create_ext_grid(net, hv[0], vm_pu=1.02)
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
        pp.create_line(net, hv[a], hv[b], 20.0, "149-AL1/24-ST1A 110.0")
    pp.create_gen(net, hv[2], 15.0, vm_pu=1.01)
    pp.create_shunt(net, hv[3], q_mvar=-2.0)
    a = [pp.create_bus(net, 20.0) for _ in range(3)]
    pp.create_transformer(net, hv[1], a[0], "25 MVA 110/20 kV", name="T1")
    pp.create_transformer(net, hv[2], a[2], "25 MVA 110/20 kV", name="T2", in_service=second_trafo)
    for i, j in ((0, 1), (1, 2), (0, 2)):
        pp.create_line(net, a[i], a[j], 2.0, "NA2XS2Y 1x240 RM/25 12/20 kV")
    pp.create_load(net, a[1], 8.0, 2.0)
    b = [pp.create_bus(net, 20.0) for _ in range(2)]
    pp.create_transformer(net, hv[3], b[0], "25 MVA 110/20 kV", name="T3", tap_pos=-2)
    line = pp.create_line(net, b[0], b[1], 3.0, "NA2XS2Y 1x240 RM/25 12/20 kV")
    pp.create_switch(net, b[0], line, "l")
    pp.create_load(net, b[1], 6.0, 1.5)
    pp.create_sgen(net, b[1], 1.0, 0.2)
    mv, lv = pp.create_bus(net, 20.0), pp.create_bus(net, 10.0)
    pp.create_transformer3w(net, hv[3], mv, lv, "63/25/38 MVA 110/20/10 kV", name="T4")
    pp.create_load(net, mv, 5.0, 1.0)
    pp.create_load(net, lv, 4.0, 1.0)
    return net


def _agree(cut, whole, atol=1e-8):
    """Solve the cut net and compare every bus of every part with the solved whole."""
    coupled = CoupledPowerFlow(cut, tolerance_pu=1e-10, tolerance_mva=1e-8)
    settled = coupled.solve()
    assert settled.residual_pu < 1e-10
    want = whole.res_bus.vm_pu * np.exp(1j * np.deg2rad(whole.res_bus.va_degree))

    def check(net, grid, v):
        got = np.array([v[grid.node(bus)] for bus in net.bus.index])
        given = want.loc[net.bus.index].to_numpy()
        lit = np.isfinite(given)
        np.testing.assert_allclose(got[lit], given[lit], rtol=0, atol=atol)

    check(cut.upper, coupled.upper.compiled, coupled.upper.v)
    for k, part in enumerate(cut.lower):
        check(part.net, coupled.compiled[k], coupled.voltages(k))
    return coupled


@pytest.mark.parametrize("second_trafo", [True, False])
def test_coupled_equals_joined_with_several_infeeds_rings_and_three_windings(second_trafo):
    net = _tiers(second_trafo)
    cut = split(net, 20.0)
    assert [len(part.boundary) for part in cut.lower] == [2, 1, 1]
    coupled = _agree(cut, _solved(net))
    through = dict(zip(cut.boundaries, coupled.s_mva, strict=True))
    want = net.res_trafo.p_hv_mw + 1j * net.res_trafo.q_hv_mvar
    assert through[(1, 3, 3)] == pytest.approx(want[2], abs=1e-6)
    assert through[(0, 1, 1)] == pytest.approx(want[0], abs=1e-6)


def test_named_transformers_cut_as_the_level_does():
    net = _tiers()
    by_name = split(net, ["T1", "trafo:1", 2, "trafo3w:0"])
    assert by_name.boundaries == split(net, 20.0).boundaries
    one = split(net, ["T3"])
    assert [len(part.net.bus) for part in one.lower] == [3]
    _agree(one, _solved(net))


def test_the_parts_make_the_whole_again():
    net = _solved(_tiers())
    again = _solved(join(split(net, 20.0)))
    for table in ("bus", "line", "trafo", "trafo3w", "load", "sgen", "gen", "shunt", "switch", "ext_grid"):
        assert list(again[table].index) == list(net[table].index)
    np.testing.assert_array_equal(again.res_bus.vm_pu, net.res_bus.vm_pu)


def test_the_upper_part_alone_draws_about_what_the_whole_did():
    cut = split(_tiers(), 20.0)
    marked = cut.upper.load[cut.upper.load.type == MARK]
    assert marked.p_mw.sum() == pytest.approx(22.0)
    pp.runpp(cut.upper)


def test_two_feeders_below_a_load_bus_equal_the_joined_net():
    net = pn.case9()
    net.load.drop(net.load.index[net.load.bus == 4], inplace=True)
    parts = attach(net, [(4, pn.case33bw())] * 2, per_unit=True)
    joined = _solved(join(parts))
    coupled = CoupledPowerFlow(parts, tolerance_pu=1e-10, tolerance_mva=1e-8)
    coupled.solve()
    assert abs(coupled.v[0]) == pytest.approx(joined.res_bus.vm_pu[4], abs=1e-9)


def _no_name(net):
    return split(net, ["T9"])


def _half(net):
    return split(net, ["T1"])


def _below_all(net):
    return split(net, 5.0)


def _held_below(net):
    pp.create_ext_grid(net, 8, vm_pu=1.0)
    return split(net, 20.0)


def _chain(net):
    pp.create_transformer(net, 8, pp.create_bus(net, 0.4), "0.4 MVA 20/0.4 kV", name="T5")
    return split(net, ["T3", "T5"])


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (_no_name, r"net tiers: there is no transformer 'T9' \(did you mean T"),
        (_half, r"net tiers: trafo 0: its two sides hang together without it"),
        (_below_all, r"net tiers: no transformer leads from above 5.0 kV"),
        (_held_below, r"net tiers: ext_grid 1 at bus 8 lies below the cut"),
        (_chain, r"net tiers: trafo 2: the grid below it has grids below the cut as well"),
    ],
)
def test_what_cannot_be_cut_is_named(act, text):
    with pytest.raises(GridError, match=text):
        act(_tiers())


def _with_low_voltage():
    """Return `_tiers` with 0.4 kV grids below A and B, two of them equal, and loads of their own."""
    net = _tiers()
    for mv, size in ((5, 0.05), (5, 0.1), (8, 0.07)):
        lv = pp.create_buses(net, 3, 0.4)
        pp.create_transformer(net, mv, lv[0], "0.4 MVA 20/0.4 kV")
        for a, b in ((0, 1), (1, 2)):
            pp.create_line(net, lv[a], lv[b], 0.2, "NAYY 4x150 SE")
        pp.create_load(net, lv[2], size, size / 4)
        pp.create_sgen(net, lv[1], size / 3)
    return net


def test_a_net_cut_at_several_levels_equals_the_whole_and_is_put_together_again():
    net = _solved(_with_low_voltage())
    cut = split(net, [0.4, 20.0])
    assert [len(cut.lower), len(cut.upper.lower)] == [3, 3]
    coupled = CoupledPowerFlow(cut, tolerance_pu=1e-10, tolerance_mva=1e-8)

    def agree():
        coupled.solve()
        got = coupled.node_v[[coupled.node(bus) for bus in net.bus.index]]
        want = net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
        np.testing.assert_allclose(got, want.to_numpy(), rtol=0, atol=1e-8)

    agree()
    s = 0.7 * coupled.nominal_mva()
    coupled.set_injection(s.real, s.imag)
    for table in ("load", "sgen"):
        net[table][["p_mw", "q_mvar"]] *= 0.7
    _solved(net)
    agree()
    again = _solved(join(cut))
    net.load[["p_mw", "q_mvar"]] /= 0.7
    net.sgen[["p_mw", "q_mvar"]] /= 0.7
    np.testing.assert_allclose(again.res_bus.vm_pu, _solved(net).res_bus.vm_pu, rtol=0, atol=1e-9)


def _open_ring():
    """Return two transformers that feed one 20 kV ring, open at a line's end, with an LV grid on either side."""
    net = pp.create_empty_network(name="ring")
    hv, mv = pp.create_buses(net, 2, 110.0), pp.create_buses(net, 5, 20.0)
    pp.create_ext_grid(net, hv[0], vm_pu=1.02)
    pp.create_line(net, hv[0], hv[1], 30.0, "243-AL1/39-ST1A 110.0")
    pp.create_load(net, hv[1], 10.0, 3.0)
    pp.create_transformer(net, hv[0], mv[0], "25 MVA 110/20 kV")
    pp.create_transformer(net, hv[1], mv[4], "25 MVA 110/20 kV")
    lines = [pp.create_line(net, mv[k], mv[k + 1], 4.0, "NA2XS2Y 1x240 RM/25 12/20 kV") for k in range(4)]
    pp.create_switch(net, mv[3], lines[2], "l", closed=False)
    for bus, size in ((1, 3.0), (3, 2.0)):
        pp.create_load(net, mv[bus], size, size / 4)
        lv = pp.create_buses(net, 2, 0.4)
        pp.create_transformer(net, mv[bus], lv[0], "0.4 MVA 20/0.4 kV")
        pp.create_line(net, lv[0], lv[1], 0.2, "NAYY 4x150 SE")
        pp.create_load(net, lv[1], 0.08, 0.02)
    return net


@pytest.mark.parametrize("levels", [20.0, [0.4, 20.0]])
def test_each_side_of_an_open_ring_is_a_tree_of_its_own(levels):
    net = _solved(_open_ring())
    cut = split(net, levels)
    coupled = CoupledPowerFlow(cut, tolerance_pu=1e-10, tolerance_mva=1e-8)
    ring = coupled.upper if isinstance(coupled.upper, CoupledPowerFlow) else coupled
    assert [len(part.boundary) for part in ring.cut.lower] == [2]
    assert ring.forest_parts.tolist() == [0, 0]
    assert not ring.single
    coupled.solve()
    got = coupled.node_v[[coupled.node(bus) for bus in net.bus.index]]
    want = net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
    np.testing.assert_allclose(got, want.to_numpy(), rtol=0, atol=1e-8)
    want_mva = net.res_trafo.p_hv_mw + 1j * net.res_trafo.q_hv_mvar
    np.testing.assert_allclose(ring.s_mva, want_mva[:2], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ring.voltages(0), ring.node_v[ring.places(0)])


def test_where_the_slopes_are_known_a_new_solution_takes_two_rounds():
    net = _open_ring()
    coupled = CoupledPowerFlow(split(net, [0.4, 20.0]), tolerance_pu=1e-6, tolerance_mva=1e-5)
    coupled.solve()
    for factor in (1.1, 0.8, 1.2):
        s = factor * coupled.nominal_mva()
        coupled.set_injection(s.real, s.imag)
        settled = coupled.solve()
        assert settled.rounds == 2
        assert settled == coupled.settled
        assert coupled.upper.settled.rounds == 2
        assert max(settled.residual_mva, coupled.upper.settled.residual_mva) < 1e-5


def test_injections_of_a_held_grid_follow_its_own_voltages():
    """P(u) = p + dP (u - 1) at every node: what the grid draws is what it injects and loses."""
    part = split(_tiers(), 20.0).lower[0].net
    net = CompiledNet.from_net(part)
    grid = HeldGrid(net, net.roots.tolist(), 1e-9)
    rng = np.random.default_rng(3)
    s, per_pu = (rng.uniform(0, size, net.n_nodes) * (-1 - 0.3j) for size in (3.0, 40.0))
    s[net.roots] = per_pu[net.roots] = 0
    grid.inject(s.real, s.imag, per_pu)
    drawn = grid.draw(np.array([1.03, 1.02 * np.exp(-0.01j)]))
    plain = MeshedPowerFlow(net)
    plain.set_slack(np.array([1.03, 1.02 * np.exp(-0.01j)]))
    now = s + per_pu * (grid.engine.vm - 1)
    plain.set_injection(now.real, now.imag)
    assert plain.solve()
    assert np.abs(grid.engine.vm - 1).max() > 1e-3
    np.testing.assert_allclose(grid.engine.v, plain.v, rtol=0, atol=1e-9)
    assert drawn.sum().real == pytest.approx(plain.loss_mw - now.real.sum(), abs=1e-6)


def test_a_bus_that_no_part_has_is_named():
    with pytest.raises(GridError, match=r"net tiers: bus 99 does not exist"):
        CoupledPowerFlow(split(_tiers(), 20.0)).node(99)


def test_what_cannot_be_attached_is_named(two_bus):
    two_bus.name = "feeder"
    with pytest.raises(GridError, match=r"net tiers: boundary bus 99 of feeder does not exist \(near it: 10, 9, 8\)"):
        attach(_tiers(), [(99, two_bus)])
    with pytest.raises(GridError, match=r"net feeder: ext_grid 0 at bus 0 has 20 kV, bus 0 of tiers has 110 kV"):
        attach(_tiers(), [(0, two_bus)])


def test_a_boundary_without_solution_is_an_error():
    net, feeder = pn.case9(), pn.case33bw()
    net.load.drop(net.load.index[net.load.bus == 4], inplace=True)
    feeder.load[["p_mw", "q_mvar"]] *= 20
    cut = attach(net, [(4, feeder)], per_unit=True)
    with pytest.raises(GridError, match=r"has no solution|does not agree"):
        CoupledPowerFlow(cut).solve()
