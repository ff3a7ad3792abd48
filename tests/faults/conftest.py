import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "scenarios" / "data" / "small.yaml"
CHILD = """\
import sys
import scenarios.cell
import scenarios.resume
scenarios.cell.source_digest = lambda: "of one and the same gridseam"
scenarios.resume.EVERY_MS = {every_ms}
from scenarios.load import load
from scenarios.run import resume, run_pairing
from pathlib import Path

def progress(now_ms):
    print(now_ms, flush=True)

{body}
"""


@pytest.fixture(scope="session")
def small():
    """A scenario of an hour that runs in seconds: three DSOs, faults, a dead control room."""
    return SMALL


def difference(one, two):
    """What differs between two run files, dataset for dataset and attribute for attribute, provenance apart."""
    found = []

    def alike(a, b):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")

    with h5py.File(one, "r") as a, h5py.File(two, "r") as b:
        names = [[], []]
        for file, into in zip((a, b), names, strict=True):
            file.visit(into.append)
        found += [f"only in one: {name}" for name in set(names[0]) ^ set(names[1])]
        for name in ["/", *(n for n in names[0] if n in names[1])]:
            if name == "provenance":
                continue
            x, y = a[name], b[name]
            if isinstance(x, h5py.Dataset) and not alike(x[()], y[()]):
                found.append(f"data: {name}")
            for key in set(x.attrs) | set(y.attrs):
                if key in ("DIMENSION_LIST", "REFERENCE_LIST"):
                    continue
                if key not in x.attrs or key not in y.attrs or not alike(x.attrs[key], y.attrs[key]):
                    found.append(f"attribute: {name}@{key}")
    texts = [Path(p).with_suffix(".events.jsonl") for p in (one, two)]
    content = [t.read_bytes() if t.is_file() else b"" for t in texts]
    if content[0] != content[1]:
        found.append("events.jsonl")
    return found


class Child:
    """A process of its own that runs something, and tells how far it has come."""

    def __init__(self, folder, body, every_ms=300_000, **environment):
        env = os.environ | {"PYTHONPATH": str(ROOT), "GRIDSEAM_CHECKPOINT_S": "0"} | environment
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(body=body, every_ms=every_ms)], cwd=folder, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def wait_for(self, now_ms):
        """Return when the run has reached `now_ms`."""
        for line in self.process.stdout:
            if line.strip().isdigit() and int(line) >= now_ms:
                return
        raise AssertionError(f"it ended before: {self.process.stderr.read()}")

    def end(self, by=signal.SIGKILL, within_s=30):
        """Send a signal; return exit code and last words."""
        self.process.send_signal(by)
        _, said = self.process.communicate(timeout=within_s)
        return self.process.returncode, said


@pytest.fixture
def child(tmp_path):
    """Start processes in a folder of the test's own; none outlives it."""
    started = []

    def start(body, **options):
        started.append(Child(tmp_path, body, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate(timeout=30)


@pytest.fixture
def scene(tmp_path, small):
    """The scenario, copied into the folder of the test."""
    path = tmp_path / "small.yaml"
    shutil.copyfile(small, path)
    return path


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Keep a checkpoint every five simulated minutes, however little time has gone by."""
    import scenarios.cell
    import scenarios.resume

    monkeypatch.setattr(scenarios.cell, "source_digest", lambda: "of one and the same gridseam")
    monkeypatch.setenv("GRIDSEAM_CHECKPOINT_S", "0")
    monkeypatch.setattr(scenarios.resume, "EVERY_MS", 300_000)


def eventually(true, within_s=10.0, every_s=0.05):
    """Tell whether `true` becomes so in time."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if true():
            return True
        time.sleep(every_s)
    return bool(true())


@pytest.fixture
def differing():
    return difference


@pytest.fixture
def soon():
    return eventually
