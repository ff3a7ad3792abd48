"""A worker process of a sweep, as seen by whoever gives it jobs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from scenarios.worker import Advance, Done, Failed, Job
from sims.core.leash import SERIAL, how_it_ended

ROOT = Path(__file__).resolve().parent.parent
GRACE_S = 10.0
"""How long a process that is told to end may take to close its run file."""


class Process:
    """A fresh interpreter that runs one job after the other and ends with whoever started it.

    Parameters
    ----------
    target : str
        ``module:function`` that runs one pairing.

    Attributes
    ----------
    alive : bool
        It takes another job.
    pipe : Connection
        Ready to be read where there is something to hear.
    """

    def __init__(self, target: str) -> None:
        self.alive = True
        self.pipe: Connection[Any, Any]
        self.pipe, theirs = Pipe()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        start = "import sys; sys.path[:] = {path!r}; from scenarios.worker import serve; serve({fd})"
        path = [str(ROOT), *(p for p in sys.path if p != str(ROOT))]
        self._process = subprocess.Popen(
            [sys.executable, "-c", start.format(path=path, fd=theirs.fileno())],
            pass_fds=[theirs.fileno()], env=os.environ | SERIAL, process_group=0,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        theirs.close()
        self._send(pickle.dumps(target))

    def give(self, job: Job | bytes) -> None:
        """Give it a job, pickled or not."""
        self._reached_ms = 0
        self._send(pickle.dumps(job) if isinstance(job, Job) else job)

    def _send(self, pickled: bytes) -> None:
        try:
            self.pipe.send_bytes(pickled)
        except OSError:
            self.alive = False  # hearing tells why

    def hear(self) -> Advance | Done | Failed:
        """Wait for what it says next; that its life ended is a failure, too."""
        try:
            said: Advance | Done | Failed = self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            return Failed(self._last_words(), "")
        if isinstance(said, Advance):
            self._reached_ms = said.now_ms
        return said

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode(errors="replace").strip().splitlines()
        said = f"; its last words: {lines[-1].strip()}" if lines else ""
        reached_s, how = self._reached_ms / 1000, how_it_ended(code)
        return f"the worker process died after {reached_s:.0f} s of simulated time ({how}){said}"

    def end(self) -> None:
        """Let it finish by itself."""
        self._send(pickle.dumps(None))
        self.pipe.close()
        self._process.wait()
        self._log.close()

    @staticmethod
    def stop(processes: Collection[Process]) -> None:
        """End processes in the midst of their work: they may close their files, but not take long over it."""
        for process in processes:
            process._process.terminate()
        until_s = time.monotonic() + GRACE_S
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process._process.wait(max(0.0, until_s - time.monotonic()))
            process._process.kill()
