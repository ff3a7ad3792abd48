"""Speed of coupled grids, as ratios in one process after a parity check.

Run: pytest benchmarks/bench_coupling.py -s --benchmark-timer=time.process_time. Times are those of one core.

SimBench's grids need the extra simbench; what needs them is skipped without it.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import resource
import time

import h5py
import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from benchmarks.peers.study import GRIDS, STEPS, factors, parts
from sims.grid import reference
from sims.grid.compiled import CompiledNet
from sims.grid.coupled import CoupledPowerFlow
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.partition import attach, join

simbench = pytest.mark.skipif(importlib.util.find_spec("simbench") is None, reason="needs the extra simbench")
WIDTH = 1000


@functools.cache
def mv_rural() -> object:
    """SimBench 1-MV-rural--0-sw with its two transformers as one; its generators stay."""
    from scenarios.brought import read
    from sims.grid.parallels import merge_parallel_transformers

    net = copy.deepcopy(read("simbench:1-MV-rural--0-sw").net)
    merge_parallel_transformers(net)
    return net


def seconds(step, repeats: int = 20) -> float:
    """Return the median time of `step`."""
    step()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        taken.append(time.process_time() - started)
    return float(np.median(taken))


def shared(count: int) -> tuple[np.ndarray, object]:
    """Return case118, and how many of `count` grids stand for each of its loads, in proportion, at least one."""
    net = pn.case118()
    net.bus["vn_kv"] = net.bus.vn_kv.astype(float)
    share = net.load.p_mw.to_numpy() / net.load.p_mw.sum()
    counts = np.maximum(np.floor(share * count).astype(int), 1)
    for k in np.argsort(share * count - counts)[::-1][: count - counts.sum()]:
        counts[k] += 1
    return counts, net


def _power(net: CompiledNet) -> np.ndarray:
    return np.add(*np.multiply(net.nominal(), np.array([[1.0], [1.0j]])))


@simbench
def test_fleet_of_mv_rural(benchmark):
    grid = CompiledNet.from_net(mv_rural())
    fleet = FleetPowerFlow(grid, WIDTH)
    rng = np.random.default_rng(1)
    p0, q0 = grid.nominal()
    p = p0[:, None] * (1 + 0.05 * rng.standard_normal((2, grid.n_nodes, WIDTH)))
    q = q0[:, None] * (1 + 0.05 * rng.standard_normal((2, grid.n_nodes, WIDTH)))
    slack = 1.0 + 0.01 * rng.standard_normal((2, WIDTH)) + 0j
    fleet.set_injection(p[0], q[0])
    fleet.set_slack(slack[0])
    assert fleet.solve().all()
    exported = fleet.export(3)
    reference.run(exported)
    assert np.abs(reference.voltages(grid, exported) - fleet.v[:, 3]).max() < 1e-8
    loop = MeshedPowerFlow(grid)

    def one(j):
        loop.set_injection(p[0][:, j], q[0][:, j])
        loop.set_slack(slack[0][j])
        loop.solve()
        return loop.vm, loop.slack_p_mw

    one(3)
    assert np.abs(loop.v - fleet.v[:, 3]).max() < 1e-8
    per_feeder = seconds(lambda: [one(j) for j in range(50)], 5) / 50
    turn = [0]

    def step():
        turn[0] ^= 1
        fleet.set_injection(p[turn[0]], q[turn[0]])
        fleet.set_slack(slack[turn[0]])
        fleet.solve()
        return fleet.vm, fleet.slack_pq()

    benchmark.pedantic(step, rounds=15, warmup_rounds=2)
    taken = benchmark.stats.stats.median / WIDTH
    print(f"\nMV-rural x {WIDTH}: {taken / grid.n_nodes * 1e9:.1f} ns per bus and feeder-step, "
          f"{int(fleet.iterations.max())} iterations; lightsim2grid loop / fleet: {per_feeder / taken:.0f}")


def _with_feeders(feeder, count):
    """Return case118 coupled with `count` grids, and what scales each grid's power to match the totals."""
    counts, net = shared(count)
    loads = net.load[["bus", "p_mw"]].to_numpy()
    net.load.drop(net.load.index, inplace=True)
    grids = [(int(bus), feeder) for (bus, _), n in zip(loads, counts, strict=True) for _ in range(n)]
    coupled = CoupledPowerFlow(attach(net, grids, per_unit=True))
    wanted = np.repeat(loads[:, 1] / counts, counts)
    own = -_power(coupled.compiled[0]).real.sum()
    return coupled, wanted / own


@simbench
def test_case118_with_1000_mv_rural(benchmark):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    coupled, scale = _with_feeders(mv_rural(), WIDTH)
    s = np.outer(_power(coupled.compiled[0]), np.minimum(scale, 1.0))
    rng = np.random.default_rng(1)
    turn, fleet = [0], coupled.fleets[0][0]
    shapes = [s * (1 + 0.02 * rng.standard_normal(s.shape)) for _ in range(2)]

    def step():
        turn[0] ^= 1
        fleet.set_injection(shapes[turn[0]].real, shapes[turn[0]].imag)
        return coupled.solve()

    rounds = step().rounds
    benchmark.pedantic(step, rounds=10, warmup_rounds=1)
    whole = benchmark.stats.stats.median
    clock = _clocked(coupled)
    settled = step()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"\ncase118 with {WIDTH} MV-rural: {whole / settled.rounds * 1e3:.2f} ms per coupling "
          f"iteration, {settled.rounds} ({rounds}) rounds, {whole / clock.s:.2f} x the solves, memory +{grown:.0f} MB")


class _clocked:  # noqa: N801  reads as what it does
    """Time spent in the engines' own solves while a step runs."""

    def __init__(self, coupled: CoupledPowerFlow) -> None:
        self.s = 0.0
        for engine in (coupled.upper, *(fleet for fleet, _ in coupled.fleets), *filter(None, [coupled.forest])):
            engine.solve = self._around(engine.solve)

    def _around(self, solve):
        def timed(*args, **kw):
            started = time.process_time()
            out = solve(*args, **kw)
            self.s += time.process_time() - started
            return out

        return timed


def test_case118_with_97_cigre_over_a_day(benchmark, tmp_path):
    upper, buses, nets = parts()
    coupled = CoupledPowerFlow(attach(upper, list(zip(buses, nets, strict=True)), per_unit=True))
    forest, day_of = coupled.forest, factors()
    p, q = (np.concatenate([net.nominal()[i] for net in coupled.compiled]) for i in (0, 1))
    none = np.zeros((p.size, 0))

    def solved(factor):
        forest.inject(factor * p, factor * q, none, none, np.zeros(p.size))
        return coupled.solve()

    def day():
        with h5py.File(tmp_path / "run.h5", "w") as file:
            v = file.create_dataset("v", (STEPS, p.size), np.complex128)
            loading = file.create_dataset("loading_percent", (STEPS, forest.loading_percent.size), np.float64)
            above = file.create_dataset("transmission/v", (STEPS, coupled.upper.n_nodes), np.complex128)
            through = file.create_dataset("boundary_mva", (STEPS, coupled.v.size), np.complex128)
            left = file.create_dataset("residual", (STEPS, 3), np.float64)
            for t, factor in enumerate(day_of):
                settled = solved(factor)
                forest.read()
                v[t], loading[t] = forest.v, forest.loading_percent
                above[t], through[t] = coupled.upper.v, coupled.s_mva
                left[t] = settled.rounds, settled.residual_pu, settled.residual_mva

    benchmark.pedantic(day, rounds=3, warmup_rounds=1)
    ours = benchmark.stats.stats.median / STEPS
    clock = _clocked(coupled)
    day()
    joined = join(coupled.cut)
    p0, q0 = joined.load.p_mw.to_numpy(), joined.load.q_mvar.to_numpy()
    varies = ~joined.load.index.isin(upper.load.index)
    recycle = {"bus_pq": True, "trafo": False, "gen": False}

    def whole(factor, **options):
        x = np.where(varies, factor, 1.0)
        joined.load["p_mw"], joined.load["q_mvar"] = x * p0, x * q0
        pp.runpp(joined, calculate_voltage_angles=True, recycle=recycle, **options)

    whole(day_of[-1], init="dc")
    apart = np.abs(joined.res_bus.vm_pu[coupled.cut.upper.bus.index] - coupled.upper.vm).max()
    assert apart < 1e-6
    taken = []
    for factor in day_of[:5]:
        started = time.process_time()
        whole(factor, init="results")
        taken.append(time.process_time() - started)
    print(f"\ncase118 with {GRIDS} CIGRE MV, {STEPS} steps recorded: {ours * 1e3:.2f} ms a step, "
          f"{ours * STEPS / clock.s:.1f} x its solves; joined with recycle / ours: {np.median(taken) / ours:.0f}")
