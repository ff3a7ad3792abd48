import csv
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import xarray as xr

from results.compare import compare
from results.cubefile import write_comparison
from results.paired import paired
from sims.core.errors import GridseamError


def test_cube_csv_and_workbook_hold_the_same_figures(day_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = {
        (a, 2, seed): day_run(a, 2, seed=seed).rename(tmp_path / f"{a}{seed}.h5")
        for a in ("local", "centralized")
        for seed in (1, 2)
    }
    comparison = compare(runs)
    differences = paired(comparison, ("local", 2))
    files = write_comparison(comparison, tmp_path / "out", differences)
    with xr.open_dataset(files.cube) as cube:
        value = float(cube.messages.sel(architecture="centralized", stage=2, seed=1))
        assert value == 4000
    with xr.open_datatree(files.cube) as tree:
        assert float(tree["difference/mean"].sel(kpi="messages", architecture="centralized", stage=2)) == 4000
        assert int(tree["difference/n"].sel(kpi="messages", architecture="centralized", stage=2)) == 2
    with files.table.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["kpi"] == "messages" and r["architecture"] == "centralized"]
    assert [(r["seed"], r["value"]) for r in rows] == [("1", "4000.0"), ("2", "4000.0")]
    with (tmp_path / "out" / "differences.csv").open(newline="") as file:
        apart = [r for r in csv.DictReader(file) if r["kpi"] == "messages"]
    assert [(r["baseline"], r["architecture"], r["mean"], r["seeds"]) for r in apart] == [
        ("local,2", "centralized", "4000.0", "2")
    ]
    book = openpyxl.load_workbook(files.workbook)
    assert book.sheetnames == ["kpis", "differences", "definitions"]
    in_book = {tuple(r[:4]): r[5] for r in book["kpis"].iter_rows(min_row=2, values_only=True)}
    assert in_book["centralized", 2, 1, "messages"] == 4000


def test_a_folder_that_cannot_be_written_is_said(day_run: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GridseamError, match="cannot write the comparison into"):
        write_comparison(compare({("local", 1): day_run("local", 1)}), tmp_path / "file")
