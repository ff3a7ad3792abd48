import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SMALL = """\
name: small
time:
  start: "2016-07-20T00:00:00+02:00"
  duration: 24 h
  step: 60 s
seed: 3
pairing: {architecture: local, stage: 1}
dsos:
  - name: north
    cell: 1
    interfaces:
      - bus: 4
        trafo: {sn_mva: 700}
        grids:
          - {grid: cigre_mv, count: 2, pv_mw_per_mw_load: 0.5}
          - {grid: mv_oberrhein}
disturbances:
  - {at: "15:00", kind: line_fault, feeder: north.f02, line: 3}
variants:
  short: {time: {duration: 2 h}, disturbances: []}
"""


@pytest.fixture
def small():
    """A scenario that is right, as text."""
    return SMALL


def tree(folder):
    """Everything below a folder, with its kind."""
    return sorted((p.relative_to(folder).as_posix(), p.is_dir()) for p in folder.rglob("*"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of the scenario, which is where the user stands; beside it lies what is not theirs to read."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GRIDSEAM_TRUST_CODE", raising=False)
    return folder


@pytest.fixture(scope="session")
def loaded():
    """Import what the commands need, so that a case's time is its own."""
    import gridseam.axes
    import results.kpis.table
    import results.runfile
    import scenarios.ground
    import scenarios.load

    return gridseam.axes, results.kpis.table, results.runfile, scenarios.ground, scenarios.load


@pytest.fixture
def gridseam(loaded, home, monkeypatch, capsys):
    """Run the command line in this process; returns code, words and CPU seconds, and sees that nothing is left."""
    from gridseam.cli import main

    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments):
        before = tree(home.parent)
        monkeypatch.setattr(sys, "argv", ["gridseam", *map(str, arguments)])
        capsys.readouterr()
        started = time.process_time()
        with pytest.raises(SystemExit) as ended:
            main()
        spent_s = time.process_time() - started
        said = capsys.readouterr()
        assert tree(home.parent) == before, "something was left behind"
        done = subprocess.CompletedProcess(arguments, ended.value.code, said.out, said.err)
        done.spent_s = spent_s
        return done

    return call


@pytest.fixture
def refused(gridseam, home):
    """Write a scenario, validate it, and return what was said, having seen that it was refused as it should be."""

    def call(content, *options, name="winter.yaml"):
        path = home / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        done = gridseam("validate", name, *options)
        assert done.returncode == 2, done.stderr or done.stdout
        assert "Traceback" not in done.stderr + done.stdout
        assert len(done.stderr) < 6000, "a flood of words"
        assert done.spent_s < 2, f"took {done.spent_s:.1f} s"
        return done.stderr

    return call


@pytest.fixture
def root():
    """The checkout."""
    return Path(__file__).parents[2]


@pytest.fixture
def fresh(home, root):
    """Run Python in an interpreter of its own."""

    def call(*arguments, **environment):
        env = {k: v for k, v in os.environ.items() if k != "GRIDSEAM_TRUST_CODE"}
        env |= {"PYTHONPATH": str(root), "COLUMNS": "160"} | environment
        return subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=home, env=env, capture_output=True, text=True, check=False
        )

    return call
