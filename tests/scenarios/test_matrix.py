import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from scenarios.load import changed, load
from scenarios.matrix import jobs_of, sweep
from scenarios.worker import Advance, Done, Failed, Job, perform
from sims.core.errors import ModelError

ROOT = Path(__file__).parents[2]
STAND_IN = """\
import os, threading
from sims.core.errors import ModelError, ScenarioError

def run_pairing(scenario, architecture, stage, out, *, progress=None, threads=1):
    for k in range(3):
        progress(k * 60_000)
    if (architecture, stage) == ("local", 1):
        raise ModelError("der", 61_000, "battery below zero")
    if (architecture, stage) == ("local", 2):
        return {}["volts"]
    if (architecture, stage) == ("centralized", 1):
        print("about to fall over")
        os._exit(7)
    if (architecture, stage) == ("centralized", 2):
        raise ScenarioError("line 99 is not in the grid")
    path = out / f"{architecture}-{stage}.h5"
    path.write_text(f"{scenario.seed} {scenario.time.step_ms} {os.environ['OMP_WAIT_POLICY']}")
    return path
"""
"""Stands in for the run of one pairing; the pool around it is the real one."""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "stand_in:run_pairing"


@pytest.fixture
def scenario(small, write):
    return load(write(small), overrides={"matrix.stage": [1, 2]})


class Watching:
    def __init__(self):
        self.seen = []

    def started(self, job):
        self.seen.append(("started", job.architecture, job.stage))

    def advanced(self, job, now_ms):
        self.seen.append(("advanced", job.architecture, job.stage))

    def finished(self, outcome):
        self.seen.append(("finished", outcome.job.architecture, outcome.job.stage))


def test_a_failure_is_named_and_the_others_finish(scenario, stand_in, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    watch = Watching()
    outcomes = sweep(jobs_of([scenario], out), 2, watch, target=stand_in)
    assert [(o.job.architecture, o.job.stage) for o in outcomes] == [
        ("local", 1), ("local", 2), ("centralized", 1), ("centralized", 2), ("distributed", 1), ("distributed", 2),
    ]  # fmt: skip
    broken, wrong, dead, refused, *good = outcomes
    assert broken.error == "der at 61.000 s: battery below zero"
    assert "in run_pairing" in broken.trace
    assert wrong.error == "KeyError after 120 s of simulated time: 'volts'"
    assert "the worker process died after" in dead.error
    assert "(exit code 7); its last words: about to fall over" in dead.error
    assert refused.refused
    assert not broken.refused
    assert [o.path.read_text() for o in good] == ["0 60000 passive"] * 2
    assert {step for step, _, _ in watch.seen} == {"started", "advanced", "finished"}
    assert len([1 for step, _, _ in watch.seen if step == "finished"]) == 6


def test_one_worker_gives_what_two_give(scenario, stand_in, tmp_path):
    contents = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        out.mkdir()
        outcomes = sweep(jobs_of([scenario], out), workers, target=stand_in)
        contents.append([(o.job.label, o.error[:20], o.path and o.path.read_text()) for o in outcomes])
    assert contents[0] == contents[1]


def test_the_longest_runs_begin_first_and_results_keep_their_order(scenario, stand_in, tmp_path):
    both = [changed(scenario, {"seed": n, "matrix.stage": [3, 4]}) for n in (3, 4)]
    out = tmp_path / "out"
    for seed in (3, 4):
        (out / f"seed-{seed}").mkdir(parents=True)
    watch, jobs = Watching(), jobs_of(both, out)
    outcomes = sweep(jobs, 1, watch, target=stand_in)
    begun = [(a, s) for step, a, s in watch.seen if step == "started"]
    one = [("distributed", 4), ("distributed", 3), ("centralized", 4), ("centralized", 3), ("local", 4), ("local", 3)]
    assert begun == one * 2  # seed by seed: what pairings of a scenario share is prepared once
    assert [o.job for o in outcomes] == jobs
    assert [o.path.parent.name for o in outcomes] == ["seed-3"] * 6 + ["seed-4"] * 6


def test_several_seeds_get_a_folder_each(scenario, tmp_path):
    seeds = [changed(scenario, {"seed": n}) for n in (3, 4)]
    jobs = jobs_of(seeds, tmp_path)
    assert len(jobs) == 12
    assert {job.out.name for job in jobs} == {"seed-3", "seed-4"}
    assert {job.out for job in jobs_of(seeds[:1], tmp_path)} == {tmp_path}


def test_no_jobs_are_done_at_once():
    assert sweep([]) == []


def test_a_job_in_this_process_ends_in_the_same_words(scenario, stand_in, tmp_path, monkeypatch):
    told = []
    failed = perform(Job(scenario, "local", 1, tmp_path), stand_in, told.append)
    assert isinstance(failed, Failed)
    assert failed.text == str(ModelError("der", 61_000, "battery below zero"))
    assert told == [Advance(0)]
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    done = perform(Job(scenario, "distributed", 1, tmp_path), stand_in, told.append)
    assert done == Done(tmp_path / "distributed-1.h5")


def test_what_cannot_be_imported_fails_every_job(scenario, tmp_path):
    outcomes = sweep(jobs_of([scenario], tmp_path)[:2], 1, target="there_is_no_such_module:run")
    assert [o.error.split(" after")[0] for o in outcomes] == ["ModuleNotFoundError"] * 2


@pytest.mark.parametrize(("sent", "says"), [(signal.SIGINT, "cancelled\n"), (signal.SIGKILL, "")])
def test_workers_end_with_whoever_asked(tmp_path, small, write, sent, says):
    (tmp_path / "endless.py").write_text(
        "import os, time\n"
        "def run_pairing(s, a, n, out, *, progress=None, threads=1):\n"
        "    (out / f'{a}-{n}.pid').write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    script = tmp_path / "study.py"
    script.write_text(
        textwrap.dedent(
            f"""\
            import signal
            from pathlib import Path
            from scenarios.load import load
            from scenarios.matrix import jobs_of, sweep
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
            try:
                sweep(jobs_of([load({str(write(small))!r})], Path({str(tmp_path)!r})), 2, target="endless:run_pairing")
            except KeyboardInterrupt:
                print("cancelled")
            """
        )
    )
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    process = subprocess.Popen([sys.executable, str(script)], env=env, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(pids := [p.read_text() for p in tmp_path.glob("*.pid")]) < 2 or not all(pids):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(sent)
    try:
        assert process.communicate(timeout=30)[0] == says
    finally:
        process.kill()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_first_seed_writes_pages(scenario, tmp_path):
    seeds = [changed(scenario, {"seed": n}) for n in (3, 4)]
    jobs = jobs_of(seeds, tmp_path, pages=True)
    assert [job.page for job in jobs[:2]] == [tmp_path / "pages" / f"local-{n}.html" for n in (1, 2)]
    assert all(job.page is None for job in jobs[6:])
    assert all(job.page is None for job in jobs_of(seeds, tmp_path))


def test_a_page_that_cannot_be_written_leaves_the_run_alone(scenario, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    job = Job(scenario, "distributed", 1, tmp_path, tmp_path / "page.html")
    assert perform(job, stand_in, lambda _: None) == Done(tmp_path / "distributed-1.h5"), "it is no run file"
    assert not (tmp_path / "page.html").exists()
