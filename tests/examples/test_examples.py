"""The examples run as they stand, in a folder of their own, on a few minutes of their scenario."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAID = {
    "read_a_run.py": ("highest voltage 1.", "control_voltage: ", "curtailed "),
    "compare_pairings.py": ("voltage_violation_bus_h (h): local ", "centralized ", "report.html"),
    "own_controller.py": ("acts under manage_congestion, 0 refused", "curtailed "),
}


def test_every_example_is_run_here():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(SAID)


@pytest.mark.parametrize("name", sorted(SAID))
def test_the_example_runs(name, tmp_path):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), "10"], cwd=tmp_path, env=env, capture_output=True, text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in SAID[name]:
        assert words in done.stdout
