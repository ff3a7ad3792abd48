"""A sweep on a Dask cluster: the same jobs, done by the same function, on other people's machines."""

from __future__ import annotations

import pickle
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scenarios.cell import source_digest
from scenarios.matrix import Outcome, Watch, longest_first, outcome_of
from scenarios.worker import Job
from sims.core.errors import GridseamError

CONNECT_S = 10.0
RETRIES = 3
"""How often the job of a process that died is begun again; that of a lost worker: as Dask's `allowed-failures` says."""


def sweep_on(address: str, jobs: Sequence[Job], watch: Watch | None, target: str) -> list[Outcome]:
    """Run all jobs on the cluster whose scheduler listens at `address`; return the outcomes in their order.

    The workers share the file system and have the same gridseam installed. The job of a worker or of a process that
    is lost goes to another one, three times at most. On KeyboardInterrupt what is not done is called off.

    Raises
    ------
    GridseamError
        Dask is not installed, or no scheduler answers at `address`.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as err:
        raise GridseamError("--dask needs Dask: pip install 'gridseam[cluster]'") from err
    from scenarios.crew import Crew, work

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, ImportError) as err:
        raise GridseamError(f"no Dask scheduler answers at '{address}' ({type(err).__name__}: {err})") from err
    topic, outcomes = f"gridseam-{uuid.uuid4().hex}", dict[int, Outcome]()
    with client:
        desk = _Desk(jobs, watch)
        client.subscribe_topic(topic, desk.hear)
        futures: dict[Any, int] = {}
        try:
            client.register_plugin(Crew(target), name=topic)
            for index, job in longest_first(jobs):
                job.out.mkdir(parents=True, exist_ok=True)
                there = replace(job, out=job.out.resolve(), page=job.page.resolve() if job.page else None)
                future = client.submit(
                    work, pickle.dumps(there), index, topic, source_digest(), pure=False, retries=RETRIES,
                    key=f"{topic}-{index}",
                )  # fmt: skip
                futures[future] = index
            for future in as_completed(list(futures), loop=client.loop):
                index = futures[future]
                outcomes[index] = _outcome(jobs[index], future, desk.wall_s(index))
                desk.end(index, outcomes[index])
        finally:
            left = [future for future in futures if not future.done()]
            if left:
                client.cancel(left, force=True)
            client.unregister_worker_plugin(topic)
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
    err = future.exception()
    if err is not None:
        return Outcome(job, None, f"the cluster gave the job up ({type(err).__name__}: {err})", "", wall_s)
    return outcome_of(job, future.result(), wall_s)
