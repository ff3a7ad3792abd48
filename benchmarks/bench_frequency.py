"""Frequency model of the 39-bus system: what one 10-ms step costs, one 20-ms exchange, and minutes of a whole run.

Goals: at most 15 us per step; five minutes of `three_cells` at 20 ms with 10 000 devices in at most 30 s of CPU time;
at most 15 s for what the loss of its generator adds to a pairing. Run with ``pytest benchmarks/bench_frequency.py -s``.
"""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from scenarios.load import load
from scenarios.run import run_pairing
from sims.core.harness import Harness
from sims.der.simulator import DerSimulator
from sims.transmission import zoom
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import LineSwitch, LoadStep
from sims.transmission.dynamics import Dynamics

ROOT = Path(__file__).parents[1]
STEPS = 50


def running(z):
    """Return the weak system one second after 500 MW of load have come on, six interfaces connected."""
    case = MachineCase.load(ROOT / "scenarios" / "data" / "transmission" / "ieee39_weak.json").with_loads(z=z)
    flow = json.loads((ROOT / "tests" / "data" / "frequency" / "pf_sys_ieee39_weak.json").read_text())
    v = np.array(flow["V"]) * np.exp(1j * np.array(flow["a"]))
    dynamics = Dynamics(case, v, interfaces=[4, 8, 3, 27, 15, 20])
    dynamics.schedule(LoadStep(1000, 16, 500.0))
    dynamics.advance(2000)
    return dynamics


@pytest.mark.parametrize("z", [0.0, 1.0], ids=["constant power", "constant impedance"])
def test_step(benchmark, z):
    dynamics = running(z)
    benchmark.pedantic(
        lambda: dynamics.advance(dynamics.now_ms + STEPS * dynamics.dt_ms), rounds=100, warmup_rounds=2)
    per_step_us = benchmark.stats.stats.min / STEPS * 1e6
    benchmark.extra_info["us_per_step"] = per_step_us
    print(f"\n{per_step_us:.1f} us per 10-ms step")


def test_exchange_with_the_boundary(benchmark):
    dynamics = running(0.0)
    zero = np.zeros(6)

    def exchange():
        dynamics.advance(dynamics.now_ms + 20)
        dynamics.set_boundary(100.0 * (50.0 - dynamics.f_interface_hz), zero * dynamics.v_interface_pu)

    benchmark.pedantic(exchange, rounds=500, warmup_rounds=5)


def test_switching(benchmark):
    """A line opens and closes: the reduction made anew, twice."""
    dynamics = running(0.0)

    def switch():
        now = dynamics.now_ms
        dynamics.schedule(LineSwitch(now, 13, 14))
        dynamics.schedule(LineSwitch(now + 10, 13, 14, closed=True))
        dynamics.advance(now + 20)

    benchmark.pedantic(switch, rounds=30, warmup_rounds=1)


@pytest.fixture
def cpu_s(monkeypatch, tmp_path):
    """CPU time of running `three_cells` with the loss of G8 at 18:30, start-up left out, and its number of devices."""
    run, devices, spent = Harness.run, [], []

    def timed(harness, until_ms):
        began = time.process_time()
        run(harness, until_ms)
        spent.append(time.process_time() - began)
        devices.extend(len(b.model.table) for b in harness.bridges.values() if isinstance(b.model, DerSimulator))

    monkeypatch.setattr(Harness, "run", timed)

    def measure(model, minutes, **changes):
        scenario = load("three_cells", overrides={
            "time.start": "2016-07-22T18:29:00+02:00", "time.duration": f"{minutes} min",
            "transmission.frequency.model": model,
            "disturbances": [{"at": "18:30", "kind": "generator_trip", "generator": "G8"}], **changes})
        run_pairing(scenario, "local", 4, tmp_path)
        return spent[-1], devices[-1]

    return measure


def test_five_minutes_in_which_the_machines_never_rest(benchmark, cpu_s, monkeypatch):
    monkeypatch.setattr(zoom, "SETTLED_HZ", -1.0)
    cpu_s("dynamic", 2)  # what is compiled is loaded
    found = benchmark.pedantic(lambda: cpu_s("dynamic", 6, **{"der.pv.unit_kw": 1500}), rounds=1)
    benchmark.extra_info.update(cpu_s=found[0], devices=found[1])
    print(f"\n{found[0]:.1f} s of CPU time, {found[1]} devices")
    assert found[1] >= 10_000


def test_what_following_the_machines_adds_to_a_pairing(benchmark, cpu_s):
    cpu_s("dynamic", 2)
    still = cpu_s("quasi_steady", 30)[0]
    found = benchmark.pedantic(lambda: cpu_s("dynamic", 30), rounds=1)[0]
    benchmark.extra_info["cpu_s"] = found - still
    print(f"\n{found - still:.2f} s of CPU time")
