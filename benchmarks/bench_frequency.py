"""Frequency model of the 39-bus system: what one 10-ms step costs, and one 20-ms exchange with a boundary.

Goal: at most 15 us per step. Run with ``pytest benchmarks/bench_frequency.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest

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
