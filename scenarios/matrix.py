"""The sweep: all pairings of a scenario on worker processes, each on its own, in one place."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any, Protocol

from scenarios.schema import Scenario
from scenarios.worker import RUN, Advance, Done, Failed, Job

ROOT = Path(__file__).resolve().parent.parent
SERIAL = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
          "OMP_WAIT_POLICY": "passive"}  # fmt: skip
"""One thread a worker: workers share the cores already, and a spinning pool would cost more than it gives."""
GRACE_S = 10.0
"""How long a process that is told to end may take to close its run file."""


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
    pool: list[_Worker] = []
    count = min(max(1, workers or cores()), len(todo))
    try:
        while todo or pool:
            while todo and len(pool) < count:
                pool.append(_Worker(target))
                pool[-1].begin(*todo.popleft(), watch)
            ready = wait([worker.pipe for worker in pool])
            for worker in [w for w in pool if w.pipe in ready]:
                outcome = worker.listen(watch)
                if outcome is None:
                    continue
                outcomes[worker.index] = outcome
                if watch:
                    watch.finished(outcome)
                if todo and worker.alive:
                    worker.begin(*todo.popleft(), watch)
                else:
                    pool.remove(worker)
                    worker.end()
    finally:
        _end(pool)
    return [outcomes[index] for index in sorted(outcomes)]


def _end(pool: Sequence[_Worker]) -> None:
    """End processes in the midst of their work: they may close their files, but not take long over it."""
    for worker in pool:
        worker.terminate()
    until_s = time.monotonic() + GRACE_S
    for worker in pool:
        worker.kill(max(0.0, until_s - time.monotonic()))


@dataclass
class _Worker:
    """One process and its pipe, as seen from the sweep."""

    target: str
    index: int = -1
    alive: bool = True
    pipe: Connection[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.pipe, theirs = Pipe()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        start = "import sys; sys.path[:] = {path!r}; from scenarios.worker import serve; serve({fd})"
        path = [str(ROOT), *(p for p in sys.path if p != str(ROOT))]
        self._process = subprocess.Popen(
            [sys.executable, "-c", start.format(path=path, fd=theirs.fileno())],
            pass_fds=[theirs.fileno()], env=os.environ | SERIAL, process_group=0,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        theirs.close()
        self._send(self.target)

    def begin(self, index: int, job: Job, watch: Watch | None) -> None:
        self.index, self._job, self._since_s, self._reached_ms = index, job, time.monotonic(), 0
        self._send(job)
        if watch:
            watch.started(job)

    def _send(self, item: Any) -> None:
        try:
            self.pipe.send(item)
        except OSError:
            self.alive = False  # listening tells why

    def listen(self, watch: Watch | None) -> Outcome | None:
        """Take one message off the pipe; return the outcome if it was the last of the job."""
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            said = Failed(self._last_words(), "")
        if isinstance(said, Advance):
            self._reached_ms = said.now_ms
            if watch:
                watch.advanced(self._job, said.now_ms)
            return None
        wall_s = time.monotonic() - self._since_s
        if isinstance(said, Done):
            return Outcome(self._job, said.path, wall_s=wall_s)
        return Outcome(self._job, None, said.text, said.trace, wall_s, said.refused)

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode(errors="replace").strip().splitlines()
        said = f"; its last words: {lines[-1].strip()}" if lines else ""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the worker process died after {self._reached_ms / 1000:.0f} s of simulated time ({how}){said}"

    def end(self) -> None:
        """Let the process finish by itself."""
        self._send(None)
        self.pipe.close()
        self._process.wait()
        self._log.close()

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self, within_s: float) -> None:
        """Wait until the process has ended, and end it if it does not."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self._process.kill()
        self.end()
