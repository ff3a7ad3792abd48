"""A simulator's process: noticed where it does not come, ended where it does not go."""

import sys
import time

import pytest

from sims.core import process
from sims.core.errors import ModelError
from sims.core.harness import Harness


def start(command):
    with Harness() as world:
        world.start("other", command, "Model", ["one"], {}, {})


def test_one_that_never_connects_is_given_up(monkeypatch):
    monkeypatch.setattr(process, "CONNECT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"other at 0\.000 s: does not start: .*has not connected within 0 s"):
        start(f"{sys.executable} -c 'import time; time.sleep(600)' %(addr)s")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("python 'never closed %(addr)s", "No closing quotation"),
        ("python %(adr)s %(addr)s", "'adr'"),
        ("python 100% %(addr)s", "unsupported format character"),
    ],
)
def test_a_command_that_cannot_be_read_is_told(command, says):
    with pytest.raises(ModelError, match=rf"other at 0\.000 s: does not start: .*{says}"):
        start(command)
