"""Tables that a person hands to a command of ``gridseam dms``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from sims.core.errors import GridError


def lines_of(path: Path, header: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield where each line stands, as file:line, and its values; empty lines are passed over.

    Raises
    ------
    GridError
        The file cannot be read, its first line is not `header`, or a line has another number of values.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            table = list(csv.reader(text))
    except (OSError, UnicodeDecodeError) as err:
        raise GridError(f"{path}: cannot be read: {err}") from err
    if not table or [name.strip() for name in table[0]] != list(header):
        raise GridError(f"{path}:1: the first line is '{','.join(header)}'")
    for number, line in enumerate(table[1:], start=2):
        if any(line):
            if len(line) != len(header):
                raise GridError(f"{path}:{number}: has {len(line)} values instead of {len(header)}")
            yield f"{path}:{number}", line
