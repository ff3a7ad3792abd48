"""Speed of the run file: writing rows, reading one signal, key figures and the report of twelve runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results.compare import compare
from results.kpis.table import kpi_places
from results.layout import Kind, Quantity, message_table
from results.recorder import RunWriter
from results.report import write_report
from results.runfile import Run

N_BUS, ROWS = 5000, 1440


def write(path: Path, rows: int = ROWS, n: int = N_BUS) -> Path:
    vm = 1 + 0.03 * np.random.default_rng(1).standard_normal((256, n)).astype("f4")
    kinds = [
        Kind("bus", [f"b{i}" for i in range(n)], [Quantity("vm_pu", "1", "voltage")],
             attrs={"v_min_pu": 0.95, "v_max_pu": 1.05}),
        Kind("line", [f"l{i}" for i in range(n)], [Quantity("loading_percent", "percent", "loading")]),
    ]  # fmt: skip
    with RunWriter(path, attrs={"title": "bench"}, start_iso="2026-01-01", kinds=kinds, kpis=kpi_places()) as w:
        for k in range(rows):
            w.append("bus", k * 60_000, {"vm_pu": vm[k % 256]})
            w.append("line", k * 60_000, {"loading_percent": vm[k % 256] * 70})
    return path


def test_write_a_day_of_5000_buses_and_lines(benchmark: Any, tmp_path: Path) -> None:
    path = benchmark.pedantic(write, args=(tmp_path / "r.h5",), rounds=3)
    mb = path.stat().st_size / 1e6
    print(f"\n{mb / benchmark.stats['min']:.0f} MB/s, {mb:.0f} MB")


def test_append_one_row_of_100(benchmark: Any, tmp_path: Path) -> None:
    w = RunWriter(
        tmp_path / "r.h5", attrs={"title": "b"}, start_iso="2026-01-01",
        kinds=[Kind("bus", [f"b{i}" for i in range(100)], [Quantity("vm_pu", "1", "v")])],
    )  # fmt: skip
    row, clock = {"vm_pu": np.ones(100)}, iter(range(1, 10**9))
    benchmark(lambda: w.append("bus", next(clock), row))
    w.close()


def test_log_messages(benchmark: Any, tmp_path: Path) -> None:
    w = RunWriter(
        tmp_path / "r.h5", attrs={"title": "b"}, start_iso="2026-01-01", kinds=[],
        events=[message_table(["a", "b"], ["t"], ["delivered"])],
    )  # fmt: skip
    n = 10_000
    batch = {c.name: np.zeros(n, "f8" if c.name.endswith("_ms") else "i4") for c in w.events["messages"].table.columns}
    benchmark(lambda: w.append_events("messages", batch))
    w.close()
    print(f"\n{n / benchmark.stats['min'] / 1e6:.1f} M rows/s")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bench") / "r.h5")


def test_open_and_read_one_signal(benchmark: Any, day: Path) -> None:
    with Run(day) as run:
        data = run.dataset("bus", "vm_pu")
        assert benchmark(lambda: data[:, 17]).shape == (ROWS,)


def test_open_a_run(benchmark: Any, day: Path) -> None:
    benchmark(lambda: Run(day).close())


def test_compare_and_report_twelve_runs(benchmark: Any, day: Path, tmp_path: Path) -> None:
    runs = {(a, s): day for a in ("local", "centralized", "distributed") for s in (1, 2, 3, 4)}

    def all_of_it() -> Path:
        return write_report(compare(runs), runs, tmp_path / "report.html")

    path = benchmark.pedantic(all_of_it, rounds=1)
    print(f"\n{path.stat().st_size / 1e6:.1f} MB")
