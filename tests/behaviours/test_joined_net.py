"""Feeders below a published case: what the boundary loop of a run settles at, and a net put together of parts."""

import numpy as np
import pandapower.networks as pn
import pytest

from sims.distribution.feeders import Feeder, Feeders
from sims.grid.compiled import CompiledNet
from sims.grid.coupled import CoupledPowerFlow
from sims.grid.exchange import Exchange
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.partition import attach
from sims.transmission.boundary import Boundary
from sims.transmission.quasi_steady import Governors, QuasiSteady

STIFF = 1e9
"""Droop of the slack machine [MW/Hz]: the cases know no frequency."""


def _by_coupled_power_flow(net, bus, count):
    coupled = CoupledPowerFlow(attach(net, [(bus, pn.case33bw())] * count, per_unit=True))
    settled = coupled.solve()
    return abs(coupled.v[0]), coupled.s_mva.sum(), settled.rounds


def _by_boundary_loop(net, bus, count):
    """Let transmission and a DSO with `count` feeders exchange voltages and powers as they do in a run."""
    grid = CompiledNet.from_net(net)
    gens = len(grid.elements["gen"])
    governors = Governors(*(np.append(np.full(gens, low), high) for low, high in ((0.0, STIFF), (0.0, STIFF),
                                                                                  (STIFF, STIFF))))
    loads = grid.elements["load"]
    system = QuasiSteady(MeshedPowerFlow(grid), governors, gens, loads.node, np.array([grid.node(bus)]), 0.0)
    feeder = CompiledNet.from_net(pn.case33bw())
    below = Feeders([Feeder(f"f{k}", feeder, 0, np.zeros(feeder.n_nodes, np.int64)) for k in range(count)], ())
    p, q = feeder.nominal()
    n = count * feeder.n_nodes
    below.inject(np.tile(p, count), np.tile(q, count), np.zeros((n, 0)), np.zeros((n, 0)), np.zeros(n))
    boundary = Boundary(1, 50.0)
    boundary.open()
    boundary.s_mva[:] = -count * (p + 1j * q).sum()  # what they would draw without losses
    p_set = np.append(grid.elements["gen"].p_mw, 100.0)
    v = np.ones(1)
    for rounds in range(1, 50):
        at = system.solve(0, p_set, -(loads.p_mw + 1j * loads.q_mvar), boundary)
        assumed = boundary.expected(np.abs(at), system.df_hz)
        drawn = below.solve(at)
        moved, v = np.abs(np.abs(at) - v).max(), np.abs(at)
        boundary.take(np.array([0]), Exchange("dso", drawn.s_mva, drawn.per_pu, drawn.per_hz, v, 50.0 + system.df_hz))
        if moved < 1e-6 and np.abs(drawn.s_mva - assumed).max() < 1e-4:
            return v[0], drawn.s_mva[0], rounds
    raise AssertionError("did not settle")


@pytest.mark.parametrize("settle", [_by_boundary_loop, _by_coupled_power_flow])
@pytest.mark.parametrize(
    ("case", "bus", "count", "v", "s"),
    [
        (pn.case9, 4, 20, 0.959060, 78.7686 + 48.9802j),
        (pn.case9, 4, 23, 0.949574, 90.7056 + 56.4086j),
        (pn.case9, 4, 40, 0.885903, 159.4037 + 99.2087j),
        (pn.case14, 13, 4, 1.024889, 15.62605 + 9.71073j),
    ],
)
def test_case_with_feeders_equals_the_joined_net(settle, case, bus, count, v, s):
    net = case()
    net.load.drop(net.load.index[net.load.bus == bus], inplace=True)
    found_v, found_s, rounds = settle(net, bus, count)
    assert found_v == pytest.approx(v, abs=1e-6)
    assert found_s == pytest.approx(s, abs=1e-4)
    assert rounds <= 6
