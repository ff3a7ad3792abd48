"""The sweep: all pairings of a scenario on worker processes, each on its own, in one place."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

from results.digest import vouch
from scenarios.process import Process
from scenarios.schema import Scenario
from scenarios.worker import RUN, Advance, Done, Failed, Job


@dataclass(frozen=True)
class Outcome:
    """How one job ended: `path` of its run file, or `error` and the `trace` behind it.

    `refused` tells that the input was at fault, not the run.
    """

    job: Job
    path: Path | None
    error: str = ""
    trace: str = ""
    wall_s: float = 0.0
    refused: bool = False


def outcome_of(job: Job, said: Done | Failed, wall_s: float) -> Outcome:
    """Return how `job` ended by what the process that ran it said last."""
    if isinstance(said, Done):
        return Outcome(job, job.path, wall_s=wall_s)
    return Outcome(job, None, said.text, said.trace, wall_s, said.refused)


class Watch(Protocol):
    """Whoever wants to see a sweep proceed."""

    def started(self, job: Job) -> None:
        """Take note that `job` runs now."""
        ...

    def advanced(self, job: Job, now_ms: int) -> None:
        """Take note that `job` has reached `now_ms`."""
        ...

    def finished(self, outcome: Outcome) -> None:
        """Take note how a job ended."""
        ...


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_of(scenarios: Sequence[Scenario], out: Path, pages: bool = False) -> list[Job]:
    """Return all pairings of `scenarios`, which differ in their seed; several seeds get a folder each.

    With `pages`, those of the first seed write their page, too.
    """
    return [
        Job(
            s, architecture, stage, out / f"seed-{s.seed}" if len(scenarios) > 1 else out,
            out / page_address(architecture, stage) if pages and s is scenarios[0] else None, "../report.html",
        )
        for s in scenarios
        for architecture in s.matrix.architecture
        for stage in s.matrix.stage
    ]


def page_address(architecture: str, stage: int) -> str:
    """Return where the page of a pairing lies, from the folder of its comparison."""
    return f"pages/{architecture}-{stage}.html"


def longest_first(jobs: Iterable[Job]) -> list[tuple[int, Job]]:
    """Return jobs with their numbers as they are best begun: those that take longest do not come last.

    Scenarios stay together, so that each process prepares one no more than once.
    """
    by_scenario = groupby(enumerate(jobs), key=lambda item: id(item[1].scenario))
    return [item for _, group in by_scenario for item in sorted(group, key=lambda item: -item[1].effort)]


def sweep(
    jobs: Iterable[Job], workers: int | str | None = None, watch: Watch | None = None, *, target: str = RUN
) -> list[Outcome]:
    """Run all jobs, longest first, and return their outcomes in the order of `jobs`, whatever failed on the way.

    The workers are fresh interpreters that import nothing of the caller's, so that a script needs no
    ``if __name__ == "__main__"``; a worker that dies takes its own job along and is replaced. On
    KeyboardInterrupt all workers are ended before it is raised on.

    Parameters
    ----------
    workers : int or str, optional
        How many processes, as many as processors if left out; or the address of a Dask scheduler.
    target : str
        ``module:function`` that runs one pairing.
    """
    if isinstance(workers, str):
        from scenarios.cluster import sweep_on

        asked = list(jobs)
        return sweep_on(workers, asked, watch, target) if asked else []
    todo = deque(longest_first(jobs))
    outcomes: dict[int, Outcome] = {}
    pool: dict[Process, _Task] = {}
    count = min(max(1, workers or cores()), len(todo))
    try:
        while todo or pool:
            while todo and len(pool) < count:
                process = Process(target)
                pool[process] = _begin(process, *todo.popleft(), watch)
            ready = wait([process.pipe for process in pool])
            for process, task in [(p, t) for p, t in pool.items() if p.pipe in ready]:
                said = process.hear()
                if isinstance(said, Advance):
                    if watch:
                        watch.advanced(task.job, said.now_ms)
                    continue
                outcome = outcome_of(task.job, said, time.monotonic() - task.since_s)
                if outcome.path is not None and outcome.path.exists():
                    vouch(outcome.path)
                outcomes[task.index] = outcome
                if watch:
                    watch.finished(outcome)
                if todo and process.alive:
                    pool[process] = _begin(process, *todo.popleft(), watch)
                else:
                    del pool[process]
                    process.end()
    finally:
        Process.stop(pool)
        for process in pool:
            process.end()
    return [outcomes[index] for index in sorted(outcomes)]


@dataclass(frozen=True)
class _Task:
    """What a process is at."""

    index: int
    job: Job
    since_s: float


def _begin(process: Process, index: int, job: Job, watch: Watch | None) -> _Task:
    process.give(job)
    if watch:
        watch.started(job)
    return _Task(index, job, time.monotonic())
