"""The case that separates architectures: a cell with surplus islands on little inertia.

39-bus system, lines 14-15 and 16-17 open. Inertia of a 2030-like system: 15 GWs in all, the equivalent
machine G10 at H = 5 s like the others. Orders and signs matter here; the first three peaks are known.
"""

from dataclasses import replace

import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.transmission.disturbances import LineSwitch
from sims.transmission.dynamics import Dynamics

BUSES = (4, 8, 3, 27, 15, 20)
STEP_S = 0.02


class Devices:
    """Six groups of 400 MW: P(f) with a latency, V2G reserve, synthetic inertia; arrays over the groups."""

    def __init__(self, *, p_f=False, latency_s=0.0, v2g_mw=0.0, inertia_mw_s_hz=0.0):
        self.p_f, self.delay = p_f, round(latency_s / STEP_S)
        self.v2g_mw, self.k_in = v2g_mw, inertia_mw_s_hz
        self.seen, self.curtailed, self.reserve, self.inertial = [], np.zeros(6), np.zeros(6), np.zeros(6)

    def respond(self, f_hz):
        self.seen.append(f_hz)
        end = max(len(self.seen) - self.delay, 1)
        f_m = np.mean(self.seen[max(end - 5, 0) : end], axis=0)
        lag = 1 - np.exp(-STEP_S / 0.2)
        if self.p_f:
            self.curtailed += (-400.0 * 0.4 * np.clip(f_m - 50.2, 0.0, None) - self.curtailed) * lag
        x = f_m - 50.0
        wanted = -self.v2g_mw / 0.18 * np.clip(np.abs(x) - 0.02, 0.0, 0.18) * np.sign(x)
        self.reserve += (wanted - self.reserve) * lag
        if len(self.seen) > 5:
            slope = (self.seen[-1] - self.seen[-6]) / (5 * STEP_S)
            slope = np.where(np.abs(slope) < 0.05, 0.0, slope)
            self.inertial += (-self.k_in * slope - self.inertial) * (1 - np.exp(-STEP_S / 0.1))
        return self.curtailed + self.reserve + self.inertial


@pytest.fixture(scope="module")
def peak(case_of, solve):
    case = case_of("ieee39_weak")
    v = solve(case)
    m = case.machines
    h = m["h_s"].copy()
    h[m.names.index("G10")] = 5.0
    m = replace(m, values={**m.values, "h_s": h})
    case = case.with_machines(m.scaled_inertia(15_000.0 / m.stored_mws.sum()))

    def run(t_end_s=15, **kind):
        dynamics, devices = Dynamics(case, v, interfaces=BUSES), Devices(**kind)
        dynamics.schedule(LineSwitch(1000, 14, 15))
        dynamics.schedule(LineSwitch(1000, 16, 17))
        f = []
        for t_ms in range(0, t_end_s * 1000, 20):
            dynamics.advance(t_ms)
            f.append(dynamics.f_cell_hz[1] - 50.0)
            dynamics.set_boundary(devices.respond(dynamics.f_cell_hz[dynamics.interface_cell]), np.zeros(6))
        return np.array(f)

    return run


def test_peaks_are_ordered_by_what_answers(peak):
    governors = peak().max()
    local = peak(p_f=True).max()
    late = peak(p_f=True, latency_s=1.0).max()
    v2g = peak(v2g_mw=40.0).max()
    inertia = peak(p_f=True, inertia_mw_s_hz=50.0).max()
    everything = peak(p_f=True, inertia_mw_s_hz=50.0, v2g_mw=40.0).max()
    assert governors == pytest.approx(1.704, rel=0.01)
    assert local == pytest.approx(0.815, rel=0.01)
    assert late == pytest.approx(1.512, rel=0.01)
    assert governors > 1.5 > local  # only the answer from the devices keeps the cell below 51.5 Hz
    assert governors > late > v2g > local > inertia > everything > 0.2


def test_a_latency_of_four_seconds_collapses(peak):
    try:
        f = peak(t_end_s=40, p_f=True, latency_s=4.0)
    except ModelError:
        return  # a machine ran away or the voltage was lost
    assert np.abs(f[-500:]).max() > 1.704  # worse than no answer at all, and it goes on
