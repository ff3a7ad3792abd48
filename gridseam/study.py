"""Runs and comparisons as a user asks for them: from a scenario to run files, key figures and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.cell import finished
from scenarios.load import changed, load
from scenarios.matrix import Outcome, Watch, cores, jobs_of, page_address, sweep
from scenarios.schema import Scenario
from scenarios.shard import Shard
from scenarios.worker import Job
from sims.core.errors import GridseamError, Problem, ScenarioError, nearest

if TYPE_CHECKING:
    from results.compare import Comparison
    from results.kpis.kpi import Kpi
    from results.paired import Differences
    from results.runfile import Run

RUNS = Path("results") / "runs"
Key = tuple[str, int, int]
"""Architecture, stage, seed."""
Pairing = tuple[str, int]


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
    cube, table, report, workbook : Path or None
        ``cube.nc``, ``kpis.csv``, ``report.html`` and ``kpis.xlsx``.
    differences : Differences or None
        Every pairing against the baseline, where there are several seeds or a baseline was named.
    kept : int
        Runs that were finished before and not done again.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    runs: Mapping[Key, Path]
    comparison: Comparison | None = None
    cube: Path | None = None
    table: Path | None = None
    report: Path | None = None
    differences: Differences | None = None
    workbook: Path | None = None
    kept: int = 0

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
    number = max(_numbered(name, parent), default=0) + 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        return folder


def _numbered(name: str, parent: Path) -> list[int]:
    taken = [p.name.removeprefix(f"{name}-") for p in parent.glob(f"{name}-*")]
    return [int(t) for t in taken if t.isdigit()]


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
    return run_pairing(scenario, pairing.architecture, pairing.stage, folder, progress=progress, threads=cores())


def compare(
    scenario: Scenario | str | Path, *, architecture: Sequence[str] | None = None,
    stage: Sequence[int] | None = None, seed: Iterable[int] | None = None, out: str | Path | None = None,
    workers: int | str | None = None, watch: Watch | None = None, resume: bool = False, shard: Shard | None = None,
    kpi: Sequence[str] = (), baseline: Pairing | None = None, pages: bool = True,
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
    workers : int or str, optional
        Processes, as many as processors if left out; or the address of a Dask scheduler. The result does not
        depend on it.
    watch : Watch, optional
        Told how the runs proceed.
    resume : bool
        Keep the finished runs in `out` (the newest folder of this scenario if left out) and run what is
        missing, or was run with other settings, files or another version.
    shard : Shard, optional
        Run only this part of the runs, and leave figures and report to `evaluate` once all parts are done.
    kpi : sequence of str
        Key figures of your own, ``./file.py:function``, beside those that are built in.
    baseline : (architecture, stage), optional
        What the differences are taken against; the first pairing if left out.
    pages : bool
        Write a page for each pairing's first seed, too.

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
    kpis = own_kpis(kpi)
    if baseline is not None:
        check_baseline(checked, baseline)
    seeds = list(dict.fromkeys(seed)) if seed is not None else [checked.seed]
    scenarios = [changed(checked, {"seed": s}) for s in seeds]
    folder = folder_for(checked.name, out, resume)
    outcomes, kept = complete(jobs_of(scenarios, folder, pages), workers, watch, resume, shard)
    if shard:
        return Study(folder, outcomes, runs_of(outcomes), kept=kept)
    return replace(evaluate(folder, runs_of(outcomes), outcomes, kpis, baseline, pages), kept=kept)


def complete(
    jobs: Sequence[Job], workers: int | str | None, watch: Watch | None, resume: bool, shard: Shard | None
) -> tuple[tuple[Outcome, ...], int]:
    """Run jobs, or the part of them that `shard` names and that is not finished yet.

    Returns how each of the part ended, in order, and how many were kept as they were.
    """
    mine = shard.of_these(jobs) if shard else list(jobs)
    kept = {job for job in mine if resume and finished(job.scenario, job.architecture, job.stage, job.path)}
    done = {o.job: o for o in sweep([job for job in mine if job not in kept], workers, watch)}
    return tuple(Outcome(job, job.path) if job in kept else done[job] for job in mine), len(kept)


def runs_of(outcomes: Iterable[Outcome]) -> dict[Key, Path]:
    """Return the run files of those that ended well."""
    return {(o.job.architecture, o.job.stage, o.job.scenario.seed): o.path for o in outcomes if o.path is not None}


def folder_for(name: str, out: str | Path | None, resume: bool = False) -> Path:
    """Return the folder of a comparison, created: `out`, the newest one to resume, or a new one."""
    if out is None and resume and (numbered := _numbered(name, RUNS)):
        return RUNS / f"{name}-{max(numbered)}"
    folder = Path(out) if out else new_folder(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise GridseamError(f"cannot write into {folder}: {err.strerror}") from err
    return folder


def own_kpis(references: Sequence[str]) -> tuple[Kpi, ...]:
    """Return the built-in key figures and those of the user.

    Raises
    ------
    ScenarioError
        A reference names no function, or a figure that there is already.
    """
    from results.kpis.table import KPIS, own_kpi

    found = list(KPIS)
    for reference in references:
        mine = own_kpi(reference)
        if mine.name in {k.name for k in found}:
            text = f"there is a figure '{mine.name}' already; give the function another name"
            raise ScenarioError([Problem("kpi", reference, text)])
        found.append(mine)
    return tuple(found)


def check_baseline(scenario: Scenario, baseline: Pairing) -> None:
    """Refuse a baseline that the matrix of `scenario` does not hold."""
    known = [f"{a},{s}" for a in scenario.matrix.architecture for s in scenario.matrix.stage]
    given = f"{baseline[0]},{baseline[1]}"
    if given not in known:
        text = f"{given} is not among the pairings compared, {' '.join(known)}{nearest(given, known)}"
        raise ScenarioError([Problem("baseline", "", text)])


def evaluate(
    folder: Path, runs: Mapping[Key, Path], outcomes: tuple[Outcome, ...] = (), kpis: Sequence[Kpi] | None = None,
    baseline: Pairing | None = None, pages: bool = True,
) -> Study:
    """Compare run files and write cube, tables, report and the pages of the first seed into `folder`."""
    if not runs:
        return Study(folder, outcomes, runs)
    from results.compare import compare as compare_runs
    from results.cubefile import write_comparison
    from results.kpis.table import KPIS
    from results.paired import paired
    from results.report import write_report

    comparison = compare_runs(runs, KPIS if kpis is None else kpis)
    differences = None
    if comparison.pairings and (baseline or len(comparison.seeds) > 1):
        differences = paired(comparison, baseline)
    files = write_comparison(comparison, folder, differences)
    first: dict[tuple[str, int], Path] = {}
    for (architecture, stage, _), path in runs.items():
        first.setdefault((architecture, stage), path)
    addresses = write_pages(folder, first) if pages else {}
    report = write_report(comparison, first, folder / "report.html", differences=differences, pages=addresses)
    return Study(folder, outcomes, runs, comparison, files.cube, files.table, report, differences, files.workbook)


def write_pages(folder: Path, runs: Mapping[Pairing, Path]) -> dict[Pairing, str]:
    """Write the operator's page of each run into ``<folder>/pages``; return their addresses from `folder`.

    A page that is younger than its run and than gridseam's code stays: the process that ran it has written it.
    """
    from results import runpage

    found: dict[Pairing, str] = {}
    sources = (p for p in Path(runpage.__file__).parent.rglob("*") if p.suffix in (".py", ".html", ".js", ".css"))
    code_s = max(p.stat().st_mtime for p in sources)
    for (architecture, stage), path in runs.items():
        address = page_address(architecture, stage)
        page = folder / address
        if not page.is_file() or page.stat().st_mtime < max(code_s, path.stat().st_mtime):
            runpage.write_page(path, page, back="../report.html")
        found[architecture, stage] = address
    return found


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
