"""Bad numbers, controllers that raise or hang, power flows without a solution: refused where they cross, by name."""

import math
import time

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing
from sims.core.errors import ControllerError, ModelError
from sims.core.harness import Harness
from sims.core.ports import Ports, Step

OWN = "controllers: [{{use: ./mine.py:Mine, at: dms, duties: [manage_congestion], budget: {budget}}}]\n"
MINE = """\
import time
from controllers.contract import command
from sims.core.message import Message
import numpy as np

class Mine:
    urgent = frozenset()

    def __init__(self, site):
        self.site = site

    def decide(self, now_s, inbox):
        if now_s < 120:
            return []
        {body}
"""
SHORT = {"time.duration": "4 min", "disturbances": [], "control.manage_congestion.cycle": "60 s"}


@pytest.fixture
def own(scene, tmp_path):
    """Put a controller of that body in the control rooms; returns the scenario."""

    def write(body, budget="60 s"):
        (tmp_path / "mine.py").write_text(MINE.format(body=body))
        scene.write_text(scene.read_text() + OWN.format(budget=budget))
        return load(scene, None, SHORT)

    return write


BODIES = {
    "raises": ("return [][3]", r"dso_1\.dms at 120\.000 s: IndexError"),
    "returns none": ("return None", r"dso_1\.dms at 120\.000 s: TypeError"),
    "returns no message": ("return [1]", r"dso_1\.dms at 120\.000 s: "),
    "sends nan": (
        "return [command(self.site, 'dso_1.f01', 'manage_congestion', device=np.array([0]), "
        "p_max_mw=np.array([np.nan]))]", r"dso_1\.dms at 120\.000 s: sent command/manage_congestion with p_max_mw not",
    ),
    "sends infinity": (
        "return [Message(self.site.name, 'dso_2.dms', 'note', {'x': float('inf')})]",
        r"dso_1\.dms at 120\.000 s: sent note with x not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_a_controller_at_fault_is_named_with_its_time(own, tmp_path, case):
    body, says = BODIES[case]
    with pytest.raises(ControllerError, match=says):
        run_pairing(own(body), "centralized", 2, tmp_path)
    with Run(tmp_path / "centralized-2.h5") as run:
        assert run.status == "aborted"
        assert run.seconds("system").tolist() == [0, 60]


@pytest.mark.parametrize("body", ["while True: pass", "time.sleep(1000)"])
def test_a_controller_that_hangs_is_stopped_within_its_budget_and_a_second(own, tmp_path, body):
    scenario = own(f"self.site.settings['began'].append(time.monotonic())\n        {body}", "2 s")
    began = []
    import scenarios.seats

    settings = scenarios.seats._settings

    def with_began(*arguments):
        return settings(*arguments) | {"began": began}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenarios.seats, "_settings", with_began)
        with pytest.raises(ControllerError, match=r"dso_1\.dms at 120\.000 s: has not decided within 2 s"):
            run_pairing(scenario, "centralized", 2, tmp_path)
    assert time.monotonic() - began[0] < 3.0 + 2.0  # the file has been closed, too, on a busy machine
    with Run(tmp_path / "centralized-2.h5") as run:
        assert run.status == "aborted"


def test_one_that_cannot_be_interrupted_takes_its_process_along_and_no_other(own, scene, tmp_path):
    from scenarios.matrix import jobs_of, sweep

    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n        while True: pass"
    own(deaf, "1 s")
    both = {"matrix": {"architecture": ["centralized", "local"], "stage": [2]}}
    lost, done = sweep(jobs_of([load(scene, None, SHORT | both)], tmp_path / "out"), 1)
    assert (lost.path, done.error) == (None, "")
    assert "exit code 3" in lost.error
    assert "controller at dso_1.dms has not decided within 1 s" in lost.error
    with Run(done.path) as run:
        assert run.status == "complete"


def test_a_user_who_interrupts_is_not_taken_for_the_watchdog(own, tmp_path):
    scenario = own("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        run_pairing(scenario, "centralized", 2, tmp_path)


class Source:
    """A model that writes what it is told to."""

    ports = Ports(writes=("x", "free"), finite=("x",))

    def __init__(self, *values):
        self.values = values

    def step(self, now_ms, inputs):
        value = self.values[min(now_ms // 1000, len(self.values) - 1)]
        return Step(now_ms + 1000, {"x": value, "free": np.array([math.nan])})


class Sink:
    ports = Ports(reads=("x",))

    def step(self, now_ms, inputs):
        return Step(now_ms + 1000)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (np.array([1.0, np.nan]), r"source at 1\.000 s: wrote nan to 'x' at \[1\]"),
        (np.array([np.inf, 1.0]), r"source at 1\.000 s: wrote inf to 'x' at \[0\]"),
        (np.array([1.0, 2.0, 3.0]), r"source at 1\.000 s: wrote shape \(3,\) to 'x', where it was \(2,\) before"),
        (np.array([[1.0, 2.0]]), r"source at 1\.000 s: wrote shape \(1, 2\) to 'x'"),
    ],
)
def test_a_simulator_that_writes_what_cannot_be_is_refused_at_its_port(bad, says):
    with Harness() as world:
        world.add("source", Source(np.array([1.0, 2.0]), bad))
        world.add("sink", Sink())
        world.connect("source", "x", "sink")
        with pytest.raises(ModelError, match=says):
            world.run(3000)


def test_numbers_from_devices_do_not_reach_the_grid_as_nan(scene, tmp_path, monkeypatch):
    from sims.der.simulator import DerSimulator

    step = DerSimulator.step

    def poisoned(self, now_ms, inputs):
        done = step(self, now_ms, inputs)
        if now_ms == 120_000 and "p_mw" in done.outputs:
            done.outputs["p_mw"] = np.where(np.arange(done.outputs["p_mw"].size) == 5, np.nan, done.outputs["p_mw"])
        return done

    monkeypatch.setattr(DerSimulator, "step", poisoned)
    with pytest.raises(ModelError, match=r"der at 120\.000 s: wrote nan to 'p_mw' at \[5\]"):
        run_pairing(load(scene, None, SHORT), "local", 1, tmp_path)
    with Run(tmp_path / "local-1.h5") as run:
        assert run.status == "aborted"
        assert np.isfinite(run.values("feeder", "p_mw")).all()


@pytest.fixture
def overloaded(monkeypatch):
    """Let the devices of the first feeder draw what no feeder can carry, from 120 s to 180 s."""
    from sims.der.simulator import DerSimulator

    step = DerSimulator.step

    def stepped(self, now_ms, inputs):
        done = step(self, now_ms, inputs)
        if 120_000 <= now_ms < 180_000 and "p_mw" in done.outputs:
            p = done.outputs["p_mw"].copy()
            p[self.table.feeder == 0] -= 500.0
            done.outputs["p_mw"] = p
        return done

    monkeypatch.setattr(DerSimulator, "step", stepped)


@pytest.mark.usefixtures("overloaded")
def test_a_power_flow_without_a_solution_stops_the_run_and_names_the_feeder(scene, tmp_path):
    with pytest.raises(ModelError, match=r"dso_1 at 120\.000 s: power flow of dso_1\.f01 has no solution"):
        run_pairing(load(scene, None, SHORT), "local", 1, tmp_path)
    with Run(tmp_path / "local-1.h5") as run:
        assert run.status == "aborted"
        assert run.seconds("feeder").tolist() == [0, 60]
        assert (run.values("feeder", "converged") == 1).all()


@pytest.mark.usefixtures("overloaded")
def test_or_the_feeder_is_held_flagged_and_counted_and_says_nothing_about_that_step(scene, tmp_path):
    scenario = load(scene, None, SHORT | {"diverged": "hold"})
    with Run(run_pairing(scenario, "centralized", 2, tmp_path)) as run:
        assert run.status == "complete"
        assert run.kpis["diverged_feeder_steps"] == 1
        lost = np.zeros_like(run.values("feeder", "converged"))
        lost[2, run.labels("feeder").index("dso_1.f01")] = 1
        assert np.array_equal(run.values("feeder", "converged"), 1 - lost)
        for quantity in ("p_mw", "q_mvar", "load_mw", "loss_mw", "vm_min_pu", "customers_out", "unserved_mw"):
            assert np.array_equal(np.isnan(run.values("feeder", quantity)), lost == 1), quantity
        buses = np.array([label.startswith("dso_1.f01.") for label in run.labels("bus")])
        vm = run.values("bus", "vm_pu")
        assert np.isnan(vm[2, buses]).all()
        assert np.isfinite(np.delete(vm, 2, axis=0)[:, buses]).any(axis=0).all()
        assert np.array_equal(np.isnan(vm[2, ~buses]), np.isnan(vm[1, ~buses]))
        # no meter of it speaks at that instant, all do at the next
        sender, sent = run.texts("messages", "sender"), run.column("messages", "sent_ms")
        own = np.char.startswith(sender.astype(str), "dso_1.f01")
        spoke = [int((own & (sent == t_ms)).sum()) for t_ms in (60_000, 120_000, 180_000)]
        assert spoke[0] == spoke[2] > 0
        assert spoke[1] == 0
        # its interface goes on with what the feeder drew before, not with 500 MW a device
        p_mw = run.values("interface", "p_mw")
        assert np.isfinite(p_mw).all()
        assert abs(p_mw[2, 0] - p_mw[1, 0]) < 1.0
