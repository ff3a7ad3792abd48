import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from pyarrow import parquet

from results import export as module
from results.export import export, texts
from results.runfile import Run
from sims.core.errors import GridseamError


def test_csv_has_a_file_a_quantity_with_the_numbers_of_the_run(day_run: Callable[..., Path]) -> None:
    path = day_run("distributed", 3)
    folder = export(path, "csv")
    assert folder == path.with_name("distributed_3-csv")
    with (folder / "bus.vm_pu.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:3] == ["time", "t_s", "feeder bus 0"]
    assert rows[2][:2] == ["2026-06-21T00:05:00Z", "300"]
    read = np.array([[np.float32(x or "nan") for x in row[2:]] for row in rows[1:]])
    with Run(path) as run:
        np.testing.assert_array_equal(read, run.values("bus", "vm_pu"))  # every digit, gaps included
    with (folder / "actions.csv").open(newline="") as file:
        acts = list(csv.DictReader(file))
    assert acts[0]["duty"] == "observe"
    assert float(acts[0]["value"]) == (int(acts[0]["t_ms"]) // 60_000) % 7


def test_texts_keep_the_digits_of_the_file() -> None:
    assert texts(np.array([0.95, np.nan, 2.0, np.inf], dtype="f4")) == ["0.95", "", "2", "inf"]
    assert texts(np.array(["2026-01-01T00:00:00.250"], dtype="datetime64[ms]")) == ["2026-01-01T00:00:00.250Z"]


def test_a_workbook_has_a_sheet_a_table(day_run: Callable[..., Path]) -> None:
    path = export(day_run("local", 2, name="=x "), "xlsx", only=["interface", "actions", "feeder"])
    book = openpyxl.load_workbook(path, read_only=True)
    assert "interface.q_mvar" in book.sheetnames
    rows = list(book["interface.q_mvar"].iter_rows(values_only=True))
    assert rows[0] == ("time", "t_s", "=x ptcc 1", "=x ptcc 2")
    assert str(rows[2][0]) == "2026-06-21 00:05:00"
    with Run(path.with_name("local_2x.h5")) as run:
        np.testing.assert_allclose(rows[2][2:], run.values("interface", "q_mvar")[1], rtol=1e-6)
    names = [row[0] for row in book["feeder.static"].iter_rows(values_only=True)]
    assert names == ["feeder", "=x  north", "=x  south"]  # a text stays a text, whatever it begins with


def test_what_does_not_fit_a_sheet_is_said_before_anything_is_written(
    day_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHEET_ROWS", 1000)
    path = day_run("centralized", 1)
    with pytest.raises(GridseamError, match=r"cell.f_hz has 1440 rows and 5 columns, .* write csv or parquet"):
        export(path, "xlsx")
    assert not path.with_suffix(".xlsx").exists()


def test_parquet_has_a_row_for_each_instant_and_thing(day_run: Callable[..., Path]) -> None:
    path = day_run("centralized", 2)
    folder = export(path, "parquet")
    table = parquet.read_table(folder / "feeder.parquet")
    with Run(path) as run:
        loss = run.values("feeder", "loss_mw")
        np.testing.assert_array_equal(table["loss_mw"].to_numpy(), loss.ravel())
    assert table["feeder"].to_pylist()[:3] == ["feeder north", "feeder south", "feeder north"]
    assert table["time"][2].as_py().isoformat() == "2026-06-21T00:05:00+00:00"
    assert parquet.read_table(folder / "actions.parquet")["duty"][0].as_py() == "observe"
    about = dict(zip(*parquet.read_table(folder / "about.parquet").to_pydict().values(), strict=True))
    assert about["stage"] == "2"


def test_wrong_use_is_refused_by_name(day_run: Callable[..., Path], tmp_path: Path) -> None:
    path = day_run("local", 1)
    with pytest.raises(GridseamError, match=r"'xls' is not one of csv .* nc \(did you mean xlsx\?\)"):
        export(path, "xls")
    with pytest.raises(GridseamError, match=r"no 'bux' in this run \(did you mean bus\?\)"):
        export(path, "csv", only=["bux"])
    with pytest.raises(GridseamError, match="cannot be written over itself"):
        export(path, "nc", path)
    with pytest.raises(GridseamError, match="no such run file"):
        export(tmp_path / "none.h5", "csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(GridseamError, match="cannot write"):
        export(path, "csv", tmp_path / "file" / "x")
