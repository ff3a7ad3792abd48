"""A simulator that nobody here wrote, installed into an environment of its own, in a scenario by name and command."""

import os
import subprocess
import sys

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing
from scenarios.trust import trust_code
from sims.core.errors import ModelError, ScenarioError

WANTED = "mosaik-csv==2.0.1"
SHORT = {"time.duration": "6 min", "disturbances": []}
COMPANY = """\
company:
  - name: radiation
    start: {start}
    model: Sun
    count: 2
    settings: {{sim_start: "2016-07-22 13:00:00", datafile: {data}}}
    record: [ghi, {second}]
"""


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """The command of mosaik-csv, installed where gridseam is not."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    bin_ = folder / ("Scripts" if os.name == "nt" else "bin")
    done = subprocess.run(
        [bin_ / "python", "-m", "pip", "install", "-q", WANTED], capture_output=True, text=True, check=False
    )
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"{WANTED} cannot be installed: {done.stderr[-500:]}")
        pytest.skip(f"{WANTED} cannot be installed here")
    found = subprocess.run([bin_ / "python", "-c", "import gridseam"], capture_output=True, check=False, cwd=folder)
    assert found.returncode, "gridseam is not to be there"
    return f"{bin_ / 'python'} -m mosaik_csv"


@pytest.fixture
def with_company(scene, tmp_path, elsewhere):
    rows = [f"2016-07-22 13:{m:02d}:00,{100 + m},{20 - m / 10}" for m in range(12)]
    (tmp_path / "sun.csv").write_text("Sun\ndate,ghi,temp\n" + "\n".join(rows) + "\n")

    def write(second="temp", start=f"{elsewhere} %(addr)s"):
        entry = COMPANY.format(start=start, data=tmp_path / "sun.csv", second=second)
        scene.write_text(scene.read_text() + entry)
        return scene

    yield write
    trust_code(False)


def test_it_runs_beside_ours_and_what_it_writes_is_recorded(with_company, tmp_path):
    path = with_company()
    with pytest.raises(ScenarioError, match=r"company\.0\.start: starts a program .* give --trust-code"):
        load(path, None, SHORT)
    trust_code()
    with Run(run_pairing(load(path, None, SHORT), "local", 1, tmp_path)) as run:
        assert run.status == "complete"
        assert run.labels("radiation") == ["radiation.01", "radiation.02"]
        minute = np.arange(6.0)
        assert run.seconds("radiation").tolist() == (60 * minute).tolist()
        assert run.values("radiation", "ghi").tolist() == np.repeat(100 + minute, 2).reshape(6, 2).tolist()
        assert run.values("radiation", "temp")[:, 0] == pytest.approx(20 - minute / 10)
        assert len(run.seconds("feeder")) == 6


def test_what_it_does_not_have_is_named(with_company, tmp_path):
    trust_code()
    path = with_company("wind")
    with pytest.raises(ModelError, match=r"radiation at 0\.000 s: radiation\.01 has no 'wind'"):
        run_pairing(load(path, None, SHORT), "local", 1, tmp_path)
    assert not (tmp_path / "local-1.h5").exists()


def test_one_that_does_not_start_is_named(with_company, tmp_path):
    trust_code()
    path = with_company(start="no-such-program %(addr)s")
    with pytest.raises(ModelError, match=r"radiation at 0\.000 s: does not start"):
        run_pairing(load(path, None, SHORT), "local", 1, tmp_path)
    assert not (tmp_path / "local-1.h5").exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the process in /proc")
def test_one_that_is_killed_is_noticed_and_named(with_company, tmp_path):
    import signal
    import time

    trust_code()
    killed = []

    def progress(now_ms):
        if now_ms == 120_000:
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        with open(f"/proc/{entry}/cmdline", "rb") as file:
                            mine = b"mosaik_csv" in file.read()
                        with open(f"/proc/{entry}/stat", "rb") as file:
                            parent = int(file.read().rpartition(b")")[2].split()[1])
                    except OSError:
                        continue
                    if mine and parent == os.getpid():
                        os.kill(int(entry), signal.SIGKILL)
                        killed.append(time.monotonic())

    with pytest.raises(ModelError, match=r"radiation at \d+\.000 s: (its process has ended|ConnectionClosed)"):
        run_pairing(load(with_company(), None, SHORT), "local", 1, tmp_path, progress=progress)
    assert len(killed) == 1
    assert time.monotonic() - killed[0] < 5
    with Run(tmp_path / "local-1.h5") as run:
        assert run.status == "aborted"
