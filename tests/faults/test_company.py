"""Simulators that nobody here wrote, in processes of their own: in a scenario by name and command."""

import gc
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing
from scenarios.schema_company import TAKEN
from scenarios.trust import trust_code
from sims.core.errors import ModelError, ScenarioError

ROOT = Path(__file__).parents[2]
WANTED = ("mosaik-csv==2.0.1", "mosaik-pandapower-2==1.1.1")
SHORT = {"time.duration": "4 min", "disturbances": []}
HEART = """\
import mosaik_api_v3, os, signal

class Heart(mosaik_api_v3.Simulator):
    def __init__(self):
        own = {"public": True, "params": [], "attrs": ["rate"]}
        part = {"public": False, "params": [], "attrs": ["flow"]}
        models = {"Heart": own, "Chamber": part}
        super().__init__({"api_version": "3.0", "type": "time-based", "models": models})

    def init(self, sid, time_resolution, does=""):
        with open("pids", "a") as file:
            file.write(f"{os.getpid()}\\n")
        self.does, self.now_ms = does, 0
        if does == "refuse":
            raise ValueError("no rhythm")
        if does == "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return self.meta

    def finalize(self):
        while self.does == "ignore":
            signal.pause()

    def create(self, num, model):
        parts = [{"eid": side, "type": "Chamber"} for side in ("left", "right")]
        return [{"eid": f"heart{k}", "type": model, "children": parts if num == 1 else []} for k in range(num)]

    def step(self, now_ms, inputs, max_advance):
        self.now_ms = now_ms
        if now_ms == 120_000 and self.does == "raise":
            raise RuntimeError("skipped a beat")
        if now_ms == 120_000 and self.does == "exit":
            os._exit(7)
        return now_ms + 60_000

    def get_data(self, outputs):
        value = 60.0 + self.now_ms / 60_000
        if self.now_ms == 120_000 and self.does == "nan":
            value = float("nan")
        return {eid: dict.fromkeys(names, value) for eid, names in outputs.items()}

mosaik_api_v3.start_simulation(Heart())
"""
ENTRY = """\
company:
  - name: heart
    start: {python} heart.py %(addr)s
    model: Heart
    count: {count}
    parts: [{parts}]
    settings: {{does: "{does}"}}
    record: [{record}]
"""


def gone(pid):
    """Tell whether a process has ended; one that nobody has collected has."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


@pytest.fixture
def heart(scene, tmp_path):
    """A small simulator of somebody else's beside the scenario; `pids` gives the processes it has run in."""
    (tmp_path / "heart.py").write_text(HEART)
    whole = scene.read_text()

    def write(does="", *, count=2, parts="", record="rate"):
        entry = ENTRY.format(python=sys.executable, does=does, count=count, parts=parts, record=record)
        scene.write_text(whole + entry)
        return scene

    def pids():
        return [int(line) for line in (tmp_path / "pids").read_text().split()]

    write.pids = pids
    trust_code()
    yield write
    trust_code(False)


linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks for processes in /proc")


def test_a_program_takes_consent(heart, tmp_path):
    trust_code(False)
    with pytest.raises(ScenarioError, match=r"company\.0\.start: starts a program .* give --trust-code"):
        load(heart(), None, SHORT)
    assert not (tmp_path / "pids").exists()


FAULTY = {
    "raise": r"heart at 120\.000 s: .*(skipped a beat|has ended|ConnectionClosed)",
    "exit": r"heart at 120\.000 s: (its process has ended \(code 7\)|ConnectionClosed)",
    "nan": r"heart at 120\.000 s: rate of heart\.01 is nan; null says that there is no value",
}


@linux
@pytest.mark.parametrize("does", FAULTY)
def test_one_at_fault_is_named_with_its_time_and_ends(heart, tmp_path, does):
    with pytest.raises(ModelError, match=FAULTY[does]):
        run_pairing(load(heart(does), None, SHORT), "local", 1, tmp_path)
    with Run(tmp_path / "local-1.h5") as run:
        assert run.status == "aborted"
        assert run.seconds("heart").tolist() == [0, 60]
        assert run.values("heart", "rate").tolist() == [[60, 60], [61, 61]]
    assert [gone(pid) for pid in heart.pids()] == [True]


@linux
def test_one_that_is_killed_is_noticed_within_two_seconds(heart, tmp_path):
    killed = []

    def progress(now_ms):
        if now_ms == 120_000:
            killed.append(time.monotonic())
            os.kill(heart.pids()[0], signal.SIGKILL)

    with pytest.raises(ModelError, match=r"heart at \d+\.000 s: (its process has ended \(code -9\)|ConnectionClosed)"):
        run_pairing(load(heart(), None, SHORT | {"time.duration": "20 min"}), "local", 1, tmp_path, progress=progress)
    assert time.monotonic() - killed[0] < 2.0  # and the file is closed
    with Run(tmp_path / "local-1.h5") as run:
        assert run.status == "aborted"
    assert gone(heart.pids()[0])


@linux
def test_one_of_a_run_that_the_user_ends_is_ended_and_asyncio_has_nothing_to_add(heart, tmp_path, caplog):
    def progress(now_ms):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pairing(load(heart(), None, SHORT), "local", 1, tmp_path, progress=progress)
    assert [gone(pid) for pid in heart.pids()] == [True]
    gc.collect()
    assert "Runner for" not in caplog.text


ALONE = """\
import sys
from sims.core.harness import Harness
from sims.core.ports import Ports, Step

class Clock:
    ports = Ports(reads=("rate",))

    def step(self, now_ms, inputs):
        print(now_ms, flush=True)
        return Step(now_ms + 60_000)

with Harness() as world:
    world.start("heart", f"{sys.executable} heart.py %(addr)s", "Heart", ["heart.01"], {}, {})
    world.add("clock", Clock())
    world.listen("heart", "heart.01", "rate", "clock", "rate")
    world.run(10**9)
"""


@linux
def test_none_outlives_gridseam_itself(heart, tmp_path, soon):
    run = subprocess.Popen(
        [sys.executable, "-c", ALONE], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE,
    )
    assert any(int(line) >= 600_000 for line in run.stdout)
    (pid,) = heart.pids()
    assert not gone(pid)
    run.kill()
    run.wait()
    run.stdout.close()
    assert soon(lambda: gone(pid), within_s=2)


@linux
def test_one_that_will_not_end_is_ended(heart, tmp_path):
    with Run(run_pairing(load(heart("ignore"), None, SHORT), "local", 1, tmp_path)) as run:
        assert run.status == "complete"
        assert run.values("heart", "rate")[:, 1].tolist() == [60, 61, 62, 63]
    assert [gone(pid) for pid in heart.pids()] == [True]


REFUSED = {
    "what it does not have": ({"record": "pressure"}, r"heart at 0\.000 s: heart\.01, heart\.02 has no 'pressure'"),
    "a part it does not bring": (
        {"count": 1, "parts": "left, rihgt", "record": "flow"},
        r"heart at 0\.000 s: Heart brings no 'rihgt' \(did you mean right\?\)",
    ),
    "settings it refuses": ({"does": "refuse"}, r"heart at 0\.000 s: does not start: .*closed its connection"),
}


@linux
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_before_the_run_and_nothing_stays(heart, tmp_path, what):
    given, says = REFUSED[what]
    with pytest.raises(ModelError, match=says):
        run_pairing(load(heart(**given), None, SHORT), "local", 1, tmp_path)
    assert not (tmp_path / "local-1.h5").exists()
    assert [gone(pid) for pid in heart.pids()] == [True]


@pytest.mark.parametrize("command", ["no-such-program", f"{sys.executable} -c 'raise SystemExit(1)'"])
def test_one_that_does_not_start_is_named_at_once(heart, tmp_path, command):
    path = heart()
    path.write_text(path.read_text().replace(sys.executable, command))
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"heart at 0\.000 s: does not start: .*ended with code 1 before it connected"):
        run_pairing(load(path, None, SHORT), "local", 1, tmp_path)
    assert time.monotonic() - began < 20  # not the two minutes that it may take to connect
    assert not (tmp_path / "local-1.h5").exists()


def test_what_it_brings_with_it_is_recorded_by_its_id(heart, tmp_path):
    path = heart(count=1, parts="right, left", record="flow")
    with Run(run_pairing(load(path, None, SHORT), "local", 1, tmp_path)) as run:
        assert run.labels("heart") == ["heart.right", "heart.left"]
        assert run.values("heart", "flow").tolist() == [[60, 60], [61, 61], [62, 62], [63, 63]]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"record": "rate, rate"}, "'rate' stands here twice"),
        ({"record": "heart"}, "'heart' is taken in the run file"),
        ({"record": "../rate"}, "record"),
        ({"parts": "left"}, "are those of one entity; leave `count` out"),
    ],
)
def test_a_name_that_cannot_stand_in_a_run_file_is_refused(heart, given, says):
    with pytest.raises(ScenarioError, match=says):
        load(heart(**given), None, SHORT)


def test_no_simulator_takes_a_name_of_gridseams_own(heart, tmp_path):
    """`TAKEN` is what there really is: the groups of a run file, and our simulators."""
    change = SHORT | {"time.duration": "1 min", "transmission.frequency.model": "dynamic"}
    with Run(run_pairing(load(heart(), None, change), "centralized", 2, tmp_path)) as run:
        simulators = {name[5:-2] for name in run.provenance if name.startswith("wall_")} - {"assembly", "run"}
        ours = {name for name in (*run.file, *simulators) if not name.startswith(("dso_", "witness_", "heart"))}
    assert ours <= TAKEN
    for name in ("bus", "dso_1"):
        path = heart()
        path.write_text(path.read_text().replace("name: heart", f"name: {name}"))
        with pytest.raises(ScenarioError, match=f"'{name}' is taken by gridseam itself"):
            load(path, None, SHORT)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """The programs of an environment in which gridseam is not, and what we want is; it borrows libraries from ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ours, theirs = (Path(sysconfig.get_path("purelib", vars=v)) for v in (None, {"base": str(folder)}))
    if not (ours / "gridseam").exists():  # installed as editable: what is in this folder is other people's
        (theirs / "borrowed.pth").write_text(f"{ours}\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", *WANTED]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"{', '.join(WANTED)} cannot be installed: {done.stderr[-500:]}")
        pytest.skip(f"{', '.join(WANTED)} cannot be installed here")
    look = [python, "-c", "import gridseam"]
    found = subprocess.run(look, capture_output=True, text=True, check=False, cwd=folder)
    assert "No module named 'gridseam'" in found.stderr
    return python.parent


INSTALLED = """\
company:
  - name: radiation
    start: {bin}/python -m mosaik_csv %(addr)s
    model: Sun
    count: 2
    settings: {{sim_start: "2016-07-22 13:00:00", datafile: sun.csv}}
    record: [ghi, temp]
  - name: town
    start: {bin}/mosaik-pandapower-2 %(addr)s
    model: Grid
    settings: {{step_size: 60000}}
    params: {{network_function: create_cigre_network_mv}}
    parts: [Bus-1, Bus-6, Bus-14, Line-0, ExternalGrid-0]
    record: ["Vm[pu]", "P[MW]", "loading[%]"]
"""


def test_two_of_others_run_beside_ours_and_what_they_write_is_recorded(heart, scene, tmp_path, elsewhere):
    """A series from mosaik-csv, and a distribution grid of mosaik-pandapower-2, held against pandapower itself."""
    import pandapower as pp
    import pandapower.networks

    rows = [f"2016-07-22 13:{m:02d}:00,{100 + m},{20 - m / 10}" for m in range(12)]
    (tmp_path / "sun.csv").write_text("Sun\ndate,ghi,temp\n" + "\n".join(rows) + "\n")
    scene.write_text(scene.read_text() + INSTALLED.format(bin=elsewhere))
    with Run(run_pairing(load(scene, None, SHORT), "local", 1, tmp_path)) as run:
        assert run.status == "complete"
        assert run.labels("radiation") == ["radiation.01", "radiation.02"]
        minute = np.arange(4.0)
        assert run.seconds("radiation").tolist() == (60 * minute).tolist()
        assert run.values("radiation", "ghi").tolist() == np.repeat(100 + minute, 2).reshape(4, 2).tolist()
        assert run.values("radiation", "temp")[:, 0] == pytest.approx(20 - minute / 10)
        net = pandapower.networks.create_cigre_network_mv()
        pp.runpp(net)
        v, p, loading = (run.values("town", name) for name in ("Vm[pu]", "P[MW]", "loading[%]"))
        assert run.seconds("town").tolist() == (60 * minute).tolist()
        assert v[:, :3] == pytest.approx(np.tile(net.res_bus.vm_pu[[1, 6, 14]], (4, 1)), abs=1e-7)
        assert loading[:, 3] == pytest.approx(np.full(4, net.res_line.loading_percent[0]), rel=1e-7)
        assert p[:, 4] == pytest.approx(np.full(4, net.res_ext_grid.p_mw[0]), rel=1e-7)
        assert np.isnan(v[:, 3:]).all()
        assert len(run.seconds("feeder")) == 4
