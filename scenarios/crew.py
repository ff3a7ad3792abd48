"""What works inside a worker of a Dask cluster: the same processes that a sweep on one machine uses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from distributed import WorkerPlugin, get_worker

from scenarios.cell import source_digest
from scenarios.process import Process
from scenarios.worker import Advance, Done, Failed


class Lost(Exception):  # noqa: N818  not an error of the run's
    """A process died with its job, which is to be begun again elsewhere."""


class Crew(WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """The processes of one sweep on one worker of the cluster: as many as jobs run at once; they end with the sweep.

    A run has an interpreter of its own there, too: it is not sampled by Dask's profiler, shares no lock with Dask's
    event loop, is watched as any other run, and can be ended.

    Parameters
    ----------
    target : str
        ``module:function`` that runs one pairing.
    """

    def __init__(self, target: str) -> None:
        self.target = target

    def setup(self, worker: Any) -> None:
        """Begin without any process."""
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._over = False
        self._lock = threading.Lock()  # each thread of the worker has a job of its own

    async def teardown(self, worker: Any) -> None:
        """End all processes; what is not finished is called off."""
        with self._lock:
            self._over = True
            idle, busy = self._idle, list(self._busy)
        await asyncio.to_thread(Process.stop, busy)
        for process in idle:
            process.end()

    def run(self, job: bytes, tell: Callable[[Advance], None]) -> Done | Failed:
        """Run one job, pickled, on a process that is free.

        Raises
        ------
        Lost
            The process died.
        """
        with self._lock:
            process = self._idle.pop() if self._idle else Process(self.target)
            self._busy.add(process)
        try:
            process.give(job)
            while isinstance(said := process.hear(), Advance):
                tell(said)
        finally:
            with self._lock:
                self._busy.discard(process)
                stays = process.alive and not self._over
                if stays:
                    self._idle.append(process)
            if not stays:
                process.end()
        if not process.alive:
            raise Lost(said.text if isinstance(said, Failed) else "")
        return said


def work(job: bytes, index: int, topic: str, digest: str) -> Done | Failed:
    """Run one job inside a worker of the cluster, with the crew registered as `topic`."""
    if source_digest() != digest:
        return Failed("the worker has another gridseam than the one that asks; install the same on both", "", True)
    worker = get_worker()

    def tell(advance: Advance) -> None:
        worker.log_event(topic, {"index": index, "now_ms": advance.now_ms})

    tell(Advance(0))
    crew: Crew = worker.plugins[topic]
    return crew.run(job, tell)
