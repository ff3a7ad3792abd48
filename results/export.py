"""A run in the form another program wants: csv, a workbook, parquet, or a compressed netCDF-4 file."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator, Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.repack import repack
from results.runfile import Run
from results.tables import Table, chosen, event_table, facts, instants, quantities, static_table, tables
from sims.core.errors import GridseamError, nearest

FORMS = ("csv", "xlsx", "parquet", "nc")
"""What `export` writes."""
SHEET_ROWS, SHEET_COLUMNS, SHEET_NAME = 1_048_576, 16_384, 31
"""What fits in a sheet of a workbook (Excel specifications and limits)."""
_EPOCH = np.datetime64("1970-01-01T00:00:00", "ms")


def export(
    run: str | Path | Run, to: str, out: str | Path | None = None, only: Sequence[str] = ()
) -> Path:
    """Write a run in another form; return the file, or the folder of files.

    Parameters
    ----------
    run : path or Run
        What to write.
    to : str
        ``csv``: a folder with a file a quantity, a row an instant, a column a thing; ``xlsx``: the same as
        sheets of one workbook; ``parquet``: a folder with a file a kind, a row an instant and thing;
        ``nc``: the run file itself, compressed.
    out : path, optional
        Where to; beside the run where it is not given.
    only : sequence of str
        Kinds and event tables; all where it is empty.

    Raises
    ------
    GridseamError
        The form or a kind is unknown, a table does not fit into a sheet, or the target cannot be written.
    """
    if to not in FORMS:
        raise GridseamError(f"'{to}' is not one of {' | '.join(FORMS)}{nearest(to, FORMS)}")
    if not isinstance(run, Run):
        with Run(run) as opened:
            return export(opened, to, out, only)
    chosen(run, only)
    path = run.path
    default = path.with_suffix(f".{to}") if to in ("xlsx", "nc") else path.with_name(f"{path.stem}-{to}")
    target = Path(out) if out is not None else default
    if target.resolve() == path.resolve():
        raise GridseamError(f"{path}: cannot be written over itself; name another target")
    write = {"csv": _csv, "xlsx": _xlsx, "parquet": _parquet, "nc": repack}[to]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(run, target, only)
    except OSError as err:
        raise GridseamError(f"cannot write {target}: {err}") from err
    return target


def texts(column: NDArray[Any]) -> list[str]:
    """Return a column as csv takes it: instants as ISO 8601, gaps empty, numbers with all their digits."""
    kind = column.dtype.kind
    if kind == "M":
        whole = bool(np.all(column.astype("datetime64[s]") == column))
        return [f"{x}Z" for x in np.datetime_as_string(column, "s" if whole else "ms")]
    if kind == "f":
        # as many digits as the number has in the file: float32 would else show 0.95 as 0.949999988079071
        return ["" if x == "nan" else x.removesuffix(".0") for x in column.astype(str)]
    return [str(x) for x in column]


def _csv(run: Run, folder: Path, only: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    for table in tables(run, only):
        with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(table.columns)
            for block in table.blocks():
                rows.writerows(zip(*map(texts, block), strict=True))


def _cells(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind == "M":
        start = dt.datetime(1970, 1, 1)
        return [start + dt.timedelta(milliseconds=int(ms)) for ms in (column - _EPOCH).astype(np.int64)]
    if column.dtype.kind == "f":
        numbers = column.astype(str).astype(float).tolist()  # float32 with its own digits, not with those of a double
        return [x if isfinite(x) else "" if isnan(x) else str(x) for x in numbers]
    return list(column.tolist())


def _xlsx(run: Run, path: Path, only: Sequence[str]) -> None:
    from xlsxwriter import Workbook

    asked = list(tables(run, only))
    _check_fit(run, asked)
    book = Workbook(path, {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd hh:mm:ss", "remove_timezone": True,
    })  # fmt: skip
    bold = book.add_format({"bold": True})
    try:
        for table in asked:
            sheet = book.add_worksheet(table.name[:SHEET_NAME])
            sheet.write_row(0, 0, list(table.columns), bold)
            sheet.freeze_panes(1, 1)
            sheet.set_column(0, 0, 19)
            at = 1
            for block in table.blocks():
                for row in zip(*map(_cells, block), strict=True):
                    sheet.write_row(at, 0, row)
                    at += 1
    finally:
        book.close()


def _check_fit(run: Run, asked: Sequence[Table]) -> None:
    for table in asked:
        if table.rows >= SHEET_ROWS or len(table.columns) > SHEET_COLUMNS:
            size = f"{table.rows} rows and {len(table.columns)} columns"
            most = f"a sheet holds {SHEET_ROWS - 1} and {SHEET_COLUMNS}"
            raise GridseamError(
                f"{run.path}: {table.name} has {size}, {most}; write csv or parquet, or leave it out with --only"
            )


def _parquet(run: Run, folder: Path, only: Sequence[str]) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as err:
        raise GridseamError("parquet needs pyarrow: pip install 'gridseam[parquet]'") from err
    folder.mkdir(exist_ok=True)
    for name in chosen(run, only):
        if name in run.kinds:
            _write_long(run, name, folder / f"{name}.parquet")
            _write_table(static_table(run, name), folder / f"{name}.static.parquet")
        else:
            _write_table(event_table(run, name), folder / f"{name}.parquet")
    for table in facts(run) if not only else ():
        _write_table(table, folder / f"{table.name}.parquet")


def _write_table(table: Table, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (block,) = table.blocks()
    columns = [pa.array(c, type=pa.string() if c.dtype.kind == "O" else None) for c in block]
    parquet.write_table(pa.table(columns, names=list(table.columns)), path)


def _write_long(run: Run, kind: str, path: Path) -> None:
    """Write a row for each instant and thing, which is what column stores and data frames like."""
    import pyarrow as pa
    from pyarrow import parquet

    labels, named = pa.array(run.labels(kind), pa.string()), quantities(run, kind)
    types = [pa.from_numpy_dtype(run.dataset(kind, q).dtype) for q in named]
    fields = [("time", pa.timestamp("ms", "UTC")), ("t_s", pa.float64()),
              (kind, pa.dictionary(pa.int32(), pa.string())), *zip(named, types, strict=True)]  # fmt: skip
    with parquet.ParquetWriter(path, pa.schema(fields)) as file:
        for columns in _long(run, kind, named):
            at, t_s, codes, *values = columns
            arrays = [pa.array(at).cast(pa.timestamp("ms", "UTC")), pa.array(t_s),
                      pa.DictionaryArray.from_arrays(codes, labels), *map(pa.array, values)]  # fmt: skip
            file.write_table(pa.table(arrays, schema=pa.schema(fields)))


def _long(run: Run, kind: str, named: Sequence[str]) -> Iterator[list[NDArray[Any]]]:
    at, t_s, n = instants(run, kind), run.seconds(kind), len(run.labels(kind))
    size = max(1, 1_000_000 // max(n, 1))
    for start in range(0, len(t_s), size):
        rows = slice(start, min(start + size, len(t_s)))
        count = rows.stop - rows.start
        yield [np.repeat(at[rows], n), np.repeat(t_s[rows], n), np.tile(np.arange(n, dtype=np.int32), count),
               *(run.part(kind, q, rows).ravel() for q in named)]  # fmt: skip
