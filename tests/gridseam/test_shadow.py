from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = "import gridseam as gs, results, sys\nprint(gs.load('three_cells').name, results.__file__)\n"


def test_without_a_shadow_all_is_well(python, tmp_path):
    (tmp_path / "study.py").write_text(SCRIPT)
    done = python("study.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("three_cells ")


@pytest.mark.parametrize("name", ["sims", "controllers", "scenarios", "results"])
def test_a_file_beside_the_script_is_named(python, tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one ran')")
    (tmp_path / "study.py").write_text(SCRIPT)
    done = python("study.py")
    assert done.returncode == 1
    assert f"ImportError: {tmp_path / name}.py hides gridseam's own package '{name}': rename that file" in done.stderr


LATE = """\
import sys
from importlib.machinery import PathFinder
root = sys.argv[1]
sys.path = [p for p in sys.path if p != root]
class Late:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [root]) if path is None else None
sys.meta_path.append(Late)
"""
"""Finds gridseam as an editable install does: last, after a plain folder of the same name beside the script."""


@pytest.mark.parametrize("marker", ["__init__.py", "kpi.py"])
def test_a_folder_with_code_is_named(python, tmp_path, marker):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / marker).touch()
    (tmp_path / "study.py").write_text(LATE + SCRIPT)
    done = python("study.py", str(ROOT))
    assert done.returncode == 1
    assert f"{tmp_path / 'results'} hides gridseam's own package 'results': rename that folder" in done.stderr


def test_a_folder_of_output_does_no_harm(python, tmp_path):
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "study.py").write_text(LATE + SCRIPT)
    done = python("study.py", str(ROOT))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == str(ROOT / "results" / "__init__.py")
