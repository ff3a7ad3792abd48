"""What a user sees while pairings run: one line each and the whole on a terminal, sparse lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from scenarios.matrix import Outcome
from scenarios.worker import Job
from sims.core.clock import MS_PER_H, MS_PER_MIN


class _SimulatedTime(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{clock(int(task.completed))} of {clock(int(task.total or 0))}", style="dim")


def clock(t_ms: int) -> str:
    """Return a simulated time [ms] as hours and minutes."""
    return f"{t_ms // MS_PER_H}:{t_ms % MS_PER_H // MS_PER_MIN:02d} h"


class Display:
    """A `Watch` that shows a sweep of `total` runs on `console`; used as a context manager."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self._done = 0
        self._tasks: dict[Job, TaskID] = {}
        self._whole: TaskID | None = None
        self._simulated: dict[Job, int] = {}
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            _SimulatedTime(), TextColumn("left"), TimeRemainingColumn(), console=console, transient=True,
        ) if console.is_terminal else None  # fmt: skip

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def started(self, job: Job) -> None:
        """Add a bar for the run."""
        if self._bars:
            duration_ms = job.scenario.time.duration_ms
            if self._whole is None:
                self._whole = self._bars.add_task(f"all {self.total} runs", total=self.total * duration_ms)
            self._tasks[job] = self._bars.add_task(f"  {job.architecture} {job.stage}", total=duration_ms)

    def advanced(self, job: Job, now_ms: int) -> None:
        """Move the run's bar and the whole."""
        if self._bars and self._whole is not None:
            self._bars.update(self._tasks[job], completed=now_ms)
            self._simulated[job] = now_ms
            self._bars.update(self._whole, completed=sum(self._simulated.values()))

    def finished(self, outcome: Outcome) -> None:
        """Say in one line how the run ended."""
        job = outcome.job
        self._done += 1
        self.advanced(job, job.scenario.time.duration_ms)
        if self._bars:
            self._bars.remove_task(self._tasks.pop(job))
        how = "done" if outcome.path else "FAILED"
        line = f"[{self._done}/{self.total}] {job.label}: {how} in {outcome.wall_s:.1f} s"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)
