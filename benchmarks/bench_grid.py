"""Speed of the engines, as ratios in one process after a parity check (run: pytest benchmarks/bench_grid.py -s)."""

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


def ehv() -> object:
    """SimBench 1-EHV-mixed--0-sw, 571 buses."""
    pytest.importorskip("simbench")
    from scenarios.brought import read

    return read("simbench:1-EHV-mixed--0-sw").net


class Clocked:
    """lightsim2grid's solver, and how long each solution took it, all arrays ready [s]."""

    def __init__(self, solver: object) -> None:
        self._solver, self.taken = solver, []

    def __getattr__(self, name: str) -> object:
        return getattr(self._solver, name)

    def solve(self, *args: object) -> bool:
        started = time.process_time()
        out = self._solver.solve(*args)
        self.taken.append(time.process_time() - started)
        return out


@pytest.mark.parametrize("case", [pn.case118, ehv])
def test_meshed(benchmark, case):
    """States further apart than quarter hours: each load's and each feed-in's P and Q 5 % about its own, at random.

    All begin at the last voltages. Writing its tables is no part of runpp's time, setting the powers is of ours.
    """
    net = case()
    engine, rng = MeshedPowerFlow(net), np.random.default_rng(1)
    grid, states = engine.compiled, []
    kinds = [kind for kind in ("load", "sgen") if len(net[kind])]
    base = {kind: net[kind][["p_mw", "q_mvar"]].to_numpy(float) for kind in kinds}
    pp.runpp(net, calculate_voltage_angles=True, init="dc")
    runpp = []
    for _ in range(20):
        p, q = grid.fixed_p_mw.copy(), grid.fixed_q_mvar.copy()
        for kind in kinds:
            factor, group = 1 + 0.05 * rng.standard_normal(base[kind].shape), grid.elements[kind]
            net[kind][["p_mw", "q_mvar"]] = base[kind] * factor
            np.add.at(p, group.node, group.p_mw * factor[:, 0])
            np.add.at(q, group.node, group.q_mvar * factor[:, 1])
        engine.set_injection(p, q)
        assert engine.solve()
        started = time.process_time()
        pp.runpp(net, calculate_voltage_angles=True, init="results")
        runpp.append(time.process_time() - started)
        assert np.abs(reference.voltages(grid, net) - engine.v).max() < 1e-8
        states.append((p, q))

    def through(engine: MeshedPowerFlow) -> None:
        for state in states:
            engine.set_injection(*state)
            engine.solve()

    benchmark.pedantic(through, (engine,), rounds=20, warmup_rounds=1)
    ours = benchmark.stats.stats.median / len(states)
    newton = engine._plan()[3]
    newton._solver = Clocked(newton._solver)
    newton._follow = lambda *_, **__: False
    through(engine)
    bare, whole = np.median(newton._solver.taken), np.median(runpp)
    print(f"\n{case.__name__}: {ours * 1e6:.0f} us a solution; runpp / ours {whole / ours:.0f}; "
          f"lightsim2grid alone / ours {bare / ours:.1f}")
