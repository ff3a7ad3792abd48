"""A sweep of 24 cells, twelve pairings with two seeds, on two processes: our own pool, and a Dask LocalCluster.

Aim: on the cluster in at most 1.15 times the time on the pool, start of its processes included in both.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results.difference import diff
from scenarios.load import load
from scenarios.matrix import jobs_of, sweep

distributed = pytest.importorskip("distributed")

MINUTES = 20


def swept(out: Path, on: Callable[[list[Any]], list[Any]]) -> tuple[list[Path], float]:
    """Return the files of all cells and how long they took [s]."""
    scenarios = [
        load("three_cells", overrides={"time.duration": f"{MINUTES} min", "disturbances": [], "seed": seed})
        for seed in (1, 2)
    ]
    jobs = jobs_of(scenarios, out)
    assert len(jobs) == 24
    begun = time.perf_counter()
    outcomes = on(jobs)
    wall_s = time.perf_counter() - begun
    assert not [o.error for o in outcomes if o.path is None]
    return [o.path for o in outcomes], wall_s


def on_cluster(jobs: list[Any]) -> list[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        return sweep(jobs, cluster.scheduler_address)


def test_24_cells_on_dask_and_on_the_pool(benchmark: Any, tmp_path: Path) -> None:
    swept(tmp_path / "warm", lambda jobs: sweep(jobs[:1]))
    pool, pool_s = swept(tmp_path / "pool", lambda jobs: sweep(jobs, 2))
    cluster, cluster_s = benchmark.pedantic(swept, args=(tmp_path / "dask", on_cluster), rounds=1)
    assert all(diff(a, b).same for a, b in zip(pool, cluster, strict=True))
    _, again_s = swept(tmp_path / "again", lambda jobs: sweep(jobs, 2))
    print(f"\npool {pool_s:.1f} and {again_s:.1f} s, Dask {cluster_s:.1f} s: {2 * cluster_s / (pool_s + again_s):.2f}")
