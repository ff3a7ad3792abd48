"""Newton's method with a kept Jacobian: its step is the exact one, its answer knows nothing of the past."""

import numpy as np
import pandapower.networks as pn
import pytest

from sims.grid import meshed_kernels as kernels
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.newton import Elimination, Newton
from sims.grid.nodal import NodalMatrix


@pytest.fixture(params=[pn.case14, pn.case39, pn.case118])
def nodes(request):
    """Admittances, reference, PV nodes and an operating point off any solution."""
    net = CompiledNet.from_net(request.param())
    nodal = NodalMatrix(net)
    slots = np.array([tap.initial - tap.positions[0] for tap in net.taps], dtype=np.int64)
    y = nodal.fill(slots, np.ones(net.n_nodes, complex))
    reference = int(nodal.place[nodal.reference])
    pv = np.setdiff1d(nodal.place[net.elements["gen"].node], [reference])
    rng = np.random.default_rng(7)
    v = rng.uniform(0.98, 1.02, y.shape[0]) * np.exp(1j * rng.uniform(-0.05, 0.05, y.shape[0]))
    return y, reference, pv, v


def test_factors_solve_the_jacobian_that_differences_show(nodes):
    y, reference, pv, v = nodes
    n, dense = v.size, y.toarray()
    held = np.zeros(n, bool)
    held[pv] = True
    way = Elimination(y, reference)
    power = v * (y @ v).conj()
    kernels.factorise(y.indptr, y.indices, y.data, way.number, way.node, held, v, power, way.begin, way.row,
                      way.diagonal, way.lu)
    lower, upper = np.zeros((2, n - 1, n - 1, 2, 2))
    for j in range(n - 1):
        lower[j, j] = np.eye(2)
        for e in range(way.begin[j], way.begin[j + 1]):
            i, block = way.row[e], way.lu[e].reshape(2, 2)
            if i > j:
                lower[i, j] = block
            else:
                upper[i, j] = np.linalg.inv(block) if i == j else block
    got = np.einsum("ikab,kjbc->iajc", lower, upper).reshape(2 * n - 2, 2 * n - 2)

    def injected(turn, grow):
        u = v.copy()
        u[way.node] *= np.exp(grow + 1j * turn)
        s = (u * (dense @ u).conj())[way.node]
        return np.stack((s.real, np.where(held[way.node], grow, s.imag)), axis=1).ravel()

    h, want = 1e-6, np.empty_like(got)
    for k, one in enumerate(np.eye(n - 1)):
        want[:, 2 * k] = (injected(h * one, 0 * one) - injected(-h * one, 0 * one)) / (2 * h)
        want[:, 2 * k + 1] = (injected(0 * one, h * one) - injected(0 * one, -h * one)) / (2 * h)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-8 * np.abs(want).max())


def test_a_solution_injects_what_it_should_and_holds_magnitudes(nodes):
    y, reference, pv, v = nodes
    s = v * (y @ v).conj()  # so that v solves it, found again from elsewhere
    start = v * np.where(np.arange(v.size) == reference, 1.0, np.exp(0.02j))
    newton = Newton(y, reference, pv, 1e-10)
    assert newton.solve(start.copy(), s) is not None
    for change in (1.0, 1.01, 0.98, 1.0):
        found = newton.solve(start.copy(), change * s)
        assert newton.iterations > 0
        np.testing.assert_array_equal(found[reference], v[reference])
        np.testing.assert_allclose(np.abs(found[pv]), np.abs(v[pv]), rtol=1e-14)
        off = found * (y @ found).conj() - change * s
        off[pv] = off[pv].real
        off[reference] = 0.0
        assert np.abs(off).max() < 1e-11
    np.testing.assert_allclose(found, v, rtol=0, atol=1e-12)


def _engine(*factors):
    net = pn.case118()
    engine = MeshedPowerFlow(net)
    for factor in factors:
        engine.set("load", "p_mw", net.load.p_mw * factor)
        assert engine.solve()
    return engine


def test_the_way_there_does_not_show_in_the_answer():
    direct = _engine(1.0)
    np.testing.assert_allclose(_engine(1.0, 0.9, 1.1, 1.05, 1.0).v, direct.v, rtol=0, atol=1e-12)
    again = _engine(1.0, 0.9, 1.1, 1.05, 1.0)
    np.testing.assert_array_equal(_engine(1.0, 0.9, 1.1, 1.05, 1.0).v, again.v)


def test_nothing_is_left_of_the_past_after_a_fresh_start():
    start = _engine(1.0).v
    used, new = _engine(1.0, 0.8, 1.1), _engine()
    for engine in (used, new):
        engine.start_from(start)
        for factor in (1.02, 1.03, 0.99):
            engine.set("load", "p_mw", engine.compiled.net.load.p_mw * factor)
            assert engine.solve()
    np.testing.assert_array_equal(used.v, new.v)


def test_a_jump_too_large_for_the_kept_jacobian_is_solved_all_the_same():
    far = _engine(1.0, 1.0, 0.2, 1.4)
    np.testing.assert_allclose(far.v, _engine(1.4).v, rtol=0, atol=1e-10)


def test_what_has_no_solution_leaves_no_trace():
    net = pn.case118()
    engine = _engine(1.0, 1.0)
    engine.set("load", "p_mw", net.load.p_mw * 20)
    assert not engine.solve()
    engine.set("load", "p_mw", net.load.p_mw)
    assert engine.solve()
    np.testing.assert_allclose(engine.v, _engine(1.0).v, rtol=0, atol=1e-10)
