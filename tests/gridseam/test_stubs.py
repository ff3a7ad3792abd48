"""What `gridseam new` writes works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gridseam.stubs import new_controller, new_scenario
from scenarios.load import load, variants
from sims.core.errors import ScenarioError

ROOT = Path(__file__).parents[2]


def test_a_new_scenario_is_valid_with_all_its_variants(tmp_path):
    path = new_scenario(tmp_path / "winter-day.yaml")
    assert load(path).name == "winter-day"
    assert len(load(path).feeders()) == 3
    assert load(path).expect
    for variant in variants(path):
        load(path, variant)


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """The tests that come with two new controllers, the second of them spoilt; outcome -> names, from one pytest."""
    folder = tmp_path_factory.mktemp("new")
    path, test = new_controller(folder / "volt_guard.py")
    assert (path.name, test.name) == ("volt_guard.py", "test_volt_guard.py")
    assert "class VoltGuard:" in path.read_text()
    path, _ = new_controller(folder / "mine.py")
    path.write_text(path.read_text().replace("p_max_mw=limit_mw", "p_max_mw=limit_mw * float('nan')"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "."], cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.findall(r"^(PASSED|FAILED) (\w+\.py)::", done.stdout, re.MULTILINE)
    assert len(found) == 6, done.stdout
    return found


def test_a_new_controller_passes_the_test_that_comes_with_it(tried):
    assert [how for how, file in tried if file == "test_volt_guard.py"] == ["PASSED"] * 3


def test_the_test_of_a_new_controller_fails_where_the_controller_does(tried):
    assert "FAILED" in [how for how, file in tried if file == "test_mine.py"]


@pytest.mark.parametrize(
    ("name", "said"), [("winter.txt", "is a .yaml file"), ("1.yaml", "begins with a letter"), ("a b.yaml", "begins")]
)
def test_names_that_are_none_are_refused(tmp_path, name, said):
    with pytest.raises(ScenarioError, match=said):
        new_scenario(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mine.yaml", "my-own.py", "2nd.py"])
def test_a_controller_wants_a_module_name(tmp_path, name):
    with pytest.raises(ScenarioError):
        new_controller(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path):
    (tmp_path / "test_mine.py").write_text("mine")
    with pytest.raises(ScenarioError, match=r"test_mine\.py.*is there already"):
        new_controller(tmp_path / "mine.py")
    assert [p.name for p in tmp_path.iterdir()] == ["test_mine.py"]
    assert (tmp_path / "test_mine.py").read_text() == "mine"


def test_the_command_refuses_with_exit_2(gridseam, tmp_path):
    done = gridseam("new", "scenario", "mine.yaml")
    assert done.returncode == 0
    assert "mine.yaml" in done.stdout
    done = gridseam("new", "scenario", "mine.yaml")
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert gridseam("new", "controller", "mine.yaml").returncode == 2
