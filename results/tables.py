"""A run as plain tables, for programs that know rows and columns: sheets, csv, parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runfile import Run, RunError
from sims.core.errors import nearest

BLOCK = 1024
TIME = ("time", "t_s")
"""First columns of a table over time: the instant (UTC) and the seconds since the start."""
Columns = list[NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """One table of a run, read piece by piece.

    Parameters
    ----------
    name : str
        ``bus.vm_pu`` (a column per thing), ``bus.static``, ``actions``, ``kpi`` or ``about``.
    columns : sequence of str
        Their headings.
    rows : int
        How many there are.
    blocks : callable
        Gives the columns of some rows after another; texts as str objects, times as datetime64[ms].
    """

    name: str
    columns: Sequence[str]
    rows: int
    blocks: Callable[[], Iterator[Columns]]


def chosen(run: Run, only: Sequence[str] = ()) -> list[str]:
    """Return the kinds and event tables that `only` names, all where it names none.

    Raises
    ------
    RunError
        The run has no such kind or table.
    """
    known = [*run.kinds, *run.tables]
    for name in only:
        if name not in known:
            hint = f"{nearest(name, known)}; it has {', '.join(known)}"
            raise RunError(f"{run.path}: no '{name}' in this run{hint}")
    return [name for name in known if not only or name in only]


def tables(run: Run, only: Sequence[str] = ()) -> Iterator[Table]:
    """Yield the tables of a run: over time, static, events, then key figures and facts."""
    for name in chosen(run, only):
        if name in run.kinds:
            yield from (_over_time(run, name, q) for q in quantities(run, name))
            yield static_table(run, name)
        else:
            yield event_table(run, name)
    if not only:
        yield from facts(run)


def quantities(run: Run, kind: str) -> list[str]:
    """Return what a kind has recorded over time."""
    return [c for c in run.columns(kind) if run.dataset(kind, c).ndim == 2]


def instants(run: Run, kind: str) -> NDArray[np.datetime64]:
    """Return the times of the rows of a kind as UTC instants [ms]."""
    start = datetime.fromisoformat(str(run.attrs["start"]))
    start = start.astimezone(UTC).replace(tzinfo=None) if start.tzinfo else start
    return np.datetime64(start, "ms") + np.rint(run.seconds(kind) * 1000).astype("timedelta64[ms]")


def _over_time(run: Run, kind: str, quantity: str) -> Table:
    def blocks() -> Iterator[Columns]:
        at, t_s = instants(run, kind), run.seconds(kind)
        for rows, values in run.blocks(kind, quantity, BLOCK):
            yield [at[rows], t_s[rows], *values.T]

    return Table(f"{kind}.{quantity}", [*TIME, *run.labels(kind)], len(run.seconds(kind)), blocks)


def static_table(run: Run, kind: str) -> Table:
    """Return the names of the things of a kind with what does not change in a run."""
    own = [c for c in run.columns(kind) if c not in ("time", kind) and run.dataset(kind, c).ndim == 1]
    names = [kind, *own]

    def blocks() -> Iterator[Columns]:
        yield [run.static(kind, c) for c in names]

    return Table(f"{kind}.static", names, len(run.labels(kind)), blocks)


def event_table(run: Run, table: str) -> Table:
    """Return a table of events with its texts written out."""
    names = [c for c in run.columns(table) if c != "event" and run.dataset(table, c).dtype.kind in "fiu"]
    names.sort(key=lambda c: (not c.endswith("_ms"), c != clock_of(run, table)))
    rows = len(run.column(table, names[0])) if names else 0

    def blocks() -> Iterator[Columns]:
        yield [run.texts(table, c) if run.is_coded(table, c) else run.column(table, c) for c in names]

    return Table(table, names, rows, blocks)


def clock_of(run: Run, table: str) -> str:
    """Return the column that tells when an event was: ``t_ms``, or ``sent_ms`` of messages."""
    return next((c for c in ("t_ms", "sent_ms") if c in run.columns(table)), "")


def facts(run: Run) -> Iterator[Table]:
    """Yield the key figures, where there are any, and what the run says about itself."""
    if "kpi" in run:
        names = ["kpi", "value", "unit", "limit", "passed", "definition"]
        yield Table("kpi", names, len(run.labels("kpi")), lambda: iter([[run.static("kpi", c) for c in names]]))
    told = [("status", run.status), *run.attrs.items(), *run.provenance.items()]
    told = [(k, str(v)) for k, v in told if k not in ("digest", "NX_class", "default")]
    both = [np.array(column, dtype=object) for column in zip(*told, strict=True)]
    yield Table("about", ["name", "value"], len(told), lambda: iter([both]))
