"""Runs and comparisons as a user asks for them: from a scenario to run files, key figures and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.load import changed, load
from scenarios.matrix import Outcome, Watch, jobs_of, sweep
from scenarios.schema import Scenario
from sims.core.errors import GridseamError

if TYPE_CHECKING:
    from results.compare import Comparison
    from results.runfile import Run

RUNS = Path("results") / "runs"
Key = tuple[str, int, int]
"""Architecture, stage, seed."""


@dataclass(frozen=True)
class Study:
    """What a comparison leaves behind.

    Parameters
    ----------
    folder : Path
        Holds everything below.
    outcomes : tuple of Outcome
        How each run ended.
    runs : mapping of (architecture, stage, seed) to Path
        The run files of those that ended well.
    comparison : Comparison or None
        The key figures; None where no run ended well.
    cube, table, report : Path or None
        ``cube.nc``, ``kpis.csv`` and ``report.html``.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    runs: Mapping[Key, Path]
    comparison: Comparison | None = None
    cube: Path | None = None
    table: Path | None = None
    report: Path | None = None

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Return the outcomes of the runs that failed."""
        return tuple(o for o in self.outcomes if o.path is None)

    def open(self, architecture: str, stage: int, seed: int | None = None) -> Run:
        """Return one of the runs.

        Raises
        ------
        GridseamError
            There is no such run.
        """
        for key, path in self.runs.items():
            if key[:2] == (architecture, stage) and seed in (None, key[2]):
                return _open(path)
        known = ", ".join(f"{a} {s} (seed {n})" for a, s, n in self.runs) or "none"
        raise GridseamError(f"there is no run of {architecture}, stage {stage}; there are: {known}")


def new_folder(name: str, parent: Path | None = None) -> Path:
    """Create and return ``<parent>/<name>-<n>`` with the first number that comes after all taken ones."""
    parent = parent or RUNS
    parent.mkdir(parents=True, exist_ok=True)
    taken = [p.name.removeprefix(f"{name}-") for p in parent.glob(f"{name}-*")]
    number = max((int(t) for t in taken if t.isdigit()), default=0) + 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        return folder


def drop_if_empty(folder: Path) -> None:
    """Remove `folder` and what is empty in it; whoever was refused leaves nothing behind."""
    for place in [*folder.glob("*/"), folder]:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def run(
    scenario: Scenario | str | Path, *, architecture: str | None = None, stage: int | None = None,
    seed: int | None = None, out: str | Path | None = None, progress: Callable[[int], None] | None = None,
) -> Run:
    """Run one pairing in this process and return its run file, opened.

    Parameters
    ----------
    scenario : Scenario, or a name or path for `load`
    architecture, stage, seed : optional
        In place of the scenario's own.
    out : path, optional
        Folder for the run file; a new one below ``results/runs`` if left out.
    progress : callable, optional
        Called with the simulated time [ms].

    Raises
    ------
    ScenarioError
        The scenario is refused.
    ModelError
        The run failed.
    """
    overrides = {"architecture": architecture, "stage": stage, "seed": seed}
    checked = _changed(scenario, {key: value for key, value in overrides.items() if value is not None})
    return _open(run_file(checked, out, progress))


def run_file(
    scenario: Scenario, out: str | Path | None = None, progress: Callable[[int], None] | None = None
) -> Path:
    """Run the pairing of `scenario` in this process and return the path of its run file."""
    from scenarios.run import run_pairing

    folder = Path(out) if out else new_folder(scenario.name)
    folder.mkdir(parents=True, exist_ok=True)
    pairing = scenario.pairing
    return run_pairing(scenario, pairing.architecture, pairing.stage, folder, progress=progress)


def compare(
    scenario: Scenario | str | Path, *, architecture: Sequence[str] | None = None,
    stage: Sequence[int] | None = None, seed: Iterable[int] | None = None, out: str | Path | None = None,
    workers: int | None = None, watch: Watch | None = None,
) -> Study:
    """Run all pairings of the scenario's matrix, compute the key figures, write the report.

    Parameters
    ----------
    scenario : Scenario, or a name or path for `load`
    architecture, stage : sequences, optional
        In place of the scenario's matrix.
    seed : sequence of int, optional
        Run everything once for each of these seeds.
    out : path, optional
        Folder for all files; a new one below ``results/runs`` if left out.
    workers : int, optional
        Processes; as many as processors if left out. The result does not depend on it.
    watch : Watch, optional
        Told how the runs proceed.

    Raises
    ------
    ScenarioError
        The scenario is refused. A run that fails raises nothing: see `Study.failed`.
    """
    matrix: dict[str, Any] = {}
    if architecture is not None:
        matrix["matrix.architecture"] = list(architecture)
    if stage is not None:
        matrix["matrix.stage"] = list(stage)
    checked = _changed(scenario, matrix)
    seeds = list(dict.fromkeys(seed)) if seed is not None else [checked.seed]
    scenarios = [changed(checked, {"seed": s}) for s in seeds]
    folder = Path(out) if out else new_folder(checked.name)
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = sweep(jobs_of(scenarios, folder), workers, watch)
    runs = {
        (o.job.architecture, o.job.stage, o.job.scenario.seed): o.path for o in outcomes if o.path is not None
    }
    return evaluate(folder, runs, tuple(outcomes))


def evaluate(folder: Path, runs: Mapping[Key, Path], outcomes: tuple[Outcome, ...] = ()) -> Study:
    """Compare run files and write cube, table and report into `folder`."""
    if not runs:
        return Study(folder, outcomes, runs)
    from results.compare import compare as compare_runs
    from results.report import write_report

    comparison = compare_runs(runs)
    cube, table = comparison.write(folder)
    first: dict[tuple[str, int], Path] = {}
    for (architecture, stage, _), path in runs.items():
        first.setdefault((architecture, stage), path)
    report = write_report(comparison, first, folder / "report.html")
    return Study(folder, outcomes, runs, comparison, cube, table, report)


def _open(path: Path) -> Run:
    from results.runfile import Run

    return Run(path)


def _changed(scenario: Scenario | str | Path, overrides: Mapping[str, Any]) -> Scenario:
    if isinstance(scenario, Scenario):
        return changed(scenario, overrides)
    return load(scenario, overrides=overrides)


def runs_in(folder: str | Path) -> dict[Key, Path]:
    """Return the run files that a comparison has left in `folder`, by architecture, stage and seed."""
    found: dict[Key, Path] = {}
    for path in sorted([*Path(folder).glob("*-[0-9].h5"), *Path(folder).glob("seed-*/*-[0-9].h5")]):
        architecture, _, stage = path.stem.rpartition("-")
        with _open(path) as opened:
            seed = int(opened.attrs.get("seed", 0))
        found[architecture, int(stage), seed] = path
    return found
