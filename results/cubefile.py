"""A comparison as files: the cube for xarray, tables for everybody else."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from results.compare import Comparison
from results.kpis.kpi import Kpi
from results.netcdf import write_cube
from results.paired import Differences
from sims.core.errors import GridseamError

if TYPE_CHECKING:
    import xarray as xr

Row = tuple[Any, ...]
_FIGURES = ("architecture", "stage", "seed", "kpi", "unit", "value")
_APART = ("baseline", "architecture", "stage", "kpi", "unit", "seeds", "mean", "low", "high")


@dataclass(frozen=True)
class CubeFiles:
    """What was written: ``cube.nc``, ``kpis.csv`` and ``kpis.xlsx``."""

    cube: Path
    table: Path
    workbook: Path


def write_comparison(comparison: Comparison, folder: str | Path, differences: Differences | None = None) -> CubeFiles:
    """Write cube and tables into `folder`.

    The cube holds a variable a figure over architecture, stage and seed; with `differences`, its group
    ``difference`` holds them, and so do ``differences.csv`` and a sheet of the workbook.
    """
    sheets: dict[str, list[Row]] = {"kpis": [_FIGURES, *figure_rows(comparison)]}
    if differences is not None:
        sheets["differences"] = [_APART, *difference_rows(differences)]
    groups = {} if differences is None else {"difference": differences.dataset()}
    return write_files(folder, comparison.dataset(), groups, sheets, comparison.kpis)


def write_files(
    folder: str | Path, cube: xr.Dataset, groups: Mapping[str, xr.Dataset], sheets: Mapping[str, Sequence[Row]],
    kpis: Sequence[Kpi],
) -> CubeFiles:
    """Write a cube with its groups, and every sheet as csv and in one workbook with the definitions."""
    folder = Path(folder)
    files = CubeFiles(folder / "cube.nc", folder / "kpis.csv", folder / "kpis.xlsx")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_cube(files.cube, cube, groups)
        for name, rows in sheets.items():
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(map(_texts, rows))
        words: list[Row] = [("kpi", "label", "unit", "better", "definition", "source")]
        words += [(k.name, k.label, k.unit, k.better, k.definition, k.source) for k in kpis]
        _workbook(files.workbook, {**sheets, "definitions": words})
    except OSError as err:
        raise GridseamError(f"cannot write the comparison into {folder}: {err}") from err
    return files


def _texts(row: Row) -> list[str]:
    return ["" if isinstance(x, float) and np.isnan(x) else repr(x) if isinstance(x, float) else str(x) for x in row]


def _workbook(path: Path, sheets: Mapping[str, Sequence[Row]]) -> None:
    from xlsxwriter import Workbook

    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(path, plain) as book:
        bold = book.add_format({"bold": True})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            for i, row in enumerate(rows):
                cells = [("never" if np.isinf(x) else None if np.isnan(x) else x) if isinstance(x, float) else x
                         for x in row]  # fmt: skip
                sheet.write_row(i, 0, cells, bold if i == 0 else None)
            sheet.autofilter(0, 0, max(len(rows) - 1, 1), len(rows[0]) - 1)
            sheet.autofit(max_width=420)


def figure_rows(comparison: Comparison, before: Row = ()) -> Iterator[Row]:
    """Yield a row for each figure of each run, `before` in front of it."""
    for i, architecture in enumerate(comparison.architectures):
        for j, stage in enumerate(comparison.stages):
            for m, seed in enumerate(comparison.seeds):
                for k in comparison.kpis:
                    yield (*before, architecture, stage, seed, k.name, k.unit, float(comparison.cube[k.name][i, j, m]))


def difference_rows(differences: Differences, before: Row = ()) -> Iterator[Row]:
    """Yield a row for each figure of each pairing against the baseline."""
    comparison, base = differences.comparison, differences.baseline
    for i, architecture in enumerate(comparison.architectures):
        for j, stage in enumerate(comparison.stages):
            if (architecture, stage) != base:
                for k in comparison.kpis:
                    one = differences.by_kpi[k.name]
                    values = (float(v[i, j]) for v in (one.mean, one.low, one.high))
                    n = int(one.n[i, j])
                    yield (*before, f"{base[0]},{base[1]}", architecture, stage, k.name, k.unit, n, *values)
