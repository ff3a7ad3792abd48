"""Whole comparisons around a run that takes no time: what is run, kept, joined and said."""

import csv
import json

import openpyxl
import pytest
import xarray as xr

from scenarios import cell, matrix

STAND_IN = """\
import numpy as np
from pathlib import Path
from results.kpis.table import kpi_places
from results.layout import Kind, Quantity
from results.writer import RunWriter
from scenarios import cell
from scenarios.cell import cell_digest
from sims.core.errors import ModelError

cell.source_digest = lambda: "code"  # the same here and there, even if somebody edits the checkout meanwhile

def run_pairing(scenario, architecture, stage, out, *, progress=None, threads=1):
    with Path("runs.log").open("a") as log:
        log.write(f"{out.name} {architecture} {stage} {scenario.seed}\\n")
    if Path("fail").exists() and stage == 2:
        raise ModelError("der", 61_000, "battery below zero")
    quantities = [Quantity(q, "MW", q) for q in ("pv_mw", "pv_avail_mw")]
    attrs = {
        "title": "t", "architecture": architecture, "stage": stage, "seed": scenario.seed,
        "cell": cell_digest(scenario, architecture, stage),
    }
    path = out / f"{architecture}-{stage}.h5"
    with RunWriter(path, attrs=attrs, start_iso="2026-01-01T00:00:00+00:00",
                   kinds=[Kind("feeder", ["f"], quantities)], kpis=kpi_places()) as w:
        avail = 10.0 * scenario.der.pv.mw_per_mw_load * (1 + scenario.seed)
        for k in range(60):
            w.append("feeder", k * 60_000, {"pv_avail_mw": [avail], "pv_mw": [avail - stage - 0.1 * scenario.seed]})
    return path
"""
"""Curtails ``stage + 0.1 seed`` MW for an hour."""
BASE = ["-x", "architecture=local", "-x", "stage=1,2", "-j", "1"]


@pytest.fixture
def stood_in(tmp_path, monkeypatch, gridseam):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(matrix.sweep, "__kwdefaults__", {"target": "stand_in:run_pairing"})
    monkeypatch.setattr(cell, "source_digest", lambda: "code")

    def call(*arguments):
        done = gridseam("compare", "three_cells", *BASE, *arguments)
        done.ran = (tmp_path / "runs.log").read_text().splitlines() if (tmp_path / "runs.log").exists() else []
        (tmp_path / "runs.log").unlink(missing_ok=True)
        return done

    return call


def figures(path, kpi="curtailed_mwh"):
    with path.open(newline="") as file:
        return [r for r in csv.DictReader(file) if r["kpi"] == kpi]


def test_seeds_give_differences_with_intervals(stood_in, tmp_path):
    done = stood_in("-x", "seed=1..3", "--out", "o")
    assert done.returncode == 0, done.stderr
    assert len(done.ran) == 6
    (row,) = figures(tmp_path / "o" / "differences.csv")
    assert (row["baseline"], row["stage"], row["seeds"]) == ("local,1", "2", "3")
    assert float(row["mean"]) == pytest.approx(1.0, abs=1e-6)  # stage 2 curtails one MW more, whatever the seed
    assert float(row["low"]) == pytest.approx(1.0, abs=1e-5)
    assert "Difference to local, stage 1" in done.stdout
    other = stood_in("-x", "seed=1..3", "--out", "o", "--resume", "--baseline", "local,2")
    assert other.ran == []
    assert "6 of 6 runs were finished before and kept" in other.stdout
    assert float(figures(tmp_path / "o" / "differences.csv")[0]["mean"]) == pytest.approx(-1.0, abs=1e-6)


def test_resuming_runs_only_what_is_missing_or_changed(stood_in, tmp_path):
    (tmp_path / "fail").touch()
    broken = stood_in()
    assert broken.returncode == 3
    assert "local, stage 2 (seed 2016): der at 61.000 s: battery below zero" in broken.stderr
    (tmp_path / "fail").unlink()
    again = stood_in("--resume")
    assert again.returncode == 0, again.stderr
    assert again.ran == ["three_cells-1 local 2 2016"]
    assert "1 of 2 runs were finished before and kept" in again.stdout
    assert stood_in("--resume").ran == []
    assert len(stood_in("--resume", "-x", "der.pv.mw_per_mw_load=0.4").ran) == 2
    assert [p.name for p in (tmp_path / "results" / "runs").iterdir()] == ["three_cells-1"]
    assert len(stood_in().ran) == 2
    assert (tmp_path / "results" / "runs" / "three_cells-2" / "report.html").exists()


def test_any_key_becomes_a_dimension_of_the_cube(stood_in, tmp_path):
    done = stood_in("-x", "der.pv.mw_per_mw_load=0.5,2.0", "-x", "time.duration=1 h,2 h", "-x", "seed=1,2", "--out",
                    "o", "-x", "disturbances=[]")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.ran) == 16
    with xr.open_dataset(tmp_path / "o" / "cube.nc") as cube:
        share = cube.curtailed_share
        assert share.dims == ("der.pv.mw_per_mw_load", "time.duration", "architecture", "stage", "seed")
        at = {"der.pv.mw_per_mw_load": 2.0, "time.duration": "1 h", "stage": 2, "seed": 1, "architecture": "local"}
        assert float(share.sel(at)) == pytest.approx(2.1 / 40, rel=1e-5)
    rows = figures(tmp_path / "o" / "kpis.csv", "curtailed_share")
    assert len(rows) == 16
    assert {r["der.pv.mw_per_mw_load"] for r in rows} == {"0.5", "2.0"}
    assert "kpis" in openpyxl.load_workbook(tmp_path / "o" / "kpis.xlsx").sheetnames
    assert "der.pv.mw_per_mw_load=0.5,time.duration=1 h" in done.stdout


def test_the_parts_of_a_job_array_are_joined_by_report(stood_in, gridseam, tmp_path):
    swept = ["-x", "der.pv.mw_per_mw_load=0.5,2.0", "--out", "o"]
    ran = []
    for part in ("1/3", "2/3", "3/3"):
        done = stood_in(*swept, "--shard", part)
        assert done.returncode == 0, done.stderr
        assert "once all are: gridseam report o" in done.stdout
        ran += done.ran
    assert len(ran) == len(set(ran)) == 4
    assert not (tmp_path / "o" / "cube.nc").exists()
    done = gridseam("report", "o")
    assert done.returncode == 0, done.stderr
    parts = figures(tmp_path / "o" / "kpis.csv")
    whole = stood_in(*swept[:2], "--out", "whole")
    assert whole.returncode == 0
    assert figures(tmp_path / "whole" / "kpis.csv") == parts


def test_a_key_figure_of_your_own_stands_beside_ours(stood_in, gridseam, tmp_path):
    (tmp_path / "mine.py").write_text(
        'def hottest(run):\n    """Most sun."""\n    return run.values("feeder", "pv_avail_mw").max()\n'
        'hottest.unit = "MW"\n\ndef messages(run):\n    return 1\n'
    )
    done = stood_in("--kpi", "./mine.py:hottest", "--out", "o", "-x", "der.pv.mw_per_mw_load=1.0", "-x", "seed=1")
    assert done.returncode == 0, done.stderr
    assert [float(r["value"]) for r in figures(tmp_path / "o" / "kpis.csv", "hottest")] == [20.0, 20.0]
    assert "hottest" in done.stdout
    again = gridseam("report", "o", "--kpi", "./mine.py:hottest", "--baseline", "local,2")
    assert again.returncode == 0, again.stderr
    assert figures(tmp_path / "o" / "kpis.csv", "hottest")
    for reference, says in (
        ("./mine.py:hotest", "has no function 'hotest' (did you mean hottest?)"),
        ("./none.py:x", "no such file"),
        ("mine", "write it as ./file.py:function"),
        ("./mine.py:messages", "there is a figure 'messages' already"),
    ):
        done = stood_in("--kpi", reference, "--out", "p")
        assert (done.returncode, done.ran) == (2, [])
        assert says in done.stderr
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--shard", "3/2"], "write it as i/n"),
        (["--baseline", "local"], "write it as architecture,stage"),
        (["--baseline", "central,1"], "central,1 is not among the pairings compared, local,1 local,2"),
        (["-x", "der.pv.mw_per_mw_laod=1,2"], "(did you mean mw_per_mw_load?)"),
        (["-x", "der.pv.mw_per_mw_load=1,x"], "'x' is not a number"),
        (["-x", "seed=5..1"], "is to count up"),
        (["-x", "time.step=60 s,60 s"], "two points of the sweep are the same"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_run(stood_in, tmp_path, arguments, says):
    done = stood_in(*arguments, "--out", "o")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.ran == []
    assert not (tmp_path / "o").exists()


def test_a_list_of_points_that_is_damaged_is_named(gridseam, tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps([{"folder": "a"}]))
    done = gridseam("report", ".")
    assert done.returncode == 2
    assert "sweep.json cannot be read (KeyError" in done.stderr
