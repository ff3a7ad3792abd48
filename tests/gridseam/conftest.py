import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def python(tmp_path):
    """Run Python in a folder of the user's own, with gridseam on its path."""

    def call(*arguments, **environment):
        env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | environment
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture
def gridseam(tmp_path, monkeypatch, capsys):
    """Run the command line in this process; returns what it left in the same form."""
    from gridseam.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gridseam", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code, said.out, said.err)

    return call
