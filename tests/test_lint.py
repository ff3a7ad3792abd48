"""The house rules that tools hold: style, types, and imports that run down."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-m", "ruff", "check", "."], id="style"),
        pytest.param([sys.executable, "-m", "mypy"], id="types"),
        pytest.param([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], id="imports"),
    ],
)
def test_the_whole_tree_passes(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
