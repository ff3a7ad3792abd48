"""Scenarios as tests: what they expect is run, judged and told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridseam.study import RUNS, complete
from scenarios.judgement import Check, Verdict, checks, judge
from scenarios.load import load
from scenarios.matrix import Outcome, Watch
from scenarios.schema import Scenario
from scenarios.shard import Shard
from scenarios.worker import Job
from sims.core.errors import Problem, ScenarioError

if TYPE_CHECKING:
    from results.kpis.kpi import Kpi

Pairing = tuple[str, int]


@dataclass(frozen=True)
class Case:
    """One scenario of a suite with what it expects, and the pairings that this takes."""

    path: Path
    scenario: Scenario
    checks: tuple[Check, ...]

    @property
    def name(self) -> str:
        """Return the name of the scenario, with its variant."""
        variant = self.scenario.variant
        return f"{self.scenario.name}.{variant}" if variant else self.scenario.name

    def jobs(self, out: Path) -> list[Job]:
        """Return the runs that the checks need."""
        needed = dict.fromkeys(itertools.chain(*(check.needs for check in self.checks)))
        return [Job(self.scenario, architecture, stage, out / self.name) for architecture, stage in needed]


@dataclass(frozen=True)
class Result:
    """How a case ended: a verdict on each check whose runs ended well, and the runs that failed."""

    case: Case
    verdicts: tuple[Verdict, ...]
    failed: tuple[Outcome, ...]
    wall_s: float

    def failure(self, check: Check) -> Outcome | None:
        """Return the failed run that leaves `check` without a verdict, None where there is none."""
        return next((o for o in self.failed if (o.job.architecture, o.job.stage) in check.needs), None)

    @property
    def missed(self) -> tuple[Verdict, ...]:
        """Return the verdicts on expectations that were not met."""
        return tuple(v for v in self.verdicts if not v.passed)


def collect(paths: Sequence[str | Path], variant: str | None = None) -> list[Case]:
    """Return the scenarios at `paths` that expect something; folders are searched for YAML files.

    Raises
    ------
    ScenarioError
        A path is not there, a scenario is refused, or nothing anywhere expects anything; all are listed.
    """
    found: list[Case] = []
    problems: list[Problem] = []
    for given in paths:
        folder = Path(given)
        files = sorted(p for e in ("*.yaml", "*.yml") for p in folder.rglob(e)) if folder.is_dir() else [given]
        for file in files:
            try:
                case = case_of(file, variant)
            except ScenarioError as err:
                problems += [p for p in err.problems if p not in problems]
                continue
            if case.checks:
                found.append(case)
    names = [case.name for case in found]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        where = ", ".join(str(c.path) for c in found if c.name == name)
        problems.append(Problem(where, "name", f"several scenarios are named '{name}'; their runs would mix"))
    if not found and not problems:
        where = ", ".join(map(str, paths))
        problems.append(Problem(where, "expect", "no scenario expects anything; give one an expect: section"))
    if problems:
        raise ScenarioError(problems)
    return found


def case_of(path: str | Path, variant: str | None = None) -> Case:
    """Return the case of one scenario."""
    scenario = load(path, variant)
    return Case(Path(path), scenario, tuple(checks(scenario)))


def run_suite(
    cases: Sequence[Case], out: str | Path | None = None, *, workers: int | str | None = None,
    watch: Watch | None = None, resume: bool = False, shard: Shard | None = None,
) -> list[Result]:
    """Run what the cases need, all on one pool, and judge them.

    Parameters
    ----------
    out : path, optional
        Folder for the run files; ``results/runs/suite`` if left out.
    shard : Shard, optional
        Only this part of the cases.
    """
    cases = shard.of_these(cases) if shard else cases
    out = Path(out) if out else RUNS / "suite"
    for case in cases:
        (out / case.name).mkdir(parents=True, exist_ok=True)
    jobs = {case.name: case.jobs(out) for case in cases}
    outcomes, _ = complete(list(itertools.chain(*jobs.values())), workers, watch, resume, None)
    by_job = {outcome.job: outcome for outcome in outcomes}
    return [_result(case, [by_job[job] for job in jobs[case.name]]) for case in cases]


def _result(case: Case, outcomes: Sequence[Outcome]) -> Result:
    values = {(o.job.architecture, o.job.stage): _figures(case, o.path) for o in outcomes if o.path is not None}
    judged = [check for check in case.checks if all(pairing in values for pairing in check.needs)]
    verdicts = tuple(judge(case.scenario, judged, values))
    for outcome in outcomes:
        if outcome.path is not None:
            _note(outcome, verdicts)
    failed = tuple(o for o in outcomes if o.path is None)
    return Result(case, verdicts, failed, sum(o.wall_s for o in outcomes))


def _kpis(case: Case) -> tuple[Kpi, ...]:
    from results.kpis.table import KPIS, own_kpi

    return (*KPIS, *(own_kpi(name, case.scenario.folder) for name in case.scenario.expect if ":" in name))


def _figures(case: Case, path: Path) -> Mapping[str, float]:
    from results.kpis.table import compute
    from results.runfile import Run

    wanted = {check.kpi.rpartition(":")[2] for check in case.checks}
    with Run(path) as run:
        return compute(run, [k for k in _kpis(case) if k.name in wanted])


def _note(outcome: Outcome, verdicts: Sequence[Verdict]) -> None:
    """Write bounds on single values and whether they were met into the run file's ``/kpi``."""
    from results.writer import write_kpis

    limits: dict[str, tuple[float, bool]] = {}
    for v in verdicts:
        one, pairing = v.check.expected, (outcome.job.architecture, outcome.job.stage)
        bound = one.max if one.max is not None else one.min
        plain = v.check.reference is None and not one.baseline and ":" not in v.check.kpi
        if plain and bound is not None and v.check.pairing == pairing:
            passed = v.passed and limits.get(v.check.kpi, (0.0, True))[1]
            limits[v.check.kpi] = (bound, passed)
    if limits and outcome.path is not None:
        write_kpis(outcome.path, {}, limits)
