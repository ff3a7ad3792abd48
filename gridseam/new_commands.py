"""Commands that write files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

new = typer.Typer(help="Write a file to start from: a scenario, or a controller with its test.", no_args_is_help=True)


@new.command()
def scenario(file: Annotated[Path, typer.Argument(metavar="FILE", help="A .yaml file that is not there yet.")]) -> None:
    """Write a small scenario with comments, ready to run."""
    from gridseam.stubs import new_scenario

    typer.echo(new_scenario(file))


@new.command()
def controller(file: Annotated[Path, typer.Argument(metavar="FILE", help="A .py file that is not there yet.")]) -> None:
    """Write a controller that keeps the contract, and its test."""
    from gridseam.stubs import new_controller

    for path in new_controller(file):
        typer.echo(path)
