"""Voltage characteristics solved inside the power flow, at and beyond the slope where iteration would swing."""

import numpy as np
import pandapower.networks as pn
import pytest

from sims.grid import reference
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.grid.sensitivities import sensitivities
from sims.grid.topology import TopologyVariants

QU = Curve("qu", (0.93, 0.97, 1.03, 1.07), (1.0, 0.0, 0.0, -1.0))
PU = Curve("pu", (1.10, 1.12), (1.0, 0.0))


def _holds(fleet: FleetPowerFlow, curves: list[Curve], p_amp: np.ndarray, q_amp: np.ndarray, p: np.ndarray,
           q: np.ndarray) -> None:
    """The nodal balance V conj(Y V) holds the characteristic at the voltage found, to 1e-8 pu."""
    grid = fleet.compiled
    v, y = fleet.v, np.zeros((grid.n_nodes, grid.n_nodes), complex)
    np.add.at(y, (grid.branch_from, grid.branch_from), grid.y_ff)
    np.add.at(y, (grid.branch_from, grid.branch_to), grid.y_ft)
    np.add.at(y, (grid.branch_to, grid.branch_from), grid.y_tf)
    np.add.at(y, (grid.branch_to, grid.branch_to), grid.y_tt)
    y[np.arange(grid.n_nodes), np.arange(grid.n_nodes)] += grid.shunt_y
    s = v * np.conj(y @ v) * grid.base_mva
    want = p + 1j * q + sum(a * c(np.abs(v)) + 1j * b * c(np.abs(v)) for a, b, c in
                            zip(p_amp, q_amp, curves, strict=True))
    rest = np.setdiff1d(np.arange(grid.n_nodes), grid.roots)
    # Per unit of the feeder's own size, so that the bound means the same on every grid.
    size = max(np.abs(want).max(), 1e-3)
    assert np.abs(s - want)[rest].max() / size < 1e-8 * max(1.0, np.abs(np.diag(y)).max() * grid.base_mva / size)


@pytest.mark.parametrize("loop_gain", [0.5, 1.0, 1.5, 5.0, 25.0])
def test_one_inverter_at_any_slope(two_bus, loop_gain):
    """slope x X_sens = 1 is where an undamped iteration stops converging; here it is only a number."""
    grid = CompiledNet.from_net(two_bus)
    fleet = FleetPowerFlow(grid, 41)
    fleet.set_injection([0.0, 0.0], [0.0, 0.0])
    fleet.set_slack(np.linspace(0.9, 1.12, 41))
    fleet.solve()
    x_sens = sensitivities(grid, fleet.v[:, 20]).du_dq[1, 1]
    q_max = loop_gain / (x_sens * 25.0)
    q_amp = np.zeros((1, 2, 41))
    q_amp[0, 1] = q_max
    fleet.set_curves([QU], np.zeros_like(q_amp), q_amp)
    assert fleet.solve().all()
    _, q = fleet.injected()
    np.testing.assert_allclose(q[1], q_max * QU(fleet.vm[1]), atol=1e-8 * q_max)
    _holds(fleet, [QU], np.zeros_like(q_amp), q_amp, np.zeros((2, 41)), np.zeros((2, 41)))


def test_plain_iteration_swings_where_the_kernel_settles(two_bus):
    """The reason for solving inside: feeding Q(U) back from step to step never comes to rest at gain 3."""
    grid = CompiledNet.from_net(two_bus)
    fleet = FleetPowerFlow(grid, 1)
    fleet.set_slack([1.08])
    fleet.set_injection([0.0, 0.0], [0.0, 0.0])
    fleet.solve()
    q_max = 3.0 / (sensitivities(grid, fleet.v[:, 0]).du_dq[1, 1] * 25.0)
    seen = []
    for _ in range(40):
        q = q_max * float(QU(fleet.vm[1, :1])[0])
        seen.append(q)
        fleet.set_injection([0.0, 0.0], [0.0, q])
        fleet.solve()
    assert abs(seen[-1] - seen[-2]) > 0.1 * q_max
    fleet.set_injection([0.0, 0.0], [0.0, 0.0])
    fleet.set_curves([QU], np.zeros((1, 2, 1)), np.array([[[0.0], [q_max]]]))
    assert fleet.solve().all()
    assert fleet.injected()[1][1, 0] == pytest.approx(q_max * float(QU(fleet.vm[1])[0]), abs=1e-8)


@pytest.mark.parametrize("name", ["kerber_dorfnetz", "cigre_mv"])
@pytest.mark.parametrize("scale", [1.0, 5.0, 20.0])
def test_all_nodes_regulate_at_once(grid_of, rng, name, scale):
    _, grid = grid_of(name)
    width = 60
    fleet = FleetPowerFlow(grid, width)
    p, q = grid.nominal()
    p = -p[:, None] * rng.uniform(0, 2, (grid.n_nodes, width))
    q = np.zeros_like(p)
    fleet.set_injection(p, q)
    fleet.set_slack(rng.uniform(0.95, 1.08, width))
    amp = np.abs(grid.nominal()[0])[:, None] * rng.uniform(0, scale, (grid.n_nodes, width))
    p_amp, q_amp = np.stack([0 * amp, amp / 20]), np.stack([amp, 0 * amp])
    fleet.set_curves([QU, PU], p_amp, q_amp)
    assert fleet.solve().all()
    _holds(fleet, [QU, PU], p_amp, q_amp, p, q)
    exported = fleet.export(3)
    reference.run(exported)
    np.testing.assert_allclose(reference.voltages(grid, exported), fleet.v[:, 3], atol=1e-7)


def test_curves_in_a_ring_and_with_a_dark_part(rng):
    net = pn.create_cigre_network_mv(with_der="pv_wind")
    grid = CompiledNet.from_net(net)
    ring = TopologyVariants(grid).variant(closed_switches=[int(i) for i in net.switch.index[~net.switch.closed]])
    assert not ring.radial
    cut = TopologyVariants(grid).variant(out_of_service_lines=[2])
    assert len(cut.dark)
    fleet = FleetPowerFlow(grid, 3)
    fleet.set_variant(1, ring)
    fleet.set_variant(2, cut)
    p, q = grid.nominal()
    fleet.set_injection(p, q)
    amp = np.where(p < 0, -p, 0.0)[None, :, None] * np.ones((1, 1, 3)) * 3
    amp[:, grid.roots] = 0.0
    fleet.set_curves([QU], 0 * amp, amp)
    fleet.set_slack([1.05, 1.05, 1.05])
    assert fleet.solve().all()
    got_p, got_q = fleet.injected()
    assert (got_q[cut.dark, 2] == 0).all()
    for j in range(3):
        live = fleet.variant(j).live
        np.testing.assert_allclose(got_q[live, j], (q + amp[0, :, j] * QU(fleet.vm[:, j]))[live], atol=1e-8)
        exported = fleet.export(j)
        reference.run(exported)
        np.testing.assert_allclose(reference.voltages(fleet.variant(j), exported), fleet.v[:, j], atol=1e-7)
    assert fleet.slack_p_mw[0] + got_p[:, 0].sum() == pytest.approx(fleet.loss_mw[0], abs=1e-6)


def test_an_empty_list_ends_the_curves(two_bus):
    grid = CompiledNet.from_net(two_bus)
    fleet = FleetPowerFlow(grid, 1)
    fleet.solve()
    before = fleet.v
    fleet.set_curves([QU], np.zeros((1, 2, 1)), np.full((1, 2, 1), 5.0))
    fleet.set_slack([1.1])
    fleet.solve()
    fleet.set_curves([], [], [])
    fleet.set_slack([1.02])
    fleet.solve()
    np.testing.assert_allclose(fleet.v, before, atol=1e-8)
