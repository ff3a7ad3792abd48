"""The two commands of a checkout, and the files they stand on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["compare", "test", "validate", "bench", "lint"])
def test_make_knows_its_targets(target, tmp_path):
    done = subprocess.run(
        ["make", "-n", "-C", str(ROOT), target, f"VENV={tmp_path}/v"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"-m venv {tmp_path}/v" in done.stdout
    assert "-c requirements.lock" in done.stdout


def test_make_compare_installs_and_compares(tmp_path):
    text = subprocess.run(
        ["make", "-n", "-C", str(ROOT), "compare", f"VENV={tmp_path}/v"], capture_output=True, text=True, check=True
    ).stdout
    assert f"{tmp_path}/v/bin/gridseam compare scenarios/library/three_cells.yaml" in text


def test_an_old_python_is_refused_in_words(tmp_path):
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", str(ROOT), "compare", f"VENV={tmp_path}/v", f"PYTHON={old}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "gridseam needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.1" in done.stderr


def test_ci_runs_make_test_and_nothing_else():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert script.read_text().splitlines()[1:] == ["exec make test"]


def test_the_lock_pins_every_dependency_and_names_no_place():
    import tomllib

    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", name)[0]).lower() for name in wanted}
    assert names - pinned == set()


def test_the_lock_holds_the_versions_that_are_tested():
    import importlib.metadata as metadata

    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    wrong = [line for line in lines if metadata.version(line.partition("==")[0]) != line.partition("==")[2]]
    assert wrong == []
