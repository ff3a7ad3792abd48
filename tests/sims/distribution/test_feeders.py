import numpy as np
import pytest

from sims.distribution.feeders import regulated_transformers
from sims.grid.curve import Curve


def injections(rng, grid, scale_mw):
    """Loads and infeeds at half of the nodes below the root."""
    p, q = np.zeros(grid.n_nodes), np.zeros(grid.n_nodes)
    at = np.setdiff1d(np.flatnonzero(rng.random(grid.n_nodes) < 0.5), np.flatnonzero(grid.vn_kv > 60))
    p[at] = scale_mw * rng.normal(-0.3, 1.0, at.size)
    q[at] = scale_mw * rng.normal(-0.1, 0.3, at.size)
    return p, q



def inject(feeders, p, q, pu=None, qu=None, pf=None):
    """Inject into all nodes of `feeders`; what is left out is nothing."""
    amplitudes = np.zeros((p.size, len(feeders.curves)))
    feeders.inject(
        p, q, amplitudes if pu is None else pu, amplitudes if qu is None else qu, np.zeros(p.size) if pf is None else pf
    )


NAMES = ("cigre_mv", "mv_oberrhein", "cigre_mv", "mv_oberrhein", "cigre_mv")
INTERFACE = [0, 1, 1, 0, 0]
V = np.array([1.03 * np.exp(-0.2j), 0.97 * np.exp(0.1j)])


def solved(fleet, grids, seed=1, change=lambda feeders: None):
    rng = np.random.default_rng(seed)
    feeders = fleet(*NAMES, interface=INTERFACE)
    rows = [injections(rng, grids[n][1], 1.0 if n == "cigre_mv" else 0.2) for n in NAMES]
    inject(feeders, np.concatenate([p for p, _ in rows]), np.concatenate([q for _, q in rows]))
    change(feeders)
    drawn = feeders.solve(V).s_mva
    feeders.collect()
    return feeders, rows, drawn


def check(feeders, f, grid, reference):
    nodes = slice(feeders.node_start[f], feeders.node_start[f + 1])
    known = reference.res_bus.vm_pu.loc[grid.node_bus].to_numpy()
    angle = reference.res_bus.va_degree.loc[grid.node_bus].to_numpy()
    live = np.isfinite(known)
    np.testing.assert_array_equal(feeders.live[nodes], live)
    v = feeders.v[nodes][live]
    np.testing.assert_allclose(np.abs(v), known[live], atol=1e-7)
    np.testing.assert_allclose(np.angle(v * np.exp(-1j * np.deg2rad(angle[live]))), 0, atol=1e-7)
    drawn = reference.res_ext_grid.p_mw.sum() + 1j * reference.res_ext_grid.q_mvar.sum()
    assert feeders.slack_mva[f] == pytest.approx(drawn, abs=1e-5)
    losses = reference.res_line.pl_mw.sum() + reference.res_trafo.pl_mw.sum()
    assert feeders.loss_mw[f] == pytest.approx(losses, abs=1e-5)
    branches = slice(feeders.branch_start[f], feeders.branch_start[f + 1])
    for kind, table in (("line", reference.res_line), ("trafo", reference.res_trafo)):
        rows = np.flatnonzero(grid.branch_kind == kind)
        loading = np.nan_to_num(table.loading_percent.loc[grid.branch_element[rows]].to_numpy())
        np.testing.assert_allclose(np.nan_to_num(feeders.loading_percent[branches][rows]), loading, atol=1e-4)


def test_a_mixed_batch_equals_newton_feeder_by_feeder(fleet, grids, newton):
    feeders, rows, drawn = solved(fleet, grids)
    assert feeders.converged.all()
    total = np.zeros(2, complex)
    for f, name in enumerate(NAMES):
        net, grid = grids[name]
        reference = newton(net, grid, *rows[f], V[INTERFACE[f]])
        check(feeders, f, grid, reference)
        total[INTERFACE[f]] += reference.res_ext_grid.p_mw.sum() + 1j * reference.res_ext_grid.q_mvar.sum()
    assert drawn == pytest.approx(total, abs=1e-4)


def test_a_switched_feeder_has_dark_nodes_and_leaves_the_others_alone(fleet, grids, newton):
    def cut(feeders):
        feeders.states[2].move(np.array([1]), np.array([False]))  # bus 3 and all behind it
        feeders.switch(2)

    feeders, rows, _ = solved(fleet, grids, change=cut)
    net, grid = grids["cigre_mv"]
    check(feeders, 2, grid, newton(net, grid, *rows[2], V[1], opened=[1]))
    check(feeders, 0, grid, newton(net, grid, *rows[0], V[0]))
    dark = ~feeders.live[feeders.node_start[2] : feeders.node_start[3]]
    assert sorted(grid.node_bus[dark]) == [3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_a_closed_tie_feeds_from_the_other_side(fleet, grids, newton):
    def transfer(feeders):
        feeders.states[0].move(np.array([1, 14]), np.array([False, True]))  # tie 14-8 takes over
        feeders.switch(0)

    feeders, rows, _ = solved(fleet, grids, seed=5, change=transfer)
    net, grid = grids["cigre_mv"]
    check(feeders, 0, grid, newton(net, grid, *rows[0], V[0], opened=[1], closed=[14]))
    assert feeders.live[: feeders.node_start[1]].all()


def test_closing_back_restores_the_first_solution(fleet, grids):
    feeders, _, first = solved(fleet, grids)
    for state in (False, True):
        feeders.states[2].move(np.array([1]), np.array([state]))
        feeders.switch(2)
        drawn = feeders.solve(V).s_mva
    assert drawn == pytest.approx(first, abs=1e-6)
    assert feeders.live.all()


def test_taps_act_on_their_own_feeder(fleet, grids, newton):
    def tap(feeders):
        grid_of = [grids[name][1] for name in NAMES]
        pos = np.array([g.taps[t].initial for g, own in zip(grid_of, feeders.regulated, strict=True) for t in own])
        pos[feeders.tap_start[3] : feeders.tap_start[4]] = [-3, 4]
        feeders.set_taps(pos)

    feeders, rows, _ = solved(fleet, grids, change=tap)
    net, grid = grids["mv_oberrhein"]
    taps = [(int(grid.taps[t].element), pos) for t, pos in zip(feeders.regulated[3], (-3, 4), strict=True)]
    check(feeders, 3, grid, newton(net, grid, *rows[3], V[0], taps=taps))
    check(feeders, 1, grid, newton(net, grid, *rows[1], V[1]))


def test_a_voltage_characteristic_is_solved_with_the_power_flow(fleet, grids, newton):
    curve = Curve("qu", (0.93, 0.97, 1.03, 1.07), (1.0, 0.0, 0.0, -1.0))
    feeders = fleet("cigre_mv", "cigre_mv", curves=[curve])
    net, grid = grids["cigre_mv"]
    n = grid.n_nodes
    p, amplitude = np.zeros(2 * n), np.zeros(2 * n)
    at = int(np.flatnonzero(grid.node_bus == 11)[0])
    p[[at, n + at]] = 6.0, 9.0
    amplitude[[at, n + at]] = 2.0, 3.0
    inject(feeders, p, np.zeros(2 * n), qu=amplitude[:, None])
    feeders.solve(np.array([1.02 + 0j]))
    for f in (0, 1):
        v = float(np.abs(feeders.v[f * n + at]))
        q = np.zeros(n)
        q[at] = amplitude[f * n + at] * float(np.interp(v, curve.x, curve.y))
        reference = newton(net, grid, p[f * n : (f + 1) * n], q, 1.02)
        assert q[at] < 0, "the voltage is high enough for the curve to act"
        assert v == pytest.approx(reference.res_bus.vm_pu.at[11], abs=1e-6)


def test_only_transformers_from_high_voltage_are_regulated(grids):
    for _, grid in grids.values():
        assert {int(grid.vn_kv[grid.taps[t].hv_node]) for t in regulated_transformers(grid)} == {110}


def test_flat_numbers_run_feeder_by_feeder(fleet, grids):
    feeders = fleet("cigre_mv", "mv_oberrhein", "cigre_mv")
    a, b = grids["cigre_mv"][1], grids["mv_oberrhein"][1]
    assert feeders.node_start.tolist() == [0, a.n_nodes, a.n_nodes + b.n_nodes, 2 * a.n_nodes + b.n_nodes]
    assert feeders.branch_start[-1] == 2 * a.n_branches + b.n_branches
    assert feeders.tap_start.tolist() == [0, 2, 4, 6]


def test_a_feeder_that_switching_meshed_is_solved_too_and_tells_its_slope(fleet, grids, newton):
    def mesh(feeders):
        feeders.states[0].move(np.array([14]), np.array([True]))  # the tie closes a ring
        feeders.switch(0)

    feeders, rows, _ = solved(fleet, grids, seed=5, change=mesh)
    assert feeders.forest.meshed.tolist() == [True, False, False, False, False]
    net, grid = grids["cigre_mv"]
    check(feeders, 0, grid, newton(net, grid, *rows[0], V[0], closed=[14]))
    slopes = feeders.solve(V).per_pu
    h = 1e-4
    up, down = (feeders.solve(V * (1 + side * h / np.abs(V))).s_mva for side in (1, -1))
    np.testing.assert_allclose(slopes, (up - down) / (2 * h), rtol=0.02, atol=0.05)
