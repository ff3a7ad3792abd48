"""kill -9, Ctrl-C, a full disk and damaged bits: what was flushed stays readable, and what is damaged is told."""

import random
import signal
import subprocess

import h5py
import numpy as np
import pytest

from results.kpis.table import compute
from results.repair import repair
from results.runfile import Run, RunError
from scenarios.load import load
from scenarios.run import run_pairing
from sims.core.errors import GridseamError

WRITE = """\
import sys, time
import numpy as np
from results.layout import Kind, Quantity, action_table
from results.writer import RunWriter

kind = Kind('bus', [f'bus{k}' for k in range(300)], [Quantity('vm_pu', '1', 'voltage', dtype='f8')], {}, 1000)
table = action_table({'actor': ['a'], 'duty': ['d'], 'asset': ['x'], 'quantity': ['q']})
writer = RunWriter('run.h5', attrs={'title': 'x'}, start_iso='2026-01-01T00:00:00+00:00', kinds=[kind], events=[table],
                   flush_s=0.05)
for row in range(100_000):
    writer.append('bus', row * 1000, {'vm_pu': row + np.arange(300) / 1000})
    writer.append_events('actions', {'t_ms': [row * 1000], 'actor': ['a'], 'duty': ['d'], 'asset': ['x'],
                         'quantity': ['q'], 'value': [float(row)], 'count': [1], 'refused': ['']})
    if row % 16 == 0:
        print(row, flush=True)
        time.sleep(0.001)
"""


def killed_while_writing(folder, python, delay_s):
    """Kill a writer after some time; return the last row it had told of, and the mended file."""
    from pathlib import Path

    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [python, "-c", WRITE], cwd=folder, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert process.stdout.readline()
    try:
        process.wait(delay_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    said, wrong = process.communicate()
    assert process.returncode == -signal.SIGKILL, wrong
    told = [0, *(int(line) for line in said.split("\n")[:-1])]
    return told[-1], repair(folder / "run.h5", folder / "mended.h5")


def kills(tmp_path, count, seed):
    import sys

    lost = []
    rng = random.Random(seed)
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        told, mended = killed_while_writing(folder, sys.executable, rng.uniform(0.0, 1.2))
        with Run(mended) as run:
            run.check()
            assert run.status == "aborted"
            found = run.values("bus", "vm_pu")
            rows = len(found)
            assert np.array_equal(found, np.arange(rows)[:, None] + np.arange(300) / 1000)
            assert np.array_equal(run.seconds("bus"), np.arange(rows))
            acts = run.column("actions", "value")
            assert np.array_equal(acts, np.arange(len(acts)))
            lost.append(told + 1 - rows)
    return lost


def test_killed_at_five_random_moments(tmp_path):
    lost = kills(tmp_path, 5, "short")
    assert max(lost) <= 256


@pytest.mark.validate
def test_killed_at_fifty_random_moments(tmp_path):
    lost = kills(tmp_path, 50, "long")
    assert len(lost) == 50
    assert max(lost) <= 256


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_command_told_to_end_closes_its_file(scene, child, tmp_path, by):
    body = (
        "import gridseam.cli, scenarios.matrix\n"
        "sys.argv = ['gridseam', 'run', 'small.yaml', '--architecture', 'centralized', '--stage', '2', '--out', 'runs',"
        " '-x', 'time.duration=24 h', '-x', 'disturbances=[]']\n"
        "from gridseam import progress as shown\n"
        "tell = shown.Display.advanced\n"
        "def advanced(self, job, now_ms):\n    progress(now_ms)\n    tell(self, job, now_ms)\n"
        "shown.Display.advanced = advanced\n"
        "gridseam.cli.main()"
    )
    run = child(body)
    run.wait_for(1_800_000)
    code, said = run.end(by)
    assert code == 130
    assert "Traceback" not in said
    with Run(tmp_path / "runs" / "centralized-2.h5") as file:
        assert file.status == "aborted"
        file.check()
        assert file.seconds("cell")[-1] >= 1740
        figures = file.kpis
        assert figures == pytest.approx(compute(file), nan_ok=True)
        assert np.isfinite(figures["losses_distribution_mwh"])


def test_a_run_in_this_process_closes_its_file_too(scene, tmp_path):
    def progress(now_ms):
        if now_ms >= 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pairing(load(scene), "local", 1, tmp_path, progress=progress)
    with Run(tmp_path / "local-1.h5") as file:
        assert file.status == "aborted"
        assert len(file.seconds("cell")) >= 5
        assert file.kpis


def test_no_room_is_told_before_the_file_is_harmed(scene, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    calls = iter(range(10_000))

    def full(_):
        return usage._replace(free=10**9 if next(calls) < 3 else 10**6)

    monkeypatch.setattr("results.writer.shutil.disk_usage", full)
    with pytest.raises(GridseamError, match=r"1 MB free in .* needed for the next rows; free some space"):
        run_pairing(load(scene, "twenty_minutes"), "local", 1, tmp_path)
    monkeypatch.undo()
    with Run(repair(tmp_path / "local-1.h5", tmp_path / "mended.h5")) as mended:
        mended.check()
        assert mended.status == "aborted"


FILL = """\
import resource, signal, sys
import numpy as np
from results.layout import Kind, Quantity
from results.writer import RunWriter
from sims.core.errors import ModelError

if {limit}:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
kind = Kind('bus', [f'bus{{k}}' for k in range(300)], [Quantity('vm_pu', '1', 'voltage', dtype='f8')], {{}}, 1000)
try:
    with RunWriter('{path}', attrs={{'title': 'x'}}, start_iso='2026-01-01T00:00:00+00:00', kinds=[kind]) as writer:
        for row in range(100_000):
            writer.append('bus', row * 1000, {{'vm_pu': row + np.arange(300) / 1000}})
except ModelError as err:
    print(err)
    raise SystemExit(3)
"""


def filled(path, limit, folder):
    import sys
    from pathlib import Path

    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", FILL.format(path=path, limit=limit)], cwd=folder, check=False, capture_output=True,
        text=True, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )


def readable_rows(path, target):
    with Run(repair(path, target)) as run:
        run.check()
        found = run.values("bus", "vm_pu")
    assert np.array_equal(found, np.arange(len(found))[:, None] + np.arange(300) / 1000)
    return len(found)


def test_writes_that_fail_end_the_run_and_keep_what_was_flushed(tmp_path):
    """The kernel refuses to let the file grow beyond 8 MB, as a full disk or a quota would."""
    done = filled("run.h5", 8_000_000, tmp_path)
    assert done.returncode == 3, done.stderr[-2000:]
    assert "cannot write run.h5 any further: File too large; free some space or write elsewhere" in done.stdout
    assert "Traceback" not in done.stderr
    assert readable_rows(tmp_path / "run.h5", tmp_path / "mended.h5") >= 256


def test_a_full_disk_ends_the_run_and_keeps_what_was_flushed(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", disk]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here; the test above limits the file instead")
    try:
        done = filled(disk / "run.h5", 0, tmp_path)
        assert done.returncode == 3, done.stderr[-2000:]
        assert "free some space or write elsewhere (what was written is kept)" in done.stdout
        assert readable_rows(disk / "run.h5", tmp_path / "mended.h5") >= 256
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small):
    """A complete run file, and all that a reader gets out of it."""
    folder = tmp_path_factory.mktemp("finished")
    path = run_pairing(load(small, "twenty_minutes"), "centralized", 2, folder)
    return path, everything(path)


def everything(path):
    """All that gridseam reads from a run file: numbers, texts, attributes, key figures."""
    found = {}
    with Run(path) as run:
        run.check()
        found["attrs"] = dict(run.attrs)
        found["provenance"] = dict(run.provenance)
        found["status"], found["kpis"] = run.status, run.kpis
        for group in (*run.kinds, *run.tables, "kpi"):
            found[f"{group}@"] = run.group_attrs(group)
            for column in run.columns(group):
                data = run.dataset(group, column)
                found[f"{group}/{column}"] = data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]
                found[f"{group}/{column}@"] = run.about(group, column)
    return found


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return a.shape == np.shape(b) and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a == b or (a != a and b != b)


def flips(finished, tmp_path, count, seed):
    """Flip single bits all over the file; each is told when it is read, or what is read is the same."""
    path, sound = finished
    raw = path.read_bytes()
    rng = random.Random(seed)
    told = without_effect = 0
    for number in range(count):
        at = rng.randrange(8 * len(raw))
        data = bytearray(raw)
        data[at // 8] ^= 1 << at % 8
        damaged = tmp_path / f"{number}.h5"
        damaged.write_bytes(data)
        try:
            found = everything(damaged)
        except RunError:
            told += 1
        else:
            assert same(found, sound), f"bit {at % 8} of byte {at // 8} of {len(raw)} changes what is read, unnoticed"
            without_effect += 1
        damaged.unlink()
    return told, without_effect


def test_twenty_flipped_bits_are_told_or_without_effect(finished, tmp_path):
    told, _ = flips(finished, tmp_path, 20, "short")
    assert told > 0


@pytest.mark.validate
def test_a_hundred_flipped_bits_are_told_or_without_effect(finished, tmp_path):
    told, without_effect = flips(finished, tmp_path, 100, "long")
    assert told + without_effect == 100
