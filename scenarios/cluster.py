"""A sweep on a Dask cluster: the same jobs, done by the same function, on other people's processes."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scenarios.cell import source_digest
from scenarios.worker import Advance, Done, Failed, Job, perform
from sims.core.errors import GridseamError

if TYPE_CHECKING:
    from scenarios.matrix import Outcome, Watch

CONNECT_S = 10.0
_ONE_AT_A_TIME = threading.Lock()
"""Held while a job runs in a worker process, whatever number of threads it has."""


def sweep_on(address: str, jobs: Sequence[Job], watch: Watch | None, target: str) -> list[Outcome]:
    """Run all jobs on the cluster whose scheduler listens at `address`; return the outcomes in their order.

    The workers share the file system and have the same gridseam installed. The job of a worker that is lost
    goes to another one, as often as the scheduler's `allowed-failures` says (3). On KeyboardInterrupt what is
    not done is called off.

    Raises
    ------
    GridseamError
        Dask is not installed, or no scheduler answers at `address`.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as err:
        raise GridseamError("--dask needs Dask: pip install 'gridseam[cluster]'") from err
    from scenarios.matrix import Outcome, longest_first

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, ImportError) as err:
        raise GridseamError(f"no Dask scheduler answers at '{address}' ({type(err).__name__}: {err})") from err
    topic, outcomes = f"gridseam-{uuid.uuid4().hex}", dict[int, Outcome]()
    with client:
        desk = _Desk(jobs, watch)
        client.subscribe_topic(topic, desk.hear)
        futures = {
            client.submit(
                work, replace(job, out=job.out.resolve(), page=job.page.resolve() if job.page else None), target,
                index, topic, source_digest(), pure=False, key=f"{topic}-{index}",
            ): index
            for index, job in longest_first(jobs)
        }  # fmt: skip
        try:
            for future in as_completed(list(futures), loop=client.loop):
                index = futures[future]
                outcomes[index] = _outcome(jobs[index], future, desk.wall_s(index))
                desk.end(index, outcomes[index])
        finally:
            left = [future for future in futures if not future.done()]
            if left:
                client.cancel(left, force=True)
            client.unsubscribe_topic(topic)
    return [outcomes[index] for index in range(len(jobs))]


class _Desk:
    """Passes on to the watch what the workers tell; each job begins once, however often it is begun again."""

    def __init__(self, jobs: Sequence[Job], watch: Watch | None) -> None:
        self._jobs, self._watch = jobs, watch
        self._since_s: dict[int, float] = {}
        self._ended: set[int] = set()
        self._lock = threading.Lock()  # the client hears in a thread of its own

    def hear(self, event: Any) -> None:
        told = event[1] if isinstance(event, tuple) else event
        with self._lock:
            index = int(told["index"])
            if index in self._ended:
                return
            self._begin(index)
            if self._watch:
                self._watch.advanced(self._jobs[index], int(told["now_ms"]))

    def _begin(self, index: int) -> None:
        if index not in self._since_s:
            self._since_s[index] = time.monotonic()
            if self._watch:
                self._watch.started(self._jobs[index])

    def wall_s(self, index: int) -> float:
        return time.monotonic() - self._since_s.get(index, time.monotonic())

    def end(self, index: int, outcome: Outcome) -> None:
        with self._lock:
            self._begin(index)
            self._ended.add(index)
            if self._watch:
                self._watch.finished(outcome)


def _outcome(job: Job, future: Any, wall_s: float) -> Outcome:
    from scenarios.matrix import Outcome

    err = future.exception()
    if err is not None:
        return Outcome(job, None, f"the cluster gave the job up ({type(err).__name__}: {err})", "", wall_s)
    said = future.result()
    if isinstance(said, Done):
        return Outcome(job, job.path, wall_s=wall_s)
    return Outcome(job, None, said.text, said.trace, wall_s, said.refused)


def work(job: Job, target: str, index: int, topic: str, digest: str) -> Done | Failed:
    """Run one job inside a worker of the cluster."""
    from distributed import get_worker

    if source_digest() != digest:
        return Failed("the worker has another gridseam than the one that asks; install the same on both", "", True)
    worker = get_worker()

    def tell(advance: Advance) -> None:
        worker.log_event(topic, {"index": index, "now_ms": advance.now_ms})

    with _ONE_AT_A_TIME:
        tell(Advance(0))
        job.out.mkdir(parents=True, exist_ok=True)
        return perform(job, target, tell)
