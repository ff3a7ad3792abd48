"""One process of a sweep: takes pairings off its pipe, runs them, reports time, success or failure."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from controllers.watchdog import may_end_process
from sims.core.errors import GridError, GridseamError, ScenarioError

if TYPE_CHECKING:
    from scenarios.schema import Scenario

RUN = "scenarios.run:run_pairing"
"""What runs one pairing."""
REPORT_EVERY_S = 0.2
STAGE_EFFORT = {"local": 0.05, "centralized": 0.55, "distributed": 1.0}
"""How much longer a run takes with each stage of an architecture, as measured, in runs without any control."""


@dataclass(frozen=True, eq=False)
class Job:
    """One run of a sweep: a scenario under one pairing, written into the folder `out`.

    `page` is the operator's page to write with it, none where it is empty; `back` leads from it to the report.
    `threads` is how many cores it may use where it runs.
    """

    scenario: Scenario
    architecture: str
    stage: int
    out: Path
    page: Path | None = None
    back: str = ""
    threads: int = 1

    @property
    def path(self) -> Path:
        """The run file it writes."""
        return self.out / f"{self.architecture}-{self.stage}.h5"

    @property
    def effort(self) -> float:
        """How long it will take beside the other pairings of its scenario [1]."""
        return 1.0 + STAGE_EFFORT.get(self.architecture, 1.0) * self.stage

    @property
    def label(self) -> str:
        """The pairing in words, with the seed."""
        return f"{self.architecture}, stage {self.stage} (seed {self.scenario.seed})"


@dataclass(frozen=True)
class Advance:
    """The run has reached `now_ms`."""

    now_ms: int


@dataclass(frozen=True)
class Done:
    """The run is complete; its file is at `path`."""

    path: Path


@dataclass(frozen=True)
class Failed:
    """The run failed: `text` names simulator and time; `trace` is for whoever looks for the cause.

    `refused` tells that the input was at fault, which only showed when the grids had been loaded.
    """

    text: str
    trace: str
    refused: bool = False


def serve(fd: int) -> None:
    """Run jobs from the pipe `fd` until it closes; `None` ends the worker."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is told to end closes its file
    may_end_process()
    pipe: Connection[Any, Any] = Connection(fd)
    target: str = pipe.recv()
    todo: SimpleQueue[Job | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, todo), daemon=True).start()
    try:
        while (job := todo.get()) is not None:
            pipe.send(perform(job, target, pipe.send))
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGTERM) from None


def _receive(pipe: Connection[Any, Any], todo: SimpleQueue[Job | None]) -> None:
    """Take jobs off the pipe while others run, so that the process ends with whoever asked, whatever it is at.

    Its job may be given to another process then, which wants to write the same file.
    """
    job: Job | None
    try:
        while (job := pipe.recv()) is not None:
            todo.put(job)
    except (EOFError, OSError):
        os._exit(1)
    todo.put(None)


def _write_page(path: Path, page: Path, back: str) -> None:
    """Write the page here, beside other runs; one that fails is written again, and told, with the report."""
    from results.runpage import write_page

    with suppress(GridseamError):
        write_page(path, page, back)


def perform(job: Job, target: str, tell: Callable[[Advance], None]) -> Done | Failed:
    """Run one job and return how it ended; `tell` gets the simulated time now and then."""
    reached_ms, told_s = 0, 0.0

    def progress(now_ms: int) -> None:
        nonlocal reached_ms, told_s
        reached_ms = int(now_ms)
        if (now_s := time.monotonic()) - told_s >= REPORT_EVERY_S:
            told_s = now_s
            tell(Advance(reached_ms))

    module, _, name = target.partition(":")
    try:
        run = getattr(importlib.import_module(module), name)
        path = run(job.scenario, job.architecture, job.stage, job.out, progress=progress, threads=job.threads)
        if job.page is not None:
            _write_page(path, job.page, job.back)
    except GridseamError as err:
        return Failed(str(err), traceback.format_exc(), refused=isinstance(err, ScenarioError | GridError))
    except (BrokenPipeError, ConnectionResetError):
        raise SystemExit(1) from None  # whoever asked is gone
    except Exception as err:  # noqa: BLE001  one pairing's failure must not take the others along
        text = f"{type(err).__name__} after {reached_ms / 1000:.0f} s of simulated time: {err}"
        return Failed(text, traceback.format_exc())
    return Done(Path(path))
