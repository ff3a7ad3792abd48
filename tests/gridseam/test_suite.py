"""Scenarios as tests, around runs that take no time."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from results.runfile import Run
from scenarios import cell, matrix

ROOT = Path(__file__).parents[2]
STAND_IN = """\
from pathlib import Path
from results.kpis.table import kpi_places
from results.layout import Kind, Quantity
from results.writer import RunWriter
from scenarios import cell
from scenarios.cell import cell_digest
from sims.core.errors import ModelError

cell.source_digest = lambda: "code"  # the same here and there, even if somebody edits the checkout meanwhile

def run_pairing(scenario, architecture, stage, out, *, progress=None, threads=1):
    with Path(__file__).with_name("runs.log").open("a") as log:
        log.write(f"{out.name} {architecture} {stage}\\n")
    if Path(__file__).with_name("fail").exists() and stage == 2:
        raise ModelError("der", 61_000, "battery \\x07 below <zero>")
    attrs = {"title": "t", "architecture": architecture, "stage": stage, "seed": scenario.seed,
             "cell": cell_digest(scenario, architecture, stage)}
    path = out / f"{architecture}-{stage}.h5"
    kinds = [Kind("feeder", ["f"], [Quantity(q, "MW", q) for q in ("pv_mw", "pv_avail_mw")])]
    with RunWriter(path, attrs=attrs, start_iso="2026-01-01T00:00:00+00:00", kinds=kinds, kpis=kpi_places()) as w:
        for k in range(60):
            w.append("feeder", k * 60_000, {"pv_avail_mw": [10.0], "pv_mw": [10.0 - stage]})
    return path
"""
"""Curtails as many MWh as its stage has number."""
BASE = """\
name: {name}
time: {{start: "2016-07-20T00:00:00+02:00", duration: 1 h}}
matrix: {{architecture: [local, centralized], stage: [1, 2, 3]}}
dsos: [{{name: north, cell: 1, interfaces: [{{bus: 4, trafo: {{sn_mva: 700}}, grids: [{{grid: cigre_mv}}]}}]}}]
expect:
  curtailed_mwh:
    - {{max: {most}, architecture: local, stage: [1, 2]}}
    - {{min: 0.5, architecture: local, stage: 2, than: {{stage: 1}}}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(matrix.sweep, "__kwdefaults__", {"target": "stand_in:run_pairing"})
    monkeypatch.setattr(cell, "source_digest", lambda: "code")
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "one.yaml").write_text(BASE.format(name="one", most=2.5))
    (tmp_path / "suite" / "notes.yml").write_text(BASE.format(name="quiet", most=1).partition("expect:")[0])
    return tmp_path


def ran(place):
    log = place / "runs.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_what_is_expected_is_run_and_nothing_else(place, gridseam):
    done = gridseam("test", "suite", "-j", "1", "--junit", "out/verdicts.xml")
    assert done.returncode == 0, done.stderr + done.stdout
    assert sorted(ran(place)) == ["one local 1", "one local 2"]
    assert "3 of 3 expectations met" in done.stdout
    root = Xml.parse(place / "out" / "verdicts.xml").getroot()
    (suite,) = root.findall("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("one", "3", "0", "0")
    assert [c.get("name") for c in suite.findall("testcase")] == [
        "curtailed_mwh max 2.5 [local,1]", "curtailed_mwh max 2.5 [local,2]",
        "curtailed_mwh min 0.5 than stage 1 [local,2]",
    ]  # fmt: skip
    with Run(place / "results" / "runs" / "suite" / "one" / "local-2.h5") as run:
        row = run.labels("kpi").index("curtailed_mwh")
        assert (run.static("kpi", "limit")[row], run.static("kpi", "passed")[row]) == (2.5, 1)
    assert gridseam("test", "suite", "--resume").returncode == 0
    assert ran(place) == []


def test_a_missed_expectation_gives_1_a_failed_run_3(place, gridseam):
    (place / "suite" / "two.yaml").write_text(BASE.format(name="two", most=1.5))
    done = gridseam("test", "suite", "-j", "2", "--junit", "v.xml")
    assert done.returncode == 1
    assert "MISSED      curtailed_mwh max 1.5 [local,2]: is 2, more than 1.5" in done.stdout
    assert "5 of 6 expectations met" in done.stdout
    failures = Xml.parse(place / "v.xml").getroot().findall(".//failure")
    assert [f.get("message") for f in failures] == ["is 2, more than 1.5"]
    (place / "fail").touch()
    done = gridseam("test", "suite/one.yaml", "--junit", "v.xml")
    assert done.returncode == 3
    assert "1 of 3 expectations met, 2 without a verdict" in done.stdout
    assert "one.local" not in done.stderr
    assert "local, stage 2 (seed 0): der at 61.000 s" in done.stderr
    root = Xml.parse(place / "v.xml").getroot()  # well formed in spite of what the message holds
    assert [e.get("message") for e in root.findall(".//error")] == ["der at 61.000 s: battery ? below <zero>"] * 2
    assert root.find("testsuite").get("errors") == "2"


def test_parts_of_a_suite_hold_every_scenario_once(place, gridseam):
    (place / "suite" / "two.yaml").write_text(BASE.format(name="two", most=2.5))
    for number, name in ((1, "one"), (2, "two")):
        done = gridseam("test", "suite", "--shard", f"{number}/2")
        assert done.returncode == 0, done.stderr
        assert {line.split()[0] for line in ran(place)} == {name}


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        (("curtailed_mwh", "curtailed_mhw"), (), "no key figure 'curtailed_mhw' (did you mean curtailed_mwh?)"),
        (("stage: [1, 2, 3]", "stage: [1]"), (), "one expect.curtailed_mwh.0: local,2 is not in the matrix"),
        (("max:", "mix:"), (), "one.yaml:7 expect.curtailed_mwh.0.mix: is not known here"),
        (None, ("nowhere.yaml",), "nowhere.yaml: there is no such file"),
        (None, ("suite/notes.yml",), "no scenario expects anything"),
        (None, ("suite", "--shard", "9"), "write it as i/n"),
        (None, ("suite/one.yaml", "suite/one.yaml"), "several scenarios are named 'one'"),
    ],
)
def test_bad_input_gives_2_and_runs_nothing(place, gridseam, change, arguments, says):
    if change:
        (place / "suite" / "one.yaml").write_text(BASE.format(name="one", most=2.5).replace(*change))
    done = gridseam("test", *(arguments or ("suite",)))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert ran(place) == []


@pytest.fixture
def pytest_in(place):
    (place / "conftest.py").write_text(
        "from scenarios import cell, matrix\ncell.source_digest = lambda: 'code'\n"
        "matrix.sweep.__kwdefaults__['target'] = 'stand_in:run_pairing'\n"
    )
    (place / "pytest.ini").write_text("[pytest]\n")

    def call(*arguments):
        env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{place}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "gridseam.pytest_plugin", "suite", *arguments]
        return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)

    return call


def test_pytest_has_an_item_for_each_expectation(place, pytest_in):
    done = pytest_in("--collect-only", "-q")
    assert [line for line in done.stdout.splitlines() if "::" in line] == [
        "suite/one.yaml::curtailed_mwh max 2.5 [local,1]", "suite/one.yaml::curtailed_mwh max 2.5 [local,2]",
        "suite/one.yaml::curtailed_mwh min 0.5 than stage 1 [local,2]",
    ]  # fmt: skip
    assert ran(place) == []
    of = "suite/one.yaml::curtailed_mwh"
    one = pytest_in("--deselect", f"{of} max 2.5 [local,2]", "--deselect", f"{of} min 0.5 than stage 1 [local,2]")
    assert one.returncode == 0, one.stdout
    assert ran(place) == ["one local 1"]
    assert "3 passed" in pytest_in("--gridseam-jobs", "1").stdout
    assert ran(place) == ["one local 2"]  # the other is finished and kept
    assert "2 passed" in pytest_in("--gridseam-shard", "1/2").stdout


def test_pytest_tells_what_is_missed_failed_or_refused(place, pytest_in):
    (place / "suite" / "one.yaml").write_text(BASE.format(name="one", most=1.5))
    done = pytest_in("--gridseam-out", "runs")
    assert done.returncode == 1
    assert "curtailed_mwh max 1.5 [local,2]: is 2, more than 1.5" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
    assert (place / "runs" / "one" / "local-1.h5").exists()
    (place / "fail").touch()
    done = pytest_in("--gridseam-out", "again")
    assert "local, stage 2 (seed 0): der at 61.000 s" in done.stdout
    assert "2 failed, 1 passed" in done.stdout
    (place / "suite" / "one.yaml").write_text(BASE.format(name="one", most=1.5).replace("curtailed", "curtaild"))
    done = pytest_in()
    assert done.returncode == 2
    assert "there is no key figure 'curtaild_mwh' (did you mean curtailed_mwh?)" in done.stdout
