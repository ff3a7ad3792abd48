"""A controller in a process of its own decides as it would here; it may crash, hang and be restarted."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controllers.checks import _wire
from controllers.isolation import Isolation
from controllers.loading import built, load_class
from controllers.rehearsal import day_at, stand_ins
from controllers.watchdog import OverdueError
from sims.core.errors import ControllerError, ScenarioError

ROOT = Path(__file__).parents[2]
MINE = """\
import os, time
import numpy as np
from controllers.contract import command
from sims.core.message import Message

class Mine:
    urgent = frozenset({"fault"})
    reads = frozenset({"primary", "own"})

    def __init__(self, site):
        self.site, self.total, self.due_s = site, 0.0, None
        self.first = site.rng.random()
        self.rows = np.zeros(3)

    def decide(self, now_s, inbox):
        for message in inbox:
            for value in message.values.values():
                if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                    self.total += float(value.sum())
                    assert not value.flags.writeable
        self.due_s = now_s + 120.0 if len(inbox) % 2 else None
        device = self.site.grid.feeders[0].devices.index[:3]
        self.rows = self.site.rng.standard_normal(3) + self.total
        return [command(self.site, "dso_1.f03.s2", "manage_congestion", device=device, p_max_mw=np.abs(self.rows)),
                Message("x", "tso", "note", {"first": self.first})]

class Fails(Mine):
    def decide(self, now_s, inbox):
        self.total += 1
        if now_s == 60:
            BODY
        return [Message("x", "tso", "note", {"total": self.total, "drawn": self.site.rng.random()})]

class Unbuilt(Mine):
    def __init__(self, site):
        raise KeyError("gain")

class Slow(Mine):
    def __init__(self, site):
        time.sleep(1000)

class Board(Mine):
    def __init__(self, site):
        self.board = []

class Keeps(Mine):
    def __init__(self, site):
        super().__init__(site)
        self.rule = lambda x: x
"""


@pytest.fixture
def apart(tmp_path):
    """Put controllers of a class into a process of their own; returns who stands for them."""
    started = []

    def start(name="Mine", body="pass", sites=None, budget_s=60.0):
        (tmp_path / "mine.py").write_text(MINE.replace("BODY", body))
        started.append(Isolation(f"./mine.py:{name}", tmp_path, sites or stand_ins()[:1], budget_s))
        return started[-1].controllers()

    yield start
    for one in started:
        one.end()


def wires(sent):
    return [_wire(message) for message in sent]


def pid_of(isolated):
    return isolated._isolation._child._popen.pid


def gone(pid, within_s=5.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        status = Path(f"/proc/{pid}/stat")
        try:
            if status.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_it_decides_as_it_would_here_to_the_last_bit(apart, tmp_path):
    sites = stand_ins()[:2]
    there = apart(sites=sites)
    here = [built(load_class("./mine.py:Mine", tmp_path), site) for site in sites]
    for site, one, other in zip(sites, here, there, strict=True):
        assert (other.urgent, other.reads) == (one.urgent, one.reads)
        for t_ms, box in day_at(site):
            expected = one.decide(t_ms / 1000, box)
            assert wires(other.decide(t_ms / 1000, box)) == wires(expected)
            assert other.due_s == one.due_s


def test_it_goes_on_from_a_kept_state_random_numbers_and_all(apart):
    one, = apart()
    mail = day_at(stand_ins()[0])
    for t_ms, box in mail[:20]:
        one.decide(t_ms / 1000, box)
    kept = one.get_state()
    expected = [wires(one.decide(t_ms / 1000, box)) for t_ms, box in mail[20:40]]
    other, = apart()
    for again in (other, one):
        again.set_state(kept)
        assert [wires(again.decide(t_ms / 1000, box)) for t_ms, box in mail[20:40]] == expected


def test_what_cannot_be_kept_is_told(apart):
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 0\.000 s: .*pickle"):
        apart("Keeps")[0].get_state()


def totals(sent):
    return [(m.values["total"], m.values["drawn"]) for m in sent]


@pytest.mark.parametrize(("body", "how"), [
    ("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), 11)", "signal 11"),
    ("import ctypes; ctypes.string_at(0)", "signal 11"),
])
def test_one_that_crashes_is_named_and_followed_by_a_fresh_one(apart, body, how):
    one, other = apart("Fails", body, stand_ins()[:2])
    first = totals(one.decide(0.0, []))
    assert totals(one.decide(30.0, []))[0][0] == 2.0
    dead = pid_of(one)
    with pytest.raises(ControllerError, match=rf"dso_1\.dms at 60\.000 s: its process has ended \({how}\), and with"):
        one.decide(60.0, [])
    assert gone(dead)
    assert totals(one.decide(90.0, [])) == first, "it begins anew, with its first random numbers"
    assert pid_of(other) == pid_of(one) != dead


def test_one_that_raises_keeps_its_process_and_what_it_remembers(apart):
    one, = apart("Fails", "raise ValueError('no gain')")
    one.decide(0.0, [])
    pid = pid_of(one)
    with pytest.raises(ControllerError, match=r"dso_1\.dms at 60\.000 s: ValueError: no gain$"):
        one.decide(60.0, [])
    assert totals(one.decide(90.0, []))[0][0] == 3.0
    assert pid_of(one) == pid


@pytest.mark.parametrize("body", [
    "time.sleep(1000)", "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "import signal; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; time.sleep(1000)",
])
def test_one_that_hangs_is_killed_even_in_a_loop_of_c(apart, body):
    one, = apart("Fails", body, budget_s=1.0)
    one.decide(0.0, [])
    pid, since_s = pid_of(one), time.monotonic()
    with pytest.raises(OverdueError, match=r"dso_1\.dms at 60\.000 s: has not decided within 1 s"):
        one.decide(60.0, [])
    assert time.monotonic() - since_s < 5.0
    assert gone(pid)


def test_what_it_sends_must_be_readable_here(apart):
    one, = apart("Fails", "return [lambda: 3]")
    with pytest.raises(ControllerError, match=r"at 60\.000 s: .*pickle"):
        one.decide(60.0, [])
    other, = apart("Fails", "return [self.__class__]")
    with pytest.raises(ControllerError, match=r"at 60\.000 s: sent what cannot be read: ModuleNotFoundError"):
        other.decide(60.0, [])
    assert other.decide(90.0, [])


@pytest.mark.parametrize(("name", "error", "says"), [
    ("Mne", ScenarioError, "did you mean Mine"),
    ("Unbuilt", ControllerError, "Unbuilt cannot be built: KeyError: 'gain'"),
    ("Board", ControllerError, "shares a board with others; it cannot be isolated"),
])
def test_what_cannot_sit_there_is_refused_at_once(apart, name, error, says):
    with pytest.raises(error, match=says):
        apart(name)


def test_one_that_is_never_built_is_not_waited_for(apart, monkeypatch):
    monkeypatch.setattr("controllers.isolation.START_S", 3.0)
    with pytest.raises(OverdueError, match=r"dso_1\.dms at 0\.000 s: has not been built within 3 s"):
        apart("Slow")


def test_a_file_that_does_not_load_is_refused_with_its_reason(apart):
    with pytest.raises(ScenarioError, match=r"mine\.py:Fails' fails to load: SyntaxError"):
        apart("Fails", "return [")


def test_the_pandapower_net_stays_behind(apart):
    one, = apart("Fails", "self.site.grid.feeders[0].grid.net()")
    with pytest.raises(ControllerError, match="GridError: an isolated controller has the arrays of a grid"):
        one.decide(60.0, [])


def test_its_process_ends_when_it_is_let_go(apart, tmp_path):
    one, = apart()
    pid = pid_of(one)
    one.release()
    assert gone(pid)
    one.release()
    (other,) = Isolation("./mine.py:Mine", tmp_path, stand_ins()[:1], 60.0).controllers()
    pid = pid_of(other)
    del other
    gc.collect()
    assert gone(pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the death signal of Linux")
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_its_process_ends_with_the_one_that_started_it_even_while_it_hangs(apart, tmp_path, by):
    apart("Fails", "time.sleep(1000)")
    code = (
        "from pathlib import Path; import numpy as np; from controllers.belief import Belief; "
        "from controllers.contract import Site; from controllers.isolation import Isolation; "
        "site = Site('dso_1.dms', 'dms', frozenset(), Belief(), (), 60_000, np.random.default_rng(1)); "
        f"one, = Isolation('./mine.py:Fails', Path({str(tmp_path)!r}), [site], 600.0).controllers(); "
        "print(one._isolation._child._popen.pid, flush=True); one.decide(60.0, [])"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    pid = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.send_signal(by)
    parent.wait(10)
    assert gone(pid)
    parent.stdout.close()
