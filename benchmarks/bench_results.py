"""Speed of the run file: writing rows, reading one signal, key figures and the report of twelve runs.

Where others use the machine, `--benchmark-timer=time.process_time` gives CPU time.
"""

import os
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


SIGNALS = 10_000


def signals(path: Path, until_ms: int, count: int = SIGNALS, step_min: int = 1) -> RunWriter:
    labels = [f"b{i}" for i in range(count)]
    kind = Kind("bus", labels, [Quantity("vm_pu", "1", "voltage")], every_ms=step_min * 60_000)
    return RunWriter(path, attrs={"title": "bench"}, start_iso="2026-01-01", kinds=[kind], until_ms=until_ms)


def test_record_a_day_of_10_000_signals_with_checksums(benchmark: Any, tmp_path: Path) -> None:
    """Aim: 1 GB/s, from the first row to the closed file."""
    vm = (1 + 0.03 * np.random.default_rng(1).standard_normal((64, SIGNALS))).astype("f4")

    def record(writer: RunWriter) -> None:
        for k in range(ROWS):
            writer.append("bus", k * 60_000, {"vm_pu": vm[k % 64]})
        writer.close()

    path = tmp_path / "r.h5"
    benchmark.pedantic(record, setup=lambda: ((signals(path, ROWS * 60_000),), {}), rounds=9)
    print(f"\n{4e-6 * SIGNALS * ROWS / benchmark.stats['min']:.0f} MB/s")


def test_the_same_bytes_by_bare_writes_of_256_kb(benchmark: Any, tmp_path: Path) -> None:
    """The bound: what the file system takes."""
    piece, path = os.urandom(1 << 18), tmp_path / "bare"
    count = 4 * SIGNALS * ROWS >> 18

    def write_out() -> None:
        path.unlink(missing_ok=True)
        with path.open("wb", buffering=0) as file:
            for _ in range(count):
                file.write(piece)

    benchmark.pedantic(write_out, rounds=9)
    print(f"\n{len(piece) * count / 1e6 / benchmark.stats['min']:.0f} MB/s")


@pytest.mark.parametrize("step_min", [1, 5, 15])
def test_read_one_signal_of_a_year(benchmark: Any, tmp_path: Path, step_min: int) -> None:
    """Aim: 20 ms."""
    rows, path = 365 * 24 * 60 // step_min, tmp_path / "r.h5"
    values = np.random.default_rng(2).standard_normal(64)
    with signals(path, rows * step_min * 60_000, 64, step_min) as writer:
        for k in range(rows):
            writer.append("bus", k * step_min * 60_000, {"vm_pu": values + k})
    with Run(path) as run:
        data = run.dataset("bus", "vm_pu")
        assert benchmark(lambda: data[:, 17]).shape == (rows,)


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
