"""Takes over what a run that was broken off has written, so that it can be carried on as if nothing had been."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from results.runfile import Run
from results.writer import RunWriter
from sims.core.errors import GridseamError

_BLOCK = 1024


def rows_of(writer: RunWriter) -> dict[str, int]:
    """Return how many rows each group has been handed so far; what is told later does not count among them."""
    return {
        **{kind: series.first + series.filled for kind, series in writer.series.items()},
        **{table: log.total + log.pending for table, log in writer.events.items()},
    }


def carry_over(old: Path, writer: RunWriter, rows: Mapping[str, int]) -> None:
    """Copy the first `rows` of each group of the run file `old` into `writer`, which is new.

    Raises
    ------
    GridseamError
        `old` holds fewer rows, or other things than `writer` is to write.
    """
    with Run(old) as run:
        for kind, series in writer.series.items():
            if kind not in run.kinds or run.labels(kind) != list(map(str, series.kind.labels)):
                raise GridseamError(f"{old}: holds other things under '{kind}' than this run; run it anew")
            t_ms = np.rint(run.seconds(kind) * 1000).astype(int)
            _enough(old, kind, len(t_ms), rows[kind])
            for start in range(0, rows[kind], _BLOCK):
                part = slice(start, min(start + _BLOCK, rows[kind]))
                values = {q: run.part(kind, q, part) for q in series.data}
                for row, now_ms in enumerate(t_ms[part].tolist()):
                    writer.append(kind, now_ms, {q: v[row] for q, v in values.items()})
        for table, log in writer.events.items():
            columns: dict[str, Any] = {column: run.column(table, column) for column in log.data}
            _enough(old, table, len(next(iter(columns.values()))), rows[table])
            if rows[table]:
                writer.append_events(table, {name: values[: rows[table]] for name, values in columns.items()})
    writer.append_texts(_texts(old.with_suffix(".events.jsonl"), rows))
    writer.flush()


def _enough(old: Path, group: str, held: int, wanted: int) -> None:
    if held < wanted:
        raise GridseamError(f"{old}: holds {held} rows of '{group}', its checkpoint {wanted}; run it anew")


def _texts(path: Path, rows: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the free texts of the events that are carried over."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [line for line in found if line["event"] < rows[line["table"]]]
