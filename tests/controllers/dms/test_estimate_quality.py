"""The loop's estimator against pandapower's on the same measurements: how far each is from the truth."""

import numpy as np
import pandapower as pp
import pytest
from pandapower.estimation import estimate as pandapowers

from controllers.dms.network import Network
from controllers.dms.quick_estimation import Feed, Gain, estimate
from sims.grid.compiled import CompiledNet

NO_FEED = Feed(np.zeros(0, int), np.zeros(0), np.zeros((4, 0), complex))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_voltage_rmse_is_at_most_1_05_of_pandapowers(chain, seed):
    raw = chain(np.random.default_rng(9).uniform(0.05, 0.15, 40), infeeds=1)
    grid = CompiledNet.from_net(raw, "forty loads")
    net = Network(grid)
    top = net.topology(net.normal)
    p, q = grid.nominal()
    s = (p + 1j * q) / grid.base_mva
    truth = top.flow(s, np.ones(1))
    rng = np.random.default_rng(seed)
    free, metered = top.free, top.free[::4]
    # Half the substations are metered, the rest known by pseudo-measurements of 40 %.
    share = np.where(np.arange(len(free)) % 2, 0.4, 0.02)
    sp, sq = share * np.abs(s.real[free]), share * np.abs(s.imag[free])
    known = s.copy()
    known[free] += sp * rng.standard_normal(len(free)) + 1j * sq * rng.standard_normal(len(free))
    v_m = np.abs(truth[metered]) + 0.002 * rng.standard_normal(len(metered))
    v_a = np.array([1.0 + 0.002 * rng.standard_normal()])
    gain = Gain(top, sp**2, sq**2, np.full(1, 0.002**2), np.zeros(1), np.zeros(1), metered,
                np.full(len(metered), 0.002**2), np.zeros(0, int), 1.0)
    mine = np.abs(estimate(top, gain, NO_FEED, known, v_a, v_m, np.zeros(0, complex)).v)
    for k, node in enumerate(free):
        bus = int(grid.node_bus[node])
        pp.create_measurement(raw, "p", "bus", -known[node].real * grid.base_mva, sp[k] * grid.base_mva, bus)
        pp.create_measurement(raw, "q", "bus", -known[node].imag * grid.base_mva, sq[k] * grid.base_mva, bus)
    for node, value in zip([*metered, net.anchor[0]], [*v_m, v_a[0]], strict=True):
        pp.create_measurement(raw, "v", "bus", value, 0.002, int(grid.node_bus[node]))
    assert pandapowers(raw, init="flat", zero_injection=None)["success"]
    theirs = raw.res_bus_est.vm_pu.to_numpy(float)[grid.node_bus]
    own, other = (np.sqrt(np.mean((v - np.abs(truth)) ** 2)) for v in (mine, theirs))
    assert own <= 1.05 * other
    assert own < 0.002  # better than one meter
