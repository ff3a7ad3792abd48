"""The command line: run, compare, validate, list, schema, info, report."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gridseam.study import Study
    from scenarios.matrix import Outcome

OK, BAD_INPUT, FAILED, CANCELLED = 0, 2, 3, 130

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
OutOption = Annotated[Path | None, typer.Option(help="Folder for the results. [default: a new one in results/runs]")]


def main() -> None:
    """Run the command line; every error meant for the user ends in a message and an exit code."""
    from sims.core.errors import GridseamError, ModelError

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
) -> None:
    """Run one pairing and write its run file."""
    from rich.console import Console

    from gridseam.progress import Display
    from gridseam.study import drop_if_empty, new_folder
    from scenarios.load import load
    from scenarios.matrix import sweep
    from scenarios.worker import Job

    axes = _axes(x)
    several = [key for key, values in axes.items() if len(values) > 1]
    if several:
        raise typer.BadParameter(f"{several[0]} has several values; `gridseam compare` runs them all")
    overrides = {key: values[0] for key, values in axes.items()}
    given = {"architecture": architecture, "stage": stage, "seed": seed}
    overrides |= {key: value for key, value in given.items() if value is not None}
    checked = load(scenario, variant, overrides)
    folder = out or new_folder(checked.name)
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(checked, checked.pairing.architecture, checked.pairing.stage, folder)
    with Display(Console(stderr=True), 1) as display:
        outcome = sweep([job], 1, display)[0]
    if outcome.path is None:
        code = _tell_failures([outcome])
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
            help="What to run or change: architecture=local,centralized, stage=1,2, seed=1,2,3, or any key of the "
            "scenario; several values of other keys give a comparison each.",
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option("-j", min=1, help="Worker processes. [default: all processors]")] = None,
    out: OutOption = None,
    variant: VariantOption = None,
) -> None:  # fmt: skip
    """Run all pairings of a scenario, print the key figures, write cube and report."""
    from gridseam import study
    from scenarios.load import load

    axes = _axes(x)
    seeds = axes.pop("seed", None)
    fixed: dict[str, Any] = {}
    for key in ("architecture", "stage"):
        if key in axes:
            fixed[f"matrix.{key}"] = axes.pop(key)
    swept = [key for key, values in axes.items() if len(values) > 1]
    plans = []
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        label = ",".join(f"{key}={chosen[key]}" for key in swept)
        plans.append((label, load(scenario, variant, fixed | chosen)))
        for seed in seeds or ():
            load(scenario, variant, fixed | chosen | {"seed": seed})
    folder = out or study.new_folder(plans[0][1].name)
    studies = [_study(checked, folder / _folder_name(label), label, seeds, jobs) for label, checked in plans]
    failed = [outcome for one in studies for outcome in one.failed]
    if failed:
        code = _tell_failures(failed)
        if any(one.runs for one in studies):
            sys.stderr.write(f"{len(failed)} failed; the results of the others are in {folder}\n")
        study.drop_if_empty(folder)
        raise typer.Exit(code)


def _study(checked: Any, folder: Path, label: str, seeds: Sequence[int] | None, jobs: int | None) -> Study:
    from rich.console import Console

    from gridseam import study
    from gridseam.progress import Display

    count = len(checked.matrix.architecture) * len(checked.matrix.stage) * len(seeds or [0])
    if label:
        typer.echo(label)
    with Display(Console(stderr=True), count) as display:
        done = study.compare(checked, seed=seeds, out=folder, workers=jobs, watch=display)
    _show(done)
    return done


def _show(done: Study) -> None:
    from rich.console import Console

    from results.compare import terminal_table

    if done.comparison is None:
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(terminal_table(done.comparison))
    for path in (done.cube, done.table, done.report):
        console.print(str(path), highlight=False, markup=False, soft_wrap=True)


def _tell_failures(failed: Sequence[Outcome]) -> int:
    """Say what went wrong, each cause once; return the exit code."""
    by_error: dict[str, list[Outcome]] = {}
    for outcome in failed:
        by_error.setdefault(outcome.error, []).append(outcome)
    for error, alike in by_error.items():
        sys.stderr.write(f"{'; '.join(outcome.job.label for outcome in alike)}: {error}\n")
        first = alike[0]
        if first.trace and not first.refused:
            log = first.job.out / f"{first.job.architecture}-{first.job.stage}.failure.txt"
            log.write_text(first.trace, encoding="utf-8")
            sys.stderr.write(f"  details in {log}\n")
    return BAD_INPUT if all(outcome.refused for outcome in failed) else FAILED


@app.command()
def validate(scenario: ScenarioArgument, x: OverrideOption = None) -> None:
    """Check a scenario and all its variants without running anything."""
    from scenarios.load import load, variants
    from sims.core.errors import ScenarioError

    overrides = {key: values[0] for key, values in _axes(x).items()}
    problems = []
    for variant in (None, *variants(scenario)):
        try:
            checked = load(scenario, variant, overrides)
        except ScenarioError as err:
            problems += [p for p in err.problems if p not in problems]
        else:
            typer.echo(f"{checked.name}{f', variant {variant}' if variant else ''}: {_summary(checked)}")
    if problems:
        raise ScenarioError(problems)


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


@app.command()
def info(run_file: Annotated[Path, typer.Argument(metavar="RUN", help="A run file (.h5).")]) -> None:
    """Say what a run file holds."""
    from results.runfile import Run

    with Run(run_file) as found:
        typer.echo(f"{run_file}: {found.status}")
        for key in ("title", "architecture", "stage", "seed", "history"):
            if key in found.attrs:
                typer.echo(f"{key}: {found.attrs[key]}")
        for kind in found.kinds:
            times_s = found.seconds(kind)
            span = f"to {times_s[-1] / 3600:.2f} h" if len(times_s) else "none yet"
            typer.echo(f"{kind}: {len(found.labels(kind))} things, {len(times_s)} rows {span}")
        for table in found.tables:
            typer.echo(f"{table}: {found[table].sizes['event']} events")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a comparison.")],
) -> None:
    """Compute key figures and report again from the run files in a folder."""
    from gridseam import study
    from sims.core.errors import GridseamError

    runs = study.runs_in(folder)
    if not runs:
        raise GridseamError(f"{folder}: holds no run files (<architecture>-<stage>.h5)")
    _show(study.evaluate(folder, runs))


def _axes(entries: Sequence[str] | None) -> dict[str, list[Any]]:
    """Return what ``-x key=a,b`` asks for: key -> values, read as YAML; commas inside brackets do not part."""
    from scenarios.document import scalar
    from sims.core.errors import Problem, ScenarioError

    axes: dict[str, list[Any]] = {}
    for entry in entries or ():
        key, sign, text = entry.partition("=")
        if not sign or not key.strip():
            raise ScenarioError([Problem(f"-x {entry}", "", "write it as key=value, such as -x time.duration='2 h'")])
        if key.strip() in axes:
            raise ScenarioError([Problem(f"-x {entry}", "", f"'{key.strip()}' stands here twice")])
        axes[key.strip()] = [scalar(part.strip()) for part in _split(text)]
    return axes


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += sign
    return parts


def _folder_name(label: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "=.,_-" else "_" for sign in label)


if __name__ == "__main__":
    main()
