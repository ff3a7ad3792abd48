"""A sweep of 24 cells, twelve pairings with two seeds, on two processes: our own pool, and a Dask LocalCluster.

Aim: on the cluster at most 1.15 times the time on the pool. What is timed is what whoever asks waits for: the pool
starts its processes; the cluster runs already, as `--dask ADDRESS` wants it, but its workers have imported nothing of
gridseam's. Cells are short: hard on whatever costs time by the cell.
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
psutil = pytest.importorskip("psutil")

MINUTES = 5


def cpu_s() -> float:
    """Return the CPU time of this process and of all that it started, ended or not."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (me, *me.children(recursive=True)))


def swept(out: Path, on: Callable[[list[Any]], list[Any]]) -> tuple[list[Path], float, float]:
    """Return the files of all cells, how long they took, and the CPU time of all processes [s]."""
    scenarios = [
        load("small_day", overrides={"time.duration": f"{MINUTES} min", "seed": seed})
        for seed in (1, 2)
    ]
    jobs = jobs_of(scenarios, out)
    assert len(jobs) == 24
    begun, begun_cpu_s = time.perf_counter(), cpu_s()
    outcomes = on(jobs)
    wall_s = time.perf_counter() - begun
    assert not [o.error for o in outcomes if o.path is None]
    return [o.path for o in outcomes], wall_s, cpu_s() - begun_cpu_s


def test_24_cells_on_dask_and_on_the_pool(benchmark: Any, tmp_path: Path) -> None:
    swept(tmp_path / "warm", lambda jobs: sweep(jobs[:1]))
    pool, pool_s, pool_cpu_s = swept(tmp_path / "pool", lambda jobs: sweep(jobs, 2))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as there:
        cluster, cluster_s, cluster_cpu_s = benchmark.pedantic(
            swept, args=(tmp_path / "dask", lambda jobs: sweep(jobs, there.scheduler_address)), rounds=1
        )
    assert all(diff(a, b).same for a, b in zip(pool, cluster, strict=True))
    _, again_s, again_cpu_s = swept(tmp_path / "again", lambda jobs: sweep(jobs, 2))
    print(
        f"\nwall: pool {pool_s:.1f} and {again_s:.1f} s, Dask {cluster_s:.1f} s: "
        f"{2 * cluster_s / (pool_s + again_s):.2f}; CPU: {pool_cpu_s:.1f} and {again_cpu_s:.1f} s, "
        f"{cluster_cpu_s:.1f} s: {2 * cluster_cpu_s / (pool_cpu_s + again_cpu_s):.2f}"
    )
