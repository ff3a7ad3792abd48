"""A run seen from another shell while it is computed: how far it is, how fast, and what it shows so far."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from results.runfile import Floats, Run, RunError
from scenarios.durations import parse_duration
from sims.core.clock import MS_PER_H, MS_PER_MIN

RECENT = 64
"""Rows of each kind that the latest figures come from, at most."""
TRIES, PAUSE_S = 20, 0.1
"""How often and how far apart a file is opened again that its writer was just changing."""


@dataclass(frozen=True)
class Progress:
    """What a run file shows at one look.

    Parameters
    ----------
    reached_ms, duration_ms : int
        Simulated time that is on disk, and the run's length; the length is 0 where the file does not state it.
    speed : float
        Simulated seconds a second since the look before; NaN at the first.
    figures : tuple of (name, text)
        Latest values: extremes over all things at the newest rows.
    """

    status: str
    reached_ms: int
    duration_ms: int
    speed: float
    figures: tuple[tuple[str, str], ...]

    @property
    def left_s(self) -> float:
        """Wall time [s] until the run is over at this speed; NaN where it is not known."""
        if not self.duration_ms or not self.speed > 0:
            return float("nan")
        return (self.duration_ms - self.reached_ms) / 1000 / self.speed

    @property
    def text(self) -> str:
        """One line for a terminal."""
        whole = f" of {_span(self.duration_ms)}" if self.duration_ms else ""
        parts = [f"{_span(self.reached_ms)}{whole}"]
        if self.speed > 0 and self.status == "running":
            parts.append(f"{self.speed:,.0f} x real time")
        if np.isfinite(self.left_s) and self.status == "running":
            parts.append(f"{_wall(self.left_s)} left")
        parts += [f"{name} {text}" for name, text in self.figures]
        return " | ".join([*parts] if self.status == "running" else [self.status, *parts])


def _span(t_ms: int) -> str:
    return f"{t_ms // MS_PER_H}:{t_ms % MS_PER_H // MS_PER_MIN:02d} h"


def _wall(t_s: float) -> str:
    return f"{t_s:.0f} s" if t_s < 120 else f"{t_s / 60:.0f} min" if t_s < 7200 else f"{t_s / 3600:.1f} h"


def follow(path: Path, every_s: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[Progress]:
    """Give what the run file at `path` shows, every `every_s`, until the run is complete or aborted.

    The file is read in HDF5's single-writer mode: the run does not wait and cannot be disturbed.

    Raises
    ------
    RunError
        There is no such file, or it is no run.
    """
    before: tuple[float, int] | None = None
    speed = float("nan")
    while True:
        with _opened(path, sleep) as run:
            reached_ms, now_s = reached(run), time.monotonic()
            if before is not None and reached_ms > before[1]:
                speed = (reached_ms - before[1]) / 1000 / (now_s - before[0])
            if before is None or reached_ms > before[1]:
                before = now_s, reached_ms
            found = Progress(run.status, reached_ms, duration_of(run), speed, figures(run))
        yield found
        if found.status != "running":
            return
        sleep(every_s)


def _opened(path: Path, sleep: Callable[[float], None]) -> Run:
    """Open the file, again where its writer was just closing it."""
    for left in range(TRIES, 0, -1):
        try:
            return Run(path)
        except RunError:
            if left == 1 or not path.is_file():
                raise
        sleep(PAUSE_S)
    raise AssertionError("the last try either returns or raises")


def reached(run: Run) -> int:
    """Return up to which simulated time [ms] rows are on disk."""
    ends = [float(t_s[-1]) for kind in run.kinds if len(t_s := run.seconds(kind))]
    return round(max(ends, default=0.0) * 1000)


def duration_of(run: Run) -> int:
    """Return the length of the run [ms] as its scenario states it, 0 where it states none."""
    try:
        return parse_duration(json.loads(str(run.attrs["scenario_json"]))["time"]["duration"])
    except (KeyError, ValueError, TypeError):
        return 0


def figures(run: Run) -> tuple[tuple[str, str], ...]:
    """Return the latest key figures: extremes over all things in the newest rows, and counts so far."""
    found: list[tuple[str, str]] = []
    v_pu = _latest(run, "bus", "vm_pu")
    if v_pu is not None:
        found.append(("U", f"{np.nanmin(v_pu):.3f}..{np.nanmax(v_pu):.3f} pu"))
    loads = [x for kind in ("line", "trafo") if (x := _latest(run, kind, "loading_percent")) is not None]
    if loads:
        found.append(("loading", f"{max(float(np.nanmax(x)) for x in loads):.0f} %"))
    f_hz = _latest(run, "cell", "f_hz")
    if f_hz is not None:
        found.append(("f", f"{np.nanmin(f_hz):.3f}..{np.nanmax(f_hz):.3f} Hz"))
    pairs = [[_latest(run, "feeder", f"{kind}{what}_mw") for what in ("_avail", "")] for kind in ("pv", "wind")]
    lost = [float(np.nansum(offered - given)) for offered, given in pairs if offered is not None and given is not None]
    if lost:
        found.append(("curtailed", f"{max(sum(lost), 0.0):.1f} MW"))
    counts = [(table, len(run.column(table, "t_ms"))) for table in ("actions", "alarms") if table in run.tables]
    return (*found, *((table, str(count)) for table, count in counts if count))


def _latest(run: Run, kind: str, quantity: str) -> Floats | None:
    """Return the newest row that holds any number, None where there is none among the last few."""
    if not run.has(kind, quantity):
        return None
    rows = len(run.seconds(kind))
    recent = run.part(kind, quantity, slice(max(0, rows - RECENT), rows)).astype(float)
    known = np.flatnonzero(~np.isnan(recent).all(axis=1))
    newest_row: Floats | None = recent[known[-1]] if known.size else None
    return newest_row


def newest(folder: Path) -> Path:
    """Return the run file in `folder` that was changed last.

    Raises
    ------
    RunError
        There is none.
    """
    found = [*folder.glob("*-[0-9].h5"), *folder.glob("*/*-[0-9].h5")]
    if not found:
        raise RunError(f"{folder}: holds no run files (<architecture>-<stage>.h5)")
    return max(found, key=lambda path: path.stat().st_mtime)
