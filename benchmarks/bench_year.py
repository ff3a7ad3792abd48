"""A day of SimBench's whole grid (37 587 buses) cut at every level, and how far it is from the whole solved at once.

Run: pytest benchmarks/bench_year.py -s. A whole year: python -m benchmarks.year --days 366 --out FOLDER.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from benchmarks.year import CODE, LEVELS_KV, STEPS, Drive, Study, run, whole
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.partition import split

SUMMER = 180


@pytest.mark.skipif(importlib.util.find_spec("simbench") is None, reason="needs the extra simbench")
def test_a_day_of_the_whole_grid(benchmark, tmp_path):
    import h5py

    net = whole()
    drive, study = Drive.of(net), Study(split(net, LEVELS_KV, CODE), net.bus.index)
    at_once = MeshedPowerFlow(CompiledNet.from_net(net, CODE))
    node = np.array([at_once.compiled.node(int(bus)) for bus in net.bus.index])
    p, q, gen = drive.day(SUMMER)
    for t in (0, 50):
        study.solve(p[:, t], q[:, t], gen[t])
        at_once.set("gen", "p_mw", gen[t])
        at_once.set_injection(*(np.bincount(node, x[:, t], at_once.n_nodes) for x in (p, q)))
        assert at_once.solve()
        apart_pu = np.abs(at_once.v[node] - study.grid.node_v[study.node]).max()
        through, apart_mva = at_once.s_from_mva, 0.0
        for level in study.levels:
            for (k, _, below), s in zip(level.cut.boundaries, level.s_mva, strict=True):
                trafo = level.cut.lower[k].net.trafo
                rows = [at_once.compiled.branch("trafo", int(i)) for i in trafo.index[trafo.hv_bus == below]]
                apart_mva = max(apart_mva, abs(through[rows].sum() - s))
        print(f"\nstep {t}: {apart_pu:.1e} pu, {apart_mva:.1e} MVA from the whole")
        assert apart_pu < 1e-6
        assert apart_mva < 1e-3
    path = tmp_path / "day.h5"
    benchmark.pedantic(lambda: run(study, drive, range(SUMMER, SUMMER + 1), path), rounds=1)
    with h5py.File(path) as file:
        step = float(file.attrs["cpu_s"]) / STEPS
        assert np.isfinite(file["v_pu"][:]).all()
    print(f"{1e3 * step:.1f} ms of a processor a step; a year of two: {step * 366 * STEPS / 120:.1f} min")
