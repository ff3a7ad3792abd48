"""What days bring: many messages, many steps, a clock that is changed, workers that die, memory that must not grow."""

import gc
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from gridseam.study import complete
from results.runfile import Run
from scenarios.load import load
from scenarios.matrix import jobs_of
from scenarios.run import run_pairing
from sims.core.bridge import Bridge

CALM = {"disturbances": []}


def resident_mb():
    """Memory of this process that is in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture(scope="module")
def town(small):
    """The network of the small scenario, and the names of those who can write to each other."""
    from scenarios.ground import ground
    from scenarios.network import addresses, build

    scenario = load(small, None, CALM)
    shared = ground(scenario)
    names = shared.case.machines.names
    places = [p for p in addresses(shared.places, names) if p.endswith(".dms") or p == "tso"]
    return lambda: (build(scenario, shared.places, names), places)


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
def test_of_a_hundred_thousand_messages_none_is_lost_unaccounted(town):
    from sims.comms.simulator import CommsSimulator
    from sims.core.message import Message

    network, places = town()
    comms = CommsSimulator(network, ("control",), dict.fromkeys(places, "control"), slot_ms=10, step_ms=1000)
    sent, arrived, settled = 0, [], 0
    fates = {}
    before_mb = None
    now_ms = 0
    for second in range(1000):
        now_ms = second * 1000
        pairs = [(places[k % len(places)], places[(k + 1 + k // 7) % len(places)]) for k in range(130)]
        letters = [
            Message(sender, receiver, "note", {"n": sent + k}, sent_ms=now_ms)
            for k, (sender, receiver) in enumerate(pair for pair in pairs if pair[0] != pair[1])
        ]
        sent += len(letters)
        at_ms = now_ms
        inputs = {"outbox": {"control": letters}}
        while at_ms < now_ms + 1000:
            done = comms.step(at_ms, inputs)
            inputs = {}
            arrived += [m.values["n"] for m in done.outputs.get("control", ())]
            for column in (done.outputs.get("log"),):
                if column is not None:
                    for fate in np.asarray(column["fate"]).tolist():
                        fates[fate] = fates.get(fate, 0) + 1
                        settled += 1
            at_ms = min(done.next_ms, now_ms + 1000)
        if second == 100:
            gc.collect()
            before_mb = resident_mb()
    last = comms.close(now_ms + 1000)
    settled += len(last["fate"])
    for fate in np.asarray(last["fate"]).tolist():
        fates[fate] = fates.get(fate, 0) + 1
    assert sent > 90_000
    assert settled == sent
    assert len(arrived) == len(set(arrived)), "delivered twice"
    assert len(arrived) <= sum(fates.values())
    assert resident_mb() - before_mb < 200


def cost_s(scenario, folder, pairing):
    """Run; return the CPU seconds that each simulator's steps took, minute by minute."""
    spent = {}
    step = Bridge.step

    def timed(self, time_ms, inputs, max_advance):  # the signature is part of mosaik's API
        started = time.process_time()
        try:
            return step(self, time_ms, inputs, max_advance)
        finally:
            minutes = spent.setdefault(self.name, np.zeros(scenario.time.duration_ms // 60_000))
            minutes[time_ms // 60_000] += time.process_time() - started

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bridge, "step", timed)
        run_pairing(scenario, *pairing, folder)
    return spent


@pytest.mark.validate
@pytest.mark.parametrize("pairing", [("local", 1), ("centralized", 4), ("distributed", 4)])
def test_twice_the_steps_take_at_most_2_3_times_as_long(scene, tmp_path, pairing):
    """Steps get no dearer the longer a run lasts: of three runs the cheapest of each minute counts."""
    scenario = load(scene, None, CALM | {"time.duration": "250 min"})
    runs = [cost_s(scenario, tmp_path / str(k), pairing) for k in range(3)]
    least = {name: np.min([run[name] for run in runs], axis=0)[10:] for name in runs[0]}  # what starts has been left
    once = {name: minutes[:120].sum() for name, minutes in least.items()}
    ratios = {name: minutes.sum() / once[name] for name, minutes in least.items() if once[name] > 0.02}
    assert {"der", "transmission", "dso_1", "metering", "comms", "recorder"} <= set(ratios)
    assert pairing[0] == "local" or "control" in ratios
    assert {name: round(r, 2) for name, r in ratios.items() if r > 2.3} == {}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process can be changed on Unix only")
def test_a_clock_and_a_zone_changed_in_mid_run_change_nothing(scene, tmp_path, differing, monkeypatch):
    scenario = load(scene, "twenty_minutes", {"time.duration": "8 min"} | CALM)
    first = run_pairing(scenario, "centralized", 2, tmp_path / "first")
    clock, monotonic = time.time, time.monotonic

    def progress(now_ms):
        if now_ms == 180_000:
            monkeypatch.setenv("TZ", "Pacific/Kiritimati")
            time.tzset()
            monkeypatch.setattr(time, "time", lambda: clock() - 86_400 * 400)
            monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 7200)

    try:
        second = run_pairing(scenario, "centralized", 2, tmp_path / "second", progress=progress)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert differing(first, second) == []


class Fatal:
    """Watches a sweep and kills the process of its second run, as the kernel or a power cut would."""

    def __init__(self):
        self.started_jobs = []

    def started(self, job):
        self.started_jobs.append(job)

    def advanced(self, job, now_ms):
        if job.architecture == "centralized" and len(self.started_jobs) == 2:
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)
            self.started_jobs.append(None)

    def finished(self, outcome):
        pass


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the worker in /proc")
def test_after_a_worker_has_died_only_what_is_missing_is_run(scene, tmp_path, monkeypatch):
    monkeypatch.undo()  # the workers read the code themselves
    both = {"matrix": {"architecture": ["local", "centralized"], "stage": [1]}}
    scenario = load(scene, "twenty_minutes", both | CALM)
    jobs = jobs_of([scenario], tmp_path / "out")
    jobs = sorted(jobs, key=lambda job: job.architecture != "local")
    outcomes, kept = complete(jobs[:1], 1, None, False, None)
    whole = outcomes[0].path.read_bytes()
    fatal = Fatal()
    fatal.started(None)
    (lost,), _ = complete(jobs[1:], 1, fatal, False, None)
    assert lost.path is None
    assert "the worker process died" in lost.error
    assert "signal 9" in lost.error
    outcomes, kept = complete(jobs, 1, None, True, None)
    assert kept == 1
    assert [o.error for o in outcomes] == ["", ""]
    assert outcomes[0].path.read_bytes() == whole
    with Run(outcomes[1].path) as run:
        assert run.status == "complete"


def memory(scene, tmp_path, pairing, hours):
    seen = {}

    def progress(now_ms):
        if now_ms % 3_600_000 == 0:
            gc.collect()
            seen[now_ms // 3_600_000] = resident_mb()

    scenario = load(scene, None, CALM | {"time.start": "2016-07-22T00:00:00+02:00", "time.duration": f"{hours} h"})
    run_pairing(scenario, *pairing, tmp_path, progress=progress)
    return seen


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
def test_memory_is_flat_after_the_first_hour(scene, tmp_path):
    seen = memory(scene, tmp_path, ("centralized", 2), 4)
    assert seen[3] - seen[1] < 40


@pytest.mark.validate
@pytest.mark.parametrize("pairing", [("local", 1), ("centralized", 4), ("distributed", 4)])
def test_memory_of_a_day_is_flat_after_the_first_hour(scene, tmp_path, pairing):
    seen = memory(scene, tmp_path, pairing, 24)
    assert seen[23] - seen[1] < 100
    assert seen[23] - seen[12] < 50
