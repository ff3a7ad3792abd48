"""Sweeps on a real Dask cluster of this machine."""

import os
import signal
import textwrap
import time
from pathlib import Path

import pytest

from scenarios.load import load
from scenarios.matrix import jobs_of, sweep
from sims.core.errors import GridseamError

distributed = pytest.importorskip("distributed")

WORK = """\
import os, time
from pathlib import Path
from sims.core.errors import ModelError

def run_pairing(scenario, architecture, stage, out, *, progress=None, threads=1):
    if (architecture, stage) == ("local", 2):
        raise ModelError("der", 61_000, "battery below zero")
    first = out / "first.pid"
    if (architecture, stage) == ("centralized", 1) and not first.exists():
        part = out / "part"
        part.write_text(f"{os.getpid()} {os.getppid()}")
        part.rename(first)
        time.sleep(60)
    progress(60_000)
    path = out / f"{architecture}-{stage}.h5"
    path.write_text(f"{scenario.seed} {scenario.time.step_ms} {architecture} {stage}")
    return path
"""
"""Stands in for the run of one pairing; the cluster around it is the real one. One run waits to be killed."""


RUN, WORKER = 0, 1


class Killing:
    """Kills the process of the run that waits, or the worker behind it, once it is seen to wait; notes the rest."""

    def __init__(self, out, which):
        self.out, self.which, self.waiting, self.seen = out, which, (), []

    def started(self, job):
        self.seen.append(("started", job.architecture, job.stage))

    def advanced(self, job, now_ms):
        self._kill()

    def finished(self, outcome):
        self.seen.append(("finished", outcome.job.architecture, outcome.job.stage))
        self._kill()

    def _kill(self):
        if not self.waiting and (self.out / "first.pid").exists():
            self.waiting = tuple(map(int, (self.out / "first.pid").read_text().split()))
            os.kill(self.waiting[self.which], signal.SIGKILL)


@pytest.fixture
def target(tmp_path, monkeypatch):
    (tmp_path / "cluster_work.py").write_text(textwrap.dedent(WORK))
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(tmp_path)]))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "cluster_work:run_pairing"


@pytest.fixture
def jobs(small, write, tmp_path):
    return jobs_of([load(write(small), overrides={"matrix.stage": [1, 2]})], tmp_path / "out")


def gone(pid, within_s):
    """Tell whether a process has ended, or does within some time."""
    until_s = time.monotonic() + within_s
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("which", [RUN, WORKER], ids=["its process", "its worker"])
def test_the_job_of_a_lost_worker_or_process_goes_to_another_one(jobs, target, tmp_path, which):
    watch = Killing(tmp_path / "out", which)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        found = sweep(jobs, cluster.scheduler_address, watch, target=target)
        assert gone(watch.waiting[RUN], 10), "the process that ran the job ends with its worker"
    assert [outcome.job for outcome in found] == jobs
    failed = [o for o in found if o.path is None]
    assert [(o.job.architecture, o.job.stage) for o in failed] == [("local", 2)]
    assert "battery below zero" in failed[0].error
    done = {o.job.path: o.path.read_text() for o in found if o.path is not None}
    assert all(o.path == o.job.path for o in found if o.path is not None)
    assert done == {
        o.job.path: f"0 60000 {o.job.architecture} {o.job.stage}" for o in found if o.path is not None
    }
    for kind in ("started", "finished"):
        told = [seen[1:] for seen in watch.seen if seen[0] == kind]
        assert sorted(told) == sorted((job.architecture, job.stage) for job in jobs), "each is told once"


def test_an_address_where_nobody_listens_is_named(jobs, target, monkeypatch):
    monkeypatch.setattr("scenarios.cluster.CONNECT_S", 0.5)
    with pytest.raises(GridseamError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        sweep(jobs, "tcp://127.0.0.1:9", target=target)


def test_ctrl_c_ends_the_runs_on_the_cluster(jobs, target, tmp_path):
    class Leaving:
        """Presses Ctrl-C, as it were, when the first run is done and another one waits."""

        def started(self, job):
            pass

        def advanced(self, job, now_ms):
            pass

        def finished(self, outcome):
            if (tmp_path / "out" / "first.pid").exists():
                raise KeyboardInterrupt

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        with pytest.raises(KeyboardInterrupt):
            sweep(jobs, cluster.scheduler_address, Leaving(), target=target)
        run, worker = map(int, (tmp_path / "out" / "first.pid").read_text().split())
        assert gone(run, 10)
        assert not gone(worker, 0), "the cluster is somebody else's"


def test_no_jobs_need_no_cluster():
    assert sweep([], "tcp://127.0.0.1:9") == []


def test_without_dask_the_remedy_is_named(jobs, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(GridseamError, match=r"pip install 'gridseam\[cluster\]'"):
        sweep(jobs, "tcp://127.0.0.1:9")
