"""Processes that end with whoever has started them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

SERIAL = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
          "OMP_WAIT_POLICY": "passive"}  # fmt: skip
"""One thread a process: they share the cores already, and a spinning pool would cost more than it gives."""
_LEASH = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: survives the change of program below
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as err:
    sys.exit(f"{sys.argv[2]}: {err.strerror}")
"""


def leashed(command: Sequence[str]) -> list[str]:
    """Return a command that does the same, in a process that, on Linux, is killed when ours is."""
    if os.name == "nt":
        return [*command]
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command]


def how_it_ended(code: int) -> str:
    """Return the exit code of a process, or the signal that has ended it, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
