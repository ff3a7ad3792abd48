"""What happens when a controller fails: it is named, its file is closed, the others finish."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.matrix import jobs_of, sweep
from scenarios.run import run_pairing
from sims.core.errors import ControllerError

ROOT = Path(__file__).parents[2]
OWN = "[{use: ./mine.py:Mine, at: dms, duties: [manage_congestion]}]"
BRITTLE = '''\
class Mine:
    urgent = frozenset()

    def __init__(self, site):
        self.site = site

    def decide(self, now_s, inbox):
        return [][3] if now_s >= 120 else []
'''
SHORT = {"time.duration": "4 min", "disturbances": [], "control.manage_congestion.cycle": "60 s"}


def test_the_error_names_site_and_time_and_the_file_is_closed(beside, tmp_path):
    scenario = load(beside(BRITTLE, OWN), None, SHORT)
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 120\.000 s: IndexError: list index out of range"):
        run_pairing(scenario, "centralized", 2, tmp_path / "out")
    with Run(tmp_path / "out" / "centralized-2.h5") as run:
        assert run.status == "aborted"
        assert run.seconds("system").tolist() == [0, 60]


def test_the_other_pairings_finish(beside, tmp_path):
    both = {"matrix": {"architecture": ["centralized", "local"], "stage": [2]}}
    scenario = load(beside(BRITTLE, OWN), None, SHORT | both)
    failed, done = sweep(jobs_of([scenario], tmp_path / "out"), 1)
    assert (failed.path, done.error) == (None, "")
    assert failed.error.startswith("dso_1.dms at 120.000 s: IndexError")
    assert "mine.py" in failed.trace
    with Run(done.path) as run:
        assert (run.status, run.seconds("system").size) == ("complete", 4)


@pytest.mark.parametrize("source", [BRITTLE.replace("[][3]", "None + 1"), BRITTLE.replace("[][3]", "[1]")])
def test_what_is_no_list_of_messages_is_the_controllers_fault_too(beside, tmp_path, source):
    scenario = load(beside(source, OWN), None, SHORT)
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 120\.000 s"):
        run_pairing(scenario, "centralized", 2, tmp_path / "out")


def test_the_command_line_ends_with_3_and_says_why(beside, tmp_path):
    path = beside(BRITTLE, OWN)
    asked = [a for key, value in SHORT.items() for a in ("-x", f"{key}={value}")]
    ended = subprocess.run(
        [sys.executable, "-m", "gridseam.cli", "run", str(path), "--architecture", "centralized", "--stage", "2",
         "--out", str(tmp_path / "out"), *asked],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr
    assert "dso_1.dms at 120.000 s: IndexError" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "IndexError" in (tmp_path / "out" / "centralized-2.failure.txt").read_text()
