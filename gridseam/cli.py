"""The command line: run, compare, validate, list, schema, new, dms, and the commands on files."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridseam.dms import app as dms_app
from gridseam.field_commands import field
from gridseam.file_commands import BaselineOption, KpiOption, PagesOption, files
from gridseam.grid_commands import grid
from gridseam.new_commands import new
from gridseam.shown import BAD_INPUT, CANCELLED, FAILED, MISSED, OK, show, tell_failures

if TYPE_CHECKING:
    from gridseam.variation import Variation
    from scenarios.schema import Scenario

app = typer.Typer(
    help="The same grids, the same day, the same disturbances, under every pairing of control architecture and "
    "DSO responsibility stage: who kept the system secure, how well, at what cost.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip

ScenarioArgument = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped scenario.")]
VariantOption = Annotated[str | None, typer.Option(help="One of the scenario's variants.")]
OverrideOption = Annotated[
    list[str] | None, typer.Option("-x", metavar="KEY=VALUE", help="Change a value, such as -x time.duration='2 h'.")
]
JobsOption = Annotated[int | None, typer.Option("-j", min=1, help="Worker processes. [default: all processors]")]
DaskOption = Annotated[
    str | None, typer.Option("--dask", metavar="ADDRESS", help="Run on the Dask cluster with this scheduler.")
]
ShardOption = Annotated[
    str | None, typer.Option(metavar="I/N", help="Run only the I-th of N parts, for job arrays.")
]
def _trusting(yes: bool) -> bool:
    """Let the scenarios of this command name code by module."""
    if yes:
        from scenarios.trust import trust_code

        trust_code()
    return yes


TrustOption = Annotated[
    bool,
    typer.Option("--trust-code", callback=_trusting, is_eager=True,
                 help="Run code that the scenario names by module (package.module:Class), wherever it lies."),
]  # fmt: skip
OutOption = Annotated[Path | None, typer.Option(help="Folder for the results. [default: a new one in results/runs]")]


def main() -> None:
    """Run the command line; every error meant for the user ends in a message and an exit code."""
    from sims.core.errors import GridseamError, ModelError

    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some in every installed package is slow
    gc.set_threshold(50_000, 20, 20)  # what is imported stays: going through it again and again is a tenth of the start
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end: as with Ctrl-C, files are closed
    try:
        app()
    except KeyboardInterrupt:
        _fail("cancelled", CANCELLED)
    except ModelError as err:
        _fail(f"the run failed: {err}", FAILED)
    except GridseamError as err:
        _fail(str(err), BAD_INPUT)


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"{text}\n")
    raise SystemExit(code)


@app.command()
def run(
    scenario: ScenarioArgument,
    architecture: Annotated[str | None, typer.Option(help="local | centralized | distributed")] = None,
    stage: Annotated[int | None, typer.Option(help="1 to 4")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all random numbers.")] = None,
    variant: VariantOption = None,
    out: OutOption = None,
    x: OverrideOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Run one pairing and write its run file."""
    from rich.console import Console

    from gridseam.axes import axes as read_axes
    from gridseam.progress import Display
    from gridseam.study import drop_if_empty, folder_for
    from scenarios.load import load
    from scenarios.matrix import cores, sweep
    from scenarios.worker import Job

    axes = read_axes(x)
    several = [key for key, values in axes.items() if len(values) > 1]
    if several:
        raise typer.BadParameter(f"{several[0]} has several values; `gridseam compare` runs them all")
    overrides = {key: values[0] for key, values in axes.items()}
    given = {"architecture": architecture, "stage": stage, "seed": seed}
    overrides |= {key: value for key, value in given.items() if value is not None}
    checked = load(scenario, variant, overrides)
    folder = folder_for(checked.name, out)
    job = Job(checked, checked.pairing.architecture, checked.pairing.stage, folder, threads=cores())
    with Display(Console(stderr=True), 1) as display:
        outcome = sweep([job], 1, display)[0]
    if outcome.path is None:
        code = tell_failures([outcome])
        drop_if_empty(folder)
        raise typer.Exit(code)
    typer.echo(outcome.path)


@app.command()
def compare(
    scenario: ScenarioArgument,
    x: Annotated[
        list[str] | None,
        typer.Option(
            "-x", metavar="KEY=VALUE,...",
            help="What to run or change: architecture=local,centralized, stage=1,2, seed=1..10, or any key of the "
            "scenario; several values of other keys are compared at each of them.",
        ),
    ] = None,
    jobs: JobsOption = None,
    dask: DaskOption = None,
    out: OutOption = None,
    variant: VariantOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished runs, of --out or of the newest folder; run the rest.")
    ] = False,
    shard: ShardOption = None,
    kpi: KpiOption = None,
    baseline: BaselineOption = None,
    pages: PagesOption = True,
    trust_code: TrustOption = False,
) -> None:  # fmt: skip
    """Run all pairings of a scenario, print the key figures, write cube and report."""
    from rich.console import Console

    from gridseam import study
    from gridseam.axes import axes, pairing
    from gridseam.progress import Display
    from gridseam.variation import points_of, vary_at
    from scenarios.load import changed
    from scenarios.shard import Shard

    asked = axes(x)
    seeds = asked.pop("seed", None)
    fixed = {f"matrix.{key}": asked.pop(key) for key in ("architecture", "stage") if key in asked}
    fixed |= {key: asked.pop(key)[0] for key in list(asked) if len(asked[key]) == 1}
    part = Shard.read(shard) if shard else None
    against = pairing(baseline) if baseline else None
    points = points_of(scenario, asked, variant, fixed)
    for _, checked in points:
        for seed in seeds or ():
            changed(checked, {"seed": seed})
    matrix = points[0][1].matrix
    count = len(points) * len(matrix.architecture) * len(matrix.stage) * len(set(seeds or [0]))
    count = len(part.of_these(range(count))) if part else count
    workers = _workers(jobs, dask)
    done: study.Study | Variation
    with Display(Console(stderr=True), count) as display:
        if asked:
            done = vary_at(points, seed=seeds, out=out, workers=workers, watch=display, resume=resume, shard=part,
                           kpi=kpi or (), baseline=against, pages=pages)  # fmt: skip
        else:
            done = study.compare(points[0][1], seed=seeds, out=out, workers=workers, watch=display, resume=resume,
                                 shard=part, kpi=kpi or (), baseline=against, pages=pages)  # fmt: skip
    if done.kept:
        typer.echo(f"{done.kept} of {count} runs were finished before and kept")
    show(done)
    if part:
        typer.echo(f"part {part.number} of {part.of} is done; once all are: gridseam report {done.folder}")
    failed = [outcome for outcome in done.outcomes if outcome.path is None]
    if failed:
        code = tell_failures(failed)
        if len(failed) < len(done.outcomes):
            sys.stderr.write(f"{len(failed)} failed; the results of the others are in {done.folder}\n")
        study.drop_if_empty(done.folder)
        raise typer.Exit(code)


def _workers(jobs: int | None, dask: str | None) -> int | str | None:
    if jobs is not None and dask is not None:
        raise typer.BadParameter("-j counts processes of this machine; leave it out with --dask")
    return jobs if dask is None else dask


@app.command("test")
def suite(
    paths: Annotated[list[str], typer.Argument(metavar="PATHS...", help="Scenarios, or folders of them.")],
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts as JUnit XML.")] = None,
    jobs: JobsOption = None,
    dask: DaskOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for run files. [default: results/runs/suite]")] = None,
    variant: VariantOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep finished runs and run the rest.")] = False,
    shard: ShardOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Run scenarios and hold the key figures against what they expect.

    Exit code 0: all is as expected; 1: an expectation is missed; 2: the input is refused; 3: a run failed.
    """
    from rich.console import Console

    from gridseam.junit import write_junit
    from gridseam.progress import Display
    from gridseam.shown import show_suite
    from gridseam.suite import collect, run_suite
    from scenarios.shard import Shard

    part = Shard.read(shard) if shard else None
    cases = collect(paths, variant)
    mine = part.of_these(cases) if part else cases
    with Display(Console(stderr=True), sum(len(case.jobs(Path())) for case in mine)) as display:
        results = run_suite(mine, out, workers=_workers(jobs, dask), watch=display, resume=resume)
    show_suite(results)
    if junit:
        typer.echo(write_junit(results, junit))
    failed = [outcome for result in results for outcome in result.failed]
    if failed:
        raise typer.Exit(tell_failures(failed))
    raise typer.Exit(MISSED if any(result.missed for result in results) else OK)


@app.command()
def validate(
    scenario: ScenarioArgument,
    x: OverrideOption = None,
    trust_code: TrustOption = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Load the grids, profiles and controllers that it names, too.")
    ] = False,
) -> None:
    """Check a scenario and all its variants without running anything."""
    from gridseam.axes import axes
    from scenarios.load import load, variants
    from sims.core.errors import ScenarioError

    overrides = {key: values[0] for key, values in axes(x).items()}
    problems = []
    for variant in (None, *variants(scenario)):
        try:
            checked = load(scenario, variant, overrides)
            if deep:
                _load_named(checked)
        except ScenarioError as err:
            problems += [p for p in err.problems if p not in problems]
        else:
            typer.echo(f"{checked.name}{f', variant {variant}' if variant else ''}: {_summary(checked)}")
    if problems:
        raise ScenarioError(problems)


def _load_named(checked: Scenario) -> None:
    """Load all that a scenario names: grids, profiles, placed devices, controllers, own key figures."""
    from controllers.loading import load_class
    from results.kpis.table import own_kpi
    from scenarios.ground import ground
    from scenarios.series import profiles

    profiles(checked)
    for own in checked.controllers:
        load_class(own.use, checked.folder)
    for name in checked.expect:
        if ":" in name:
            own_kpi(name, checked.folder)
    ground(checked)


def _summary(checked: Any) -> str:
    from scenarios.durations import format_duration

    return (
        f"{len(checked.feeders())} feeders behind {len(checked.interfaces())} interfaces of {len(checked.dsos)} DSOs, "
        f"{format_duration(checked.time.duration_ms)} from {checked.time.start:%Y-%m-%d %H:%M} in steps of "
        f"{format_duration(checked.time.step_ms)}, {len(checked.disturbances)} disturbances, "
        f"{len(checked.matrix.architecture) * len(checked.matrix.stage)} pairings"
    )


@app.command("list")
def list_() -> None:
    """List the shipped scenarios, their variants, and what a scenario can name."""
    from scenarios import shipped
    from scenarios.load import load, variants
    from scenarios.schema_grid import SHIPPED_GRIDS
    from scenarios.schema_operation import ARCHITECTURES, DUTIES, STAGES

    for name in shipped.library_names():
        typer.echo(f"{name}: {load(name).title}")
        typer.echo(f"  variants: {', '.join(variants(name)) or 'none'}")
    for label, names in (
        ("architectures", ARCHITECTURES), ("stages", STAGES), ("duties", DUTIES),
        ("transmission grids", shipped.transmission_names()), ("distribution grids", SHIPPED_GRIDS),
        ("profiles", shipped.profile_names()),
    ):  # fmt: skip
        typer.echo(f"{label}: {', '.join(map(str, names))}")


@app.command()
def schema() -> None:
    """Print the JSON schema of a scenario, for editors that complete and check YAML."""
    import json

    from scenarios.schema import Scenario

    typer.echo(json.dumps(Scenario.model_json_schema(), indent=2))


app.add_typer(files)
app.add_typer(field)
app.add_typer(dms_app, name="dms")
app.add_typer(grid, name="grid")
app.add_typer(new, name="new")


if __name__ == "__main__":
    main()
