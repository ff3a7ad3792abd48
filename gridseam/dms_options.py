"""Options that commands of ``gridseam dms`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GridOption = Annotated[str, typer.Option(help="A shipped grid, case33bw, or a ./file.json of pandapower.")]
LoadOption = Annotated[float, typer.Option(min=0.0, help="Factor on the grid's own loads.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PictureOption = Annotated[Path | None, typer.Option(help="Write a picture (.svg, .png or .pdf).")]
VMinOption = Annotated[float, typer.Option(help="Voltage that must be kept [pu].")]
VMaxOption = Annotated[float, typer.Option(help="Highest voltage [pu].")]
CloseOption = Annotated[list[str] | None, typer.Option(help="Line to close first, such as line:34.")]
OpenOption = Annotated[list[str] | None, typer.Option("--open", help="Line to open first.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run file (.h5).")]
