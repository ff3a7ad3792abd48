"""Makes a plain, closed run file of what a killed process left behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from results.layout import EventTable, Kind, Quantity
from results.runfile import Run
from results.writer import RunWriter
from sims.core.errors import GridseamError

_MADE_BY_WRITER = {"NX_class", "signal", "axes", "every_ms", "digest"}
_STANDING = {"time", "index"}


def _quantity(run: Run, group: str, name: str) -> Quantity:
    data = run.dataset(group, name)
    about = run.about(group, name)
    return Quantity(
        name, about.get("units", "1"), about.get("long_name", name), about.get("standard_name", ""), data.dtype.str,
        about.get("source", ""),
    )


def kind_of(run: Run, name: str) -> Kind:
    """Return the declaration of a kind as it stands in a run file."""
    about = run.group_attrs(name)
    columns = [c for c in run.columns(name) if c not in _STANDING and c != name]
    quantities = [_quantity(run, name, c) for c in columns if run.dataset(name, c).ndim == 2]
    static = {c: run.static(name, c) for c in columns if run.dataset(name, c).ndim == 1}
    attrs = {k: v for k, v in about.items() if k not in _MADE_BY_WRITER}
    return Kind(name, run.labels(name), quantities, static, int(about["every_ms"]), attrs)


def table_of(run: Run, name: str) -> EventTable:
    """Return the declaration of an event table as it stands in a run file."""
    coded = [c.removesuffix("_name") for c in run.columns(name) if c.endswith("_name")]
    tables = {c: run.names(name, c) for c in coded}
    notes: dict[tuple[str, str], Any] = {}
    columns = []
    for column in run.columns(name):
        of = next((c for c in tables if column.startswith(f"{c}_")), None)
        if column == "event" or column.endswith("_name"):
            continue
        if of is not None and run.dataset(name, column).dtype.kind == "O":
            notes[of, column.removeprefix(f"{of}_")] = list(run.static(name, column))
            continue
        columns.append(_quantity(run, name, column))
        if run.is_coded(name, column):
            tables.setdefault(column, [])
    return EventTable(name, columns, tables, notes)


def repair(path: str | Path, target: str | Path | None = None) -> Path:
    """Copy what was flushed of a run into a new, closed file, and check it; the old file stays as it is.

    A run that was still ``running`` when its process died becomes ``aborted``.

    Parameters
    ----------
    path : str or Path
        The run file left behind.
    target : str or Path, optional
        The new file; ``<name>.repaired.h5`` beside the old one where it is not given.

    Raises
    ------
    GridseamError
        The file cannot be read, or the target is the file itself.
    """
    path = Path(path)
    out = Path(target) if target is not None else path.with_suffix(f".repaired{path.suffix}")
    if out.resolve() == path.resolve():
        raise GridseamError(f"{path}: repair writes a new file; name another target")
    with Run(path, cut_short=True) as run:
        start = str(run.attrs["start"])
        attrs = {k: v for k, v in run.attrs.items() if k not in ("digest", "NX_class", "start")}
        figures: dict[str, float] = {}
        places: list[tuple[str, str, str]] = []
        if "kpi" in run:
            names, units, texts = (run.static("kpi", c) for c in ("kpi", "unit", "definition"))
            places = [(str(n), str(u), str(t)) for n, u, t in zip(names, units, texts, strict=True)]
            figures = dict(zip(map(str, names), map(float, run.static("kpi", "value")), strict=True))
        kinds = [kind_of(run, k) for k in run.kinds]
        tables = [table_of(run, t) for t in run.tables]
        status = "aborted" if run.status == "running" else run.status
        attrs["provenance"] = dict(run.provenance)
        writer = RunWriter(out, attrs=attrs, start_iso=start, kinds=kinds, events=tables, kpis=places)
        try:
            for kind in kinds:
                _copy_rows(run, kind, writer)
            for table in tables:
                columns = {c.name: run.column(table.name, c.name) for c in table.columns}
                if len(next(iter(columns.values()))):
                    writer.append_events(table.name, columns)
        except BaseException:
            writer.close("aborted")
            raise
        writer.close(status, {k: v for k, v in figures.items() if not np.isnan(v)})
    beside = path.with_suffix(".events.jsonl")
    if beside.is_file():
        shutil.copyfile(beside, out.with_suffix(".events.jsonl"))
    with Run(out) as repaired:
        repaired.check()
    return out


def _copy_rows(run: Run, kind: Kind, writer: RunWriter) -> None:
    t_ms = np.rint(run.seconds(kind.name) * 1000).astype(int)
    for start in range(0, len(t_ms), 1024):
        part = slice(start, start + 1024)
        values = {q.name: run.part(kind.name, q.name, part) for q in kind.quantities}
        for row, now_ms in enumerate(t_ms[part]):
            writer.append(kind.name, int(now_ms), {name: v[row] for name, v in values.items()})
