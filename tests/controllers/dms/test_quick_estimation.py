import numpy as np
import pytest

from controllers.dms.network import Network
from controllers.dms.quick_estimation import Feed, Gain, estimate
from controllers.dms.state_estimation import Branches, Measurements, wls

NO_FEED = Feed(np.zeros(0, int), np.zeros(0), np.zeros((4, 0), complex))


def case33(kit, seed=3, noise=1.0):
    """Injections known to 20 %, voltages at six buses and the busbar to 0.2 %, by an independent truth."""
    net = Network(kit.grid("case33bw"))
    topology = net.topology(net.normal)
    p, q = net.grid.nominal()
    s = (p + 1j * q) / net.grid.base_mva
    rng = np.random.default_rng(seed)
    v = topology.flow(s, np.ones(1))
    free, metered = topology.free, np.array([5, 11, 17, 21, 24, 32])
    sp, sq = 0.2 * np.abs(s.real[free]) + 1e-4, 0.2 * np.abs(s.imag[free]) + 1e-4
    known = s.copy()
    known[free] += noise * (sp * rng.standard_normal(len(free)) + 1j * sq * rng.standard_normal(len(free)))
    v_m = np.abs(v[metered]) + noise * 0.002 * rng.standard_normal(len(metered))
    v_a = np.array([1.0 + noise * 0.002 * rng.standard_normal()])
    gain = Gain(topology, sp**2, sq**2, np.array([0.002**2]), np.zeros(1), np.zeros(1), metered,
                np.full(len(metered), 0.002**2), np.zeros(0, int), 1.0)
    return net, topology, gain, v, known, v_a, v_m, sp, sq


def test_equals_the_exact_estimator_on_the_same_measurements(kit):
    net, topology, gain, truth, known, v_a, v_m, sp, sq = case33(kit)
    quick = estimate(topology, gain, NO_FEED, known, v_a, v_m, np.zeros(0, complex), residuals=True)
    assert quick.converged
    rows, free, g = np.flatnonzero(topology.joined), topology.free, net.grid
    exact = wls(
        Branches(g.branch_from[rows], g.branch_to[rows], g.y_raw[:, rows], g.shunt_y),
        Measurements(
            np.array(["p"] * len(free) + ["q"] * len(free) + ["v"] * 7),
            np.concatenate((free, free, [net.anchor[0]], gain.metered)),
            np.concatenate((known[free].real, known[free].imag, v_a, v_m)),
            np.concatenate((sp, sq, np.full(7, 0.002))),
        ),
        reference=int(net.anchor[0]),
    )
    # H is held at the flat profile, so the minimum is met to a small part of the 2e-3 of the meters.
    np.testing.assert_allclose(np.abs(quick.v), np.abs(exact.v), atol=1e-4)
    assert quick.objective == pytest.approx(exact.objective, rel=0.02)
    np.testing.assert_allclose(quick.normalised_z, exact.normalised[-6:], rtol=0.05, atol=0.02)
    assert np.abs(quick.v - truth).max() < 0.005


def test_perfect_measurements_are_reproduced(kit):
    _, topology, gain, truth, known, v_a, v_m, *_ = case33(kit, noise=0.0)
    found = estimate(topology, gain, NO_FEED, known, v_a, v_m, np.zeros(0, complex))
    np.testing.assert_allclose(found.v, truth, atol=2e-6)
    assert found.objective == pytest.approx(0.0, abs=1e-4)


def test_leaving_a_measurement_out_equals_never_having_had_it(kit):
    _, topology, gain, _, known, v_a, v_m, sp, sq = case33(kit)
    out = np.array([1, 4])
    left = estimate(topology, gain, NO_FEED, known, v_a, v_m, np.zeros(0, complex), left_out=out, residuals=True)
    keep = np.delete(np.arange(6), out)
    fewer = Gain(topology, sp**2, sq**2, np.array([0.002**2]), np.zeros(1), np.zeros(1), gain.metered[keep],
                 gain.r[keep], np.zeros(0, int), 1.0)
    never = estimate(topology, fewer, NO_FEED, known, v_a, v_m[keep], np.zeros(0, complex))
    np.testing.assert_allclose(left.v, never.v, atol=1e-7)
    assert left.objective == pytest.approx(never.objective, rel=1e-4)
    assert (left.normalised_z[out] == 0).all()


def test_a_zero_injection_stays_exactly_zero(kit):
    _, topology, _, _, known, v_a, v_m, sp, sq = case33(kit)
    known[topology.free[3]] = 0
    sp[3] = sq[3] = 0.0
    gain = Gain(topology, sp**2, sq**2, np.array([0.002**2]), np.zeros(1), np.zeros(1),
                np.array([5, 11, 17, 21, 24, 32]), np.full(6, 0.002**2), np.zeros(0, int), 1.0)
    found = estimate(topology, gain, NO_FEED, known, v_a, v_m, np.zeros(0, complex))
    assert found.s[topology.free[3]] == 0
    assert np.abs(found.s - known).max() > 1e-4


def test_a_common_cause_moves_all_that_it_acts_on(kit):
    # Only the head flow is metered, 10 % above what is remembered: the common cause takes it all.
    field = kit.field(kit.feeder("cigre"), load=0.5)
    topology, net = field.topology, field.net
    nf, na = len(topology.free), len(net.anchor)
    common = np.zeros((2 * nf + 3 * na, 1))
    common[:nf, 0] = 0.2 * np.abs(field.s[topology.free].real)
    common[2 * nf + na : 2 * nf + 2 * na, 0] = 0.2 * np.abs(field.s[net.anchor].real)
    tiny = np.full(nf, 1e-12)
    gain = Gain(topology, tiny, tiny, np.full(na, 1e-10), np.full(na, 1e-12), np.full(na, 1e-12), np.zeros(0, int),
                np.zeros(0), np.arange(na), 1e-10, common)
    found = estimate(topology, gain, field.feeds, 0.9 * field.s, np.abs(field.v[net.anchor]), np.zeros(0),
                     field.drawn)
    np.testing.assert_allclose(found.s.real[topology.free], field.s.real[topology.free], rtol=0.01, atol=1e-5)


@pytest.mark.parametrize("kind", ["oberrhein", "cigre"])
def test_what_comes_out_of_the_transformers_is_what_the_busbars_draw(kit, kind):
    field = kit.field(kit.feeder(kind), load=0.9, sun=0.3)
    net, v = field.net, field.v
    out = field.feeds.arriving(np.abs(v[net.feed_busbar]), field.drawn)
    given = np.zeros(len(net.anchor), dtype=complex)
    np.add.at(given, net.feed_anchor, out)
    s = field.topology.gathered(field.s)[net.anchor]
    np.testing.assert_allclose(given, v[net.anchor] * np.conj(field.topology.drawn(v)) - s, atol=2e-4)
    assert (out.real < field.drawn.real).all(), "copper losses"
