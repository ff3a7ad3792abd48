"""Speed of the engines, as ratios in one process after a parity check (run: pytest benchmarks/bench_grid.py)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from sims.grid import reference
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow

WIDTH = 1000
NETS: dict[str, Callable[[], object]] = {
    "cigre_mv": pn.create_cigre_network_mv, "kerber_dorfnetz": pn.create_kerber_dorfnetz,
    "mv_oberrhein": pn.mv_oberrhein,
}


def chain(n_bus: int = 101) -> object:
    """A 101-bus 20 kV feeder behind a 110/20 kV transformer: ten branches of ten buses."""
    net = pp.create_empty_network()
    hv, mv = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, hv)
    pp.create_transformer(net, hv, mv, "25 MVA 110/20 kV")
    for k in range(n_bus - 2):
        bus = pp.create_bus(net, 20.0)
        pp.create_line(net, mv if k % 10 == 0 else bus - 1, bus, 0.8, "NA2XS2Y 1x185 RM/25 12/20 kV")
        pp.create_load(net, bus, 0.12, 0.04)
    return net


def _fleet(net: object) -> tuple[FleetPowerFlow, np.ndarray, np.ndarray]:
    grid = CompiledNet.from_net(net)
    fleet = FleetPowerFlow(grid, WIDTH)
    p, q = grid.nominal()
    rng = np.random.default_rng(1)
    shapes = p[:, None] * (1 + 0.05 * rng.standard_normal((2, grid.n_nodes, WIDTH)))
    fleet.set_injection(shapes[0], q)
    assert fleet.solve().all()
    exported = fleet.export(3)
    reference.run(exported)
    assert np.abs(reference.voltages(grid, exported) - fleet.v[:, 3]).max() < 1e-8
    return fleet, shapes, q


@pytest.mark.parametrize("name", ["chain101", *NETS])
def test_fleet_all_in(benchmark, name):
    fleet, shapes, q = _fleet(chain() if name == "chain101" else NETS[name]())
    turn = [0]

    def step():
        turn[0] ^= 1
        fleet.set_injection(shapes[turn[0]], q)
        fleet.solve()
        return fleet.vm, fleet.slack_pq()

    benchmark(step)
    ns = benchmark.stats.stats.median * 1e9 / WIDTH / fleet.compiled.n_nodes
    benchmark.extra_info["ns_per_bus_and_feeder_step"] = round(ns, 1)
    print(f"\n{name}: {ns:.1f} ns per bus and feeder-step, {int(fleet.iterations.max())} iterations")


@pytest.mark.parametrize("name", ["chain101", "kerber_dorfnetz"])
def test_fleet_with_qu(benchmark, name):
    fleet, shapes, q = _fleet(chain() if name == "chain101" else NETS[name]())
    amp = np.abs(shapes[:1])
    fleet.set_curves([Curve("qu", (0.93, 0.97, 1.03, 1.07), (1, 0, 0, -1))], 0 * amp, amp)
    turn = [0]

    def step():
        turn[0] ^= 1
        fleet.set_injection(shapes[turn[0]], q)
        assert fleet.solve().all()

    benchmark(step)
    ns = benchmark.stats.stats.median * 1e9 / WIDTH / fleet.compiled.n_nodes
    print(f"\n{name} with Q(U) at every node: {ns:.1f} ns per bus and feeder-step")


def test_fleet_against_a_lightsim2grid_loop(benchmark):
    fleet, shapes, q = _fleet(chain())
    loop = MeshedPowerFlow(fleet.compiled)
    loop.set_injection(shapes[0][:, 0], q)
    loop.solve()
    assert np.abs(loop.v - fleet.v[:, 0]).max() < 1e-8
    started = time.perf_counter()
    for j in range(200):
        loop.set_injection(shapes[0][:, j], q)
        loop.solve()
    per_feeder = (time.perf_counter() - started) / 200

    def step():
        fleet.set_injection(shapes[1], q)
        fleet.solve()
        fleet.set_injection(shapes[0], q)
        fleet.solve()

    benchmark(step)
    fleet_s = benchmark.stats.stats.median / 2 / WIDTH
    print(f"\nlightsim2grid loop / fleet: {per_feeder / fleet_s:.0f}")


@pytest.mark.parametrize("case", [pn.case39, pn.case118])
def test_meshed(benchmark, case):
    net = case()
    engine = MeshedPowerFlow(net)
    assert engine.solve()
    base = net.load.p_mw.to_numpy()
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9)
    assert np.abs(reference.voltages(engine.compiled, net) - engine.v).max() < 1e-8
    started = time.perf_counter()
    for _ in range(5):
        pp.runpp(net, calculate_voltage_angles=True)
    runpp = (time.perf_counter() - started) / 5
    turn = [0]

    def step():
        turn[0] ^= 1
        engine.set("load", "p_mw", base * (1 + 0.01 * turn[0]))
        engine.solve()

    benchmark(step)
    whole = benchmark.stats.stats.median
    print(f"\n{case.__name__}: {whole * 1e6:.0f} us a solve; runpp takes {runpp / whole:.0f} times as long")
