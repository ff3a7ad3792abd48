"""How DMS commands speak: a table for people, one JSON object for programs, a picture where it says more."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from gridseam.dms_grid import DmsGrid


def check_picture(path: Path | None) -> None:
    """Refuse a picture's format before any work is done."""
    if path is not None:
        from gridseam.dms_picture import check_format

        check_format(path)


def picture_of(found: DmsGrid, path: Path, *what: Any) -> None:
    """Draw a picture and say where it is; see `dms_picture.draw`."""
    from gridseam.dms_picture import draw

    draw(found, path, *what)
    typer.echo(str(path), err=True)


def tell(facts: dict[str, Any], as_json: bool, title: str, rows: Sequence[dict[str, Any]] = ()) -> None:
    """Print facts and rows as tables, or both as one JSON object; what is not finite becomes null."""
    if as_json:
        typer.echo(json.dumps(_plain(facts | ({"rows": list(rows)} if rows else {})), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    if rows:
        table = Table(title=title, title_justify="left")
        for key, value in rows[0].items():
            table.add_column(key, justify="left" if isinstance(value, str) else "right")
        for row in rows:
            table.add_row(*(_text(value) for value in row.values()))
        console.print(table)
    else:
        console.print(title, style="bold", highlight=False)
    for key, value in facts.items():
        shown = ", ".join(value) or "nothing" if isinstance(value, list) else _text(value)
        console.print(f"{key}: {shown}", highlight=False, markup=False)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
