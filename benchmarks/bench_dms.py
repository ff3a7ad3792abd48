"""Speed of the DMS functions on a desk: estimation of 100 feeders, N-1, reconfiguration, hosting capacity, curtailment.

Run: pytest benchmarks/bench_dms.py --benchmark-only
"""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from controllers.dms.congestion import Lever, Limits, relieve
from controllers.dms.contingency import screen
from controllers.dms.flisr import Case, plan
from controllers.dms.hosting_capacity import at_each_node
from controllers.dms.loops import Loops
from controllers.dms.network import Complexes, Network
from controllers.dms.quick_estimation import Feed, Gain, estimate
from controllers.dms.reconfiguration import reconfigure
from sims.grid.compiled import CompiledNet

NO_FEED = Feed(np.zeros(0, int), np.zeros(0), np.zeros((4, 0), complex))
FEEDERS = 100


def feeder(ties: int = 4) -> CompiledNet:
    """A 101-bus 20 kV feeder: four branches of 25 buses, their ends joined by ties that are open."""
    net = pp.create_empty_network(name="hundred buses")
    busbar = pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, busbar)
    ends = []
    for _ in range(4):
        last = busbar
        for _ in range(25):
            bus = pp.create_bus(net, 20.0)
            pp.create_line(net, last, bus, 0.5, "NA2XS2Y 1x185 RM/25 12/20 kV")
            pp.create_load(net, bus, 0.09, 0.03)
            last = bus
        ends.append(last)
    for k in range(ties):
        pp.create_line(net, ends[k], ends[(k + 1) % 4], 0.5, "NA2XS2Y 1x185 RM/25 12/20 kV")
        net.line.loc[net.line.index[-1], "in_service"] = False
    return CompiledNet.from_net(net)


def loads(grid: CompiledNet) -> Complexes:
    p, q = grid.nominal()
    return np.asarray((p + 1j * q) / grid.base_mva, dtype=complex)


@pytest.fixture
def hundred() -> tuple[Network, Complexes]:
    grid = feeder()
    return Network(grid), loads(grid)


def test_estimation_of_100_feeders_of_100_buses(benchmark, hundred):
    """One cycle: 100 estimates with their residuals; at most 100 ms are wanted."""
    net, s = hundred
    top = net.topology(net.normal)
    v = top.flow(s, np.ones(1))
    free, rng = top.free, np.random.default_rng(1)
    metered = free[::10]
    sp, sq = 0.01 * np.abs(s.real[free]) + 1e-4, 0.01 * np.abs(s.imag[free]) + 1e-4
    gain = Gain(top, sp**2, sq**2, np.full(1, 0.005**2), np.zeros(1), np.zeros(1), metered,
                np.full(len(metered), 0.005**2), np.zeros(0, int), 1.0)
    known = np.repeat(s[None, :], FEEDERS, axis=0)
    known[:, free] += sp * rng.standard_normal((FEEDERS, len(free))) + 1j * sq * rng.standard_normal(
        (FEEDERS, len(free)))
    v_m = np.abs(v[metered]) + 0.005 * rng.standard_normal((FEEDERS, len(metered)))

    def cycle() -> float:
        worst = 0.0
        for k in range(FEEDERS):
            found = estimate(top, gain, NO_FEED, known[k], np.ones(1), v_m[k], np.zeros(0, complex), v, residuals=True)
            worst = max(worst, float(np.abs(found.v - v).max()))
        return worst

    assert benchmark(cycle) < 0.01


def test_contingencies_of_a_100_bus_feeder(benchmark, hundred):
    """At most 50 ms are wanted."""
    net, s = hundred
    loops = Loops(net, net.normal)
    assert benchmark(screen, loops, s).restorable.sum() == 100


def test_reconfiguration_of_case33bw_over_all_states(benchmark):
    """At most 1 s is wanted."""
    net = Network(CompiledNet.from_net(pn.case33bw(), "case33bw"))
    found = benchmark(lambda: reconfigure(Loops(net, net.normal), loads(net.grid)))
    assert found.losses_mw[1] == pytest.approx(0.139551, abs=1e-6)


def test_restoration_plan_of_case33bw(benchmark):
    net = Network(CompiledNet.from_net(pn.case33bw(), "case33bw"))
    closed = net.normal.copy()
    closed[0] = False
    case = Case(net, closed, loads(net.grid), np.ones(1, complex), 0.9, 1e9)
    assert benchmark(plan, case, 0, 6).dark_mw == 0.0


def test_hosting_capacity_of_a_100_bus_feeder(benchmark, hundred):
    net, s = hundred
    loops = Loops(net, net.normal)
    assert len(benchmark(at_each_node, loops, s).p_mw) == 101


@pytest.mark.parametrize("count", [10, 25, 50])
def test_curtailment_of_plants_on_cigre_mv(benchmark, count):
    """At most 10 ms are wanted; 20 MW are fed in, prices and places by chance, lines loaded threefold."""
    origin = pn.create_cigre_network_mv(with_der=False)
    origin.load[["p_mw", "q_mvar"]] *= 0.15
    net = Network(CompiledNet.from_net(origin, "cigre_mv"))
    rng, top, base = np.random.default_rng(1), net.topology(net.normal), net.grid.base_mva
    node = rng.choice([net.grid.bus_node[bus] for bus in (*range(2, 12), 13, 14)], count)
    have, price = rng.uniform(0.5, 1.5, count), rng.uniform(1.0, 2.0, count)
    have *= 20.0 / have.sum()
    s, v_anchor = loads(net.grid).copy(), np.full(len(net.anchor), 1.02 + 0j)
    np.add.at(s, node, have / base)
    levers = Lever(node, have, np.zeros(count), have, have, price)
    found = benchmark(relieve, top, top.flow(s, v_anchor), s, v_anchor, levers, Limits(0.95, 1.05, 100.0))
    assert found.secure
