import numpy as np
import pytest
from scipy.sparse import csc_matrix, random_array

from controllers.dms import decision_kernels, kernels
from controllers.dms.factors import factors
from controllers.dms.quick_estimation import Gain, estimate


def plain(topology, gain, feed, known, v_busbar, v_metered, drawn, left_out):
    """The same iteration with H written out, in numpy: voltages, injections, objective."""
    nf, nv, ns, na = len(topology.free), len(gain.metered), len(gain.flow_anchor), len(v_busbar)
    anchor, s_known = topology.net.anchor, topology.gathered(known)
    s0, s_a0 = s_known[topology.free], s_known[anchor]
    z, kept = np.concatenate((v_metered, drawn.real, drawn.imag)), np.ones(nv + 2 * ns, bool)
    kept[left_out] = False
    shared = gain.H @ gain.common
    m = ((gain.H * gain.r0) @ gain.H.T + shared @ shared.T + np.diag(gain.r))[np.ix_(kept, kept)]
    v_f, v_a, s_f, s_a = topology.w @ v_busbar.astype(complex), v_busbar.astype(complex), s0, s_a0
    dx, h = np.zeros(len(gain.r0)), np.zeros(len(z))
    for _ in range(60):
        for _ in range(2):
            v_f = topology.w @ v_a + topology.z @ np.conj(s_f / v_f)
        current = topology.y_aa @ v_a + topology.y_af @ v_f - np.conj(s_a / v_a)
        h[:nv] = np.abs(v_f[gain.at])
        total = np.zeros(na, complex)
        np.add.at(total, feed.anchor, feed.seen(v_a, current)[0])
        h[nv : nv + ns], h[nv + ns :] = total[gain.flow_anchor].real, total[gain.flow_anchor].imag
        y = np.zeros(len(z))
        y[kept] = np.linalg.solve(m, (z - h + gain.H @ dx)[kept])
        pull = y @ gain.H
        dx = gain.r0 * pull + gain.common @ (pull @ gain.common)
        s_f = s0 + dx[:nf] + 1j * dx[nf : 2 * nf]
        v_a = (v_busbar + dx[2 * nf : 2 * nf + na]).astype(complex)
        s_a = s_a0 + dx[2 * nf + na : 2 * nf + 2 * na] + 1j * dx[2 * nf + 2 * na :]
    return v_f, s_f, float((y**2 * gain.r).sum() + y @ (gain.H @ dx))


def case(kit, kind, seed=5):
    field = kit.field(kit.feeder(kind, pv=1.0), load=0.6, sun=0.4)
    topology, net, rng = field.topology, field.net, np.random.default_rng(seed)
    nf, na = len(topology.free), len(net.anchor)
    sigma = 0.1 * np.abs(field.s) + 1e-4
    known = field.s * (1 + 0.1 * rng.standard_normal(len(field.s)))
    metered = topology.free[:: max(nf // 30, 1)]
    common = np.zeros((2 * nf + 3 * na, 2))
    common[:nf, 0] = 0.1 * np.abs(field.s[topology.free].real)
    common[nf : 2 * nf, 1] = 0.1 * np.abs(field.s[topology.free].imag)
    gain = Gain(topology, sigma[topology.free] ** 2, sigma[topology.free] ** 2, np.full(na, 25e-6),
                sigma[net.anchor] ** 2, sigma[net.anchor] ** 2, metered, np.full(len(metered), 25e-6),
                np.unique(net.feed_anchor), 1e-4, common)
    v_metered = np.abs(field.v[metered]) * (1 + 0.005 * rng.standard_normal(len(metered)))
    v_busbar = np.abs(field.v[net.anchor]) * (1 + 0.005 * rng.standard_normal(na))
    return topology, gain, field.feeds, known, v_busbar, v_metered, field.drawn


@pytest.mark.parametrize("left_out", [[], [1, 3]])
@pytest.mark.parametrize("kind", ["cigre", "oberrhein"])
def test_the_compiled_estimate_equals_the_written_out_one(kit, kind, left_out):
    topology, gain, feed, known, v_busbar, v_metered, drawn = case(kit, kind)
    out = np.array(left_out, dtype=np.int64)
    found = estimate(topology, gain, feed, known, v_busbar, v_metered, drawn, left_out=out, residuals=True)
    v, s, objective = plain(topology, gain, feed, known, v_busbar, v_metered, drawn, out)
    assert found.converged
    np.testing.assert_allclose(found.v[topology.free], v, atol=1e-6)
    np.testing.assert_allclose(found.s[topology.free], s, atol=1e-6)
    assert found.objective == pytest.approx(objective, rel=1e-4)
    assert (found.normalised_z[out] == 0).all()


def test_a_start_from_the_last_estimate_ends_at_the_same_one(kit):
    given = case(kit, "cigre")
    cold = estimate(*given)
    warm = estimate(*given, start=cold.v)
    np.testing.assert_allclose(warm.v, cold.v, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 40])
def test_a_factorised_matrix_solves_both_ways(n):
    rng = np.random.default_rng(n)
    real, imag = (random_array((n, n), density=0.2, rng=rng).toarray() for _ in range(2))
    matrix = real + 1j * imag + 3 * np.eye(n)
    b, x = rng.standard_normal(n) + 1j * rng.standard_normal(n), np.empty(n, complex)
    lu = factors(csc_matrix(matrix))
    kernels.solve(lu, b, x)
    np.testing.assert_allclose(matrix @ x, b, atol=1e-12)
    kernels.solve_transposed(lu, b, x)
    np.testing.assert_allclose(matrix.T @ x, b, atol=1e-12)


def test_a_flow_that_has_no_solution_is_told(kit):
    field = kit.field(kit.feeder("cigre"), load=0.5)
    assert np.isnan(field.topology.flow(200.0 * field.s, np.ones(len(field.net.anchor)))).all()
    assert not np.isnan(field.topology.flow(field.s, np.ones(len(field.net.anchor)))).any()


def test_loading_is_the_larger_end_of_each_branch_that_carries_current(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.6)
    top, v = field.topology, field.v
    rows, i_f, i_t = top.currents(v)
    percent = np.zeros(len(top.closed))
    percent[rows] = 100 * np.maximum(np.abs(i_f), np.abs(i_t)) / field.net.limit[rows]
    np.testing.assert_allclose(top.loading(v), percent, rtol=1e-9)
    assert (percent[~top.joined] == 0).all()


def test_extremes_are_those_of_the_nodes_asked_for_only():
    v = np.array([1.06, 1.02, 0.97j, -1.0])
    assert kernels.extremes(v, np.array([1, 2, 3])) == pytest.approx((0.97, 1.02))
    assert kernels.extremes(v, np.array([0])) == pytest.approx((1.06, 1.06))
    assert kernels.extremes(v, np.zeros(0, dtype=np.int64)) == (np.inf, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_tap_steps_are_those_of_the_plain_enumeration(seed):
    rng = np.random.default_rng(seed)
    nf, steps = 12, np.arange(-3, 4)
    share, free = rng.dirichlet((0.3, 0.3), nf), rng.permutation(15)[:nf]
    v, step = rng.uniform(0.93, 1.07, 15) * np.exp(1j * rng.normal(size=15)), np.array([0.015, 0.0125])
    room = rng.integers(0, 4, (2, 2))
    bounds = np.sort(rng.uniform(0.95, 1.05, (4, nf)), axis=0)[[1, 2, 0, 3]]  # low, high, v_min, v_max
    wanted = []
    for a in range(2):
        mine = share[:, a] > 0.5
        cost = np.full(7, np.inf)
        for k, n in enumerate(steps):
            if -room[0, a] <= n <= room[1, a]:
                after = np.abs(v[free[mine]]) + n * step[a] * share[mine, a]
                beyond = np.maximum(np.maximum(after - bounds[1, mine], bounds[0, mine] - after), 0)
                outside = np.maximum(np.maximum(after - bounds[3, mine], bounds[2, mine] - after), 0)
                cost[k] = (beyond**2).mean() + 50.0 * (outside**2).mean() + 4e-6 * abs(n)
        wanted.append(int(steps[cost.argmin()]))
    out = np.full(2, 9)
    decision_kernels.tap_steps(share, free, v, step, room, bounds, 3, 50.0, 4e-6, out)
    assert out.tolist() == wanted


def test_of_steps_that_cost_the_same_the_fewest_are_taken():
    out, share, free = np.full(1, 9), np.ones((2, 1)), np.arange(2)
    v, bounds = np.array([1.0 + 0j, 1.0]), np.array([[0.9] * 2, [1.1] * 2, [0.9] * 2, [1.1] * 2])
    decision_kernels.tap_steps(share, free, v, np.array([0.01]), np.full((2, 1), 3), bounds, 3, 50.0, 0.0, out)
    assert out.tolist() == [0]


def test_storages_fill_by_the_tightest_of_the_busbars_they_stand_below():
    charge, out = np.array([-2.0, -4.0, -1.0]), np.empty(3)
    below = np.array([[1.0, 0.5, 0.0], [0.0, 0.5, 0.0]])
    decision_kernels.filling(np.array([3.0, 0.5]), np.array([4.0, 2.0]), charge, below, out)
    np.testing.assert_allclose(out, [-1.5, -1.0, 0.0])  # three quarters; a quarter; nothing is known of the third


def test_ages_say_how_old_what_is_known_is_and_which_voltages_may_be_used():
    edges, minute = np.array([150_000, 450_000]), 60_000
    node_ms = np.array([10, 10, 7, 2, -1]) * minute  # 0, 0, 3 and 8 minutes ago, never
    case = np.empty(5, dtype=np.int8)
    kernels.ages(np.where(node_ms < 0, -1, node_ms), np.array([1.0, 0.0, 1.0, 1.0, 1.0]), 10 * minute, edges, 2, case)
    assert case.tolist() == [16, 0, 17, 2, -1]
