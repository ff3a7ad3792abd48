"""Commands on what runs have left behind: info, follow, export, diff, repair, resume, page, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridseam.shown import DIFFERENT, show

files = typer.Typer()
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run file (.h5).")]
KpiOption = Annotated[
    list[str] | None, typer.Option("--kpi", metavar="FILE.py:FUNCTION", help="A key figure of your own.")
]
BaselineOption = Annotated[
    str | None, typer.Option(metavar="ARCHITECTURE,STAGE", help="What differences are taken against.")
]

PagesOption = Annotated[bool, typer.Option("--pages/--no-pages", help="Write a page for each pairing, too.")]


@files.command()
def info(run_file: RunArgument) -> None:
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
        for key, value in found.provenance.items():
            typer.echo(f"{key.replace('_', ' ')}: {value:.3g}" if isinstance(value, float) else f"{key}: {value}")


@files.command()
def follow(
    run_file: Annotated[Path, typer.Argument(metavar="RUN", help="A run file (.h5), or a folder: its newest run.")],
    every: Annotated[float, typer.Option(min=0.05, help="Seconds from one look to the next.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
) -> None:
    """Show a run while it is computed in another shell: simulated time, speed, time left, latest figures."""
    from rich.console import Console

    from gridseam.follow import follow as looks
    from gridseam.follow import newest

    path = newest(run_file) if run_file.is_dir() else run_file
    console, told = Console(), ""
    with console.status(str(path)) as live:
        for seen in looks(path, every):
            if console.is_terminal and seen.status == "running" and not once:
                live.update(seen.text)
            elif seen.text != told:
                console.print(seen.text, highlight=False, markup=False, soft_wrap=True)
            told = seen.text
            if once:
                return


@files.command()
def export(
    run_file: RunArgument,
    to: Annotated[str, typer.Option("--to", help="csv | xlsx | parquet | nc")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where to. [default: beside the run]")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A kind or event table, such as bus; may be repeated.")] = None,
) -> None:
    """Write a run for other programs: csv, a workbook, parquet, or compressed netCDF-4."""
    from results.export import export as write

    typer.echo(write(run_file, to, out, only or ()))


@files.command()
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    rtol: Annotated[float, typer.Option(min=0, help="Relative difference that does not count.")] = 0.0,
    atol: Annotated[float, typer.Option(min=0, help="Absolute difference that does not count.")] = 0.0,
    all_: Annotated[bool, typer.Option("--all", help="Name every column that differs.")] = False,
) -> None:
    """Say what differs first between two runs, in which simulator, and when; exit code 1 if anything does."""
    from results.difference import diff as compare

    found = compare(first, second, rtol, atol)
    if found.same:
        typer.echo("the same")
        return
    for line in found.settings:
        typer.echo(f"setting {line}")
    for line in found.structure:
        typer.echo(line)
    shown = found.columns if all_ else found.columns[:5]
    for number, one in enumerate(shown):
        typer.echo(f"{'first' if number == 0 else 'then'} {one}")
    if len(found.columns) > len(shown):
        typer.echo(f"and {len(found.columns) - len(shown)} more columns; --all names them")
    raise typer.Exit(DIFFERENT)


@files.command()
def repair(
    run_file: RunArgument,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The new file. [default: RUN with .repaired.h5]")
    ] = None,
) -> None:
    """Make a plain, closed run file of what a killed process left; the old file stays as it is."""
    from results.repair import repair as mend
    from results.runfile import Run

    path = mend(run_file, out)
    with Run(path) as mended:
        rows = {kind: len(mended.seconds(kind)) for kind in mended.kinds}
        ends_s = [mended.seconds(kind)[-1] for kind, count in rows.items() if count]
        reached = f"to {max(ends_s) / 3600:.2f} h" if ends_s else "nothing recorded"
        typer.echo(f"{path}: {mended.status}, {reached}")


@files.command()
def resume(run_file: RunArgument) -> None:
    """Take up a run that was broken off at its last checkpoint, and finish it."""
    from scenarios.matrix import cores
    from scenarios.run import resume as take_up

    typer.echo(take_up(run_file, threads=cores()))


@files.command()
def page(
    run_file: RunArgument,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The file. [default: RUN with .html]")] = None,
) -> None:
    """Write the operator's page of a run: its grids over time, who held and did what, alarms; works offline."""
    from results.runpage import write_page

    typer.echo(write_page(run_file, out))


@files.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a comparison.")],
    kpi: KpiOption = None,
    baseline: BaselineOption = None,
    pages: PagesOption = True,
) -> None:
    """Compute key figures and report again from the run files in a folder; joins the parts of a job array."""
    from gridseam.axes import pairing
    from gridseam.variation import evaluate_again

    show(evaluate_again(folder, kpi or (), pairing(baseline) if baseline else None, pages))
