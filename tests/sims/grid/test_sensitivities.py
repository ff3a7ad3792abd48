"""Sensitivities equal finite differences of the power flow, and hand-worked impedances."""

import numpy as np
import pytest

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.sensitivities import root_response, sensitivities, source_impedance


@pytest.mark.parametrize("name", ["cigre_mv_pv_wind", "case33bw", "kerber_landnetz"])
def test_equal_to_differences_of_the_power_flow(grid_of, rng, name):
    _, grid = grid_of(name)
    p, q = grid.nominal()
    nodes = rng.choice(np.setdiff1d(np.arange(grid.n_nodes), grid.roots), 3, replace=False)
    h = 1e-3 * max(np.abs(p).max(), 1e-3)
    fleet = FleetPowerFlow(grid, 13, tolerance_pu=1e-12)
    dp, dq = np.zeros((grid.n_nodes, 13)), np.zeros((grid.n_nodes, 13))
    for k, node in enumerate(nodes):
        dp[node, 1 + 2 * k], dp[node, 2 + 2 * k] = h, -h
        dq[node, 7 + 2 * k], dq[node, 8 + 2 * k] = h, -h
    fleet.set_injection(p[:, None] + dp, q[:, None] + dq)
    assert fleet.solve().all()
    found = sensitivities(grid, fleet.v[:, 0])
    vm, flows, loading = fleet.vm, fleet.flows, fleet.loading_percent
    for k, node in enumerate(nodes):
        for first, du, df, dfq, di in ((1, found.du_dp, found.dp_dp, found.dq_dp, found.di_dp),
                                       (7, found.du_dq, found.dp_dq, found.dq_dq, found.di_dq)):
            a, b = first + 2 * k, first + 1 + 2 * k
            scale = np.abs(du[:, node]).max()
            np.testing.assert_allclose((vm[:, a] - vm[:, b]) / (2 * h), du[:, node], atol=1e-4 * scale)
            np.testing.assert_allclose(
                (flows.p_from_mw[:, a] - flows.p_from_mw[:, b]) / (2 * h), df[:, node], atol=1e-4)
            np.testing.assert_allclose(
                (flows.q_from_mvar[:, a] - flows.q_from_mvar[:, b]) / (2 * h), dfq[:, node], atol=1e-4)
            busy = loading[:, 0] > 0.02 * np.nanmax(loading[:, 0])
            want = (loading[:, a] - loading[:, b])[busy] / (2 * h)
            np.testing.assert_allclose(want, di[busy, node], atol=2e-3 * np.abs(want).max())


def test_held_voltages_do_not_answer(grid_of):
    _, grid = grid_of("case14")
    engine = MeshedPowerFlow(grid)
    engine.solve()
    held = grid.elements["gen"].node
    found = sensitivities(grid, engine.v, held=held)
    np.testing.assert_allclose(found.du_dp[held], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.du_dq[:, held], 0.0, atol=1e-12)
    node = grid.node(13)
    before, p0 = engine.vm, grid.nominal()[0]
    fixed = p0.copy()
    np.add.at(fixed, held, -grid.elements["gen"].p_mw)
    q = grid.nominal()[1]
    step = np.zeros(grid.n_nodes)
    step[node] = 0.1
    engine.set_injection(fixed + step, q)
    engine.solve()
    np.testing.assert_allclose((engine.vm - before) / 0.1, found.du_dp[:, node], atol=2e-6)


def test_source_impedance_of_a_line_by_hand(two_bus):
    grid = CompiledNet.from_net(two_bus)
    z = source_impedance(grid)
    assert z[0] == 0
    assert z[1] == pytest.approx((1 + 2j) / 40)


def test_source_impedance_adds_up_along_a_feeder(grid_of):
    _, grid = grid_of("case33bw")
    z = source_impedance(grid)
    for node in grid.order[1:]:
        branch = grid.parent_branch[node]
        assert z[node] - z[grid.parent[node]] == pytest.approx(-1 / grid.y_ft[branch], rel=1e-9)


def test_root_response_equals_differences(grid_of):
    _, grid = grid_of("cigre_mv")
    fleet = FleetPowerFlow(grid, 5, tolerance_pu=1e-12)
    h = 1e-4
    fleet.set_slack(np.array([1.0, 1 + h, 1 - h, np.exp(1j * h), np.exp(-1j * h)]))
    assert fleet.solve().all()
    p, q = fleet.slack_pq()
    want = np.array([[p[1] - p[2], p[3] - p[4]], [q[1] - q[2], q[3] - q[4]]]) / (2 * h)
    np.testing.assert_allclose(root_response(grid, fleet.v[:, 0]), want, atol=1e-3)


def test_an_unsolved_point_is_refused(grid_of):
    _, grid = grid_of("case33bw")
    with pytest.raises(GridError, match="not solved"):
        sensitivities(grid, np.full(grid.n_nodes, np.nan + 0j))
    with pytest.raises(GridError, match="has shape"):
        sensitivities(grid, np.ones(3, complex))
