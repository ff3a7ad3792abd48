"""The zoom in the simulator, driven as the world drives it, against the electromechanical model by itself."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.grid.compiled import CompiledNet
from sims.grid.exchange import Exchange
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.taps import Avr
from sims.transmission.disturbances import GeneratorTrip, LineSwitch, LoadRamp, LoadStep
from sims.transmission.dynamics import Dynamics
from sims.transmission.grid import InterfaceTransformer, branch_elements, tap_data, transmission_net
from sims.transmission.machinery import Machinery
from sims.transmission.plant import Plant, Wish
from sims.transmission.quasi_steady import Governors, QuasiSteady
from sims.transmission.schedule import Schedule
from sims.transmission.simulator import TransmissionSimulator
from sims.transmission.ties import Ties

CASES = Path(__file__).parents[3] / "scenarios" / "data" / "transmission"
MIN = 60_000
BUSES = (4, 8, 3, 27, 15, 20)
OF_DSO = {"a": np.array([0, 1]), "b": np.array([2, 3]), "c": np.array([4, 5])}
S0 = np.array([60 + 10j, 40 + 5j, 80 + 20j, 50 + 5j, 60 + 10j, 50 + 8j])


_kept = {}


def _compiled(transformers, case, levels):
    """The net as arrays, made once: pandapower takes its time."""
    if "net" not in _kept:
        _kept["net"] = CompiledNet.from_net(transmission_net(case, transformers, levels), "ieee39")
    return _kept["net"]


class Coupled:
    """The simulator with feeders that follow V^2 and devices that answer frequency by a lagged droop."""

    def __init__(self, case, events, *, coupling_ms=20, droop_mw_per_hz=0.0, dynamic=True):
        levels = [345.0 if b.get("vn_kv") is None else float(b["vn_kv"])
                  for b in json.loads((CASES / "ieee39.json").read_text())["bus"]]
        given = (700.0, 110.0, 14.0, 0.3, -12, 12, 1.25, 1.02)
        transformers = tuple(InterfaceTransformer(f"i{b}", b, *given) for b in BUSES)
        compiled = _compiled(transformers, case, levels)
        m, n = case.machines, len(case.machines)
        at = np.array([compiled.node(case.n_bus + i) for i in range(len(BUSES))])
        self.governors = Governors(
            m["sn_mva"] / (m.governor_values["r"] * case.f0_hz), np.full(n, 300.0), m["sn_mva"])
        system = QuasiSteady(
            MeshedPowerFlow(compiled), self.governors, case.slack,
            np.array([compiled.node(int(b)) for b in case.load_bus]), at, 0.01)
        p = m["p_mw"] * (1 + S0.real.sum() / m["p_mw"].sum())
        cells = len(case.cells)
        self.case, self.droop, self.shift = case, droop_mw_per_hz, np.zeros(len(BUSES))
        self.answer = np.zeros(len(BUSES))
        self.sim = TransmissionSimulator(
            system, Ties(case), Schedule(15 * MIN, np.array([p, p]), np.zeros((2, cells))),
            Plant(m.names, case.bus_cell[m.bus], tuple(t.name for t in transformers), OF_DSO,
                  case.bus_cell[case.load_bus], np.full(cells, 300.0), np.full(n, 100.0),
                  m.stored_mws),
            Avr(tap_data(transformers), np.full(len(BUSES), 1.02), np.zeros(len(BUSES), int)),
            lambda _: case.load_mva, events, lambda *_: None, MIN, f_nominal_hz=case.f0_hz,
            wish=Wish(np.ones(len(BUSES)), 1000.0, np.full(len(BUSES), 20.0)),
            machinery=Machinery(case, transformers, np.array([compiled.node(b) for b in range(case.n_bus)]),
                                branch_elements(case, levels), coupling_ms), dynamic=dynamic)
        self.rows, self.results, self.offers, self.residual_mva = [], {}, {}, np.inf

    def draws(self, dso, v, f):
        """What a DSO draws at this voltage and frequency, with a settled droop, and its slopes."""
        s = S0[OF_DSO[dso]] * v**2 + self.droop * (f - 50.0)
        return Exchange(dso, s, 2 * S0[OF_DSO[dso]] * v, self.droop + 0j * v, v, f)

    def opening(self):
        """What the DSOs tell at a grid step: at the last voltages and frequency."""
        return [self.draws(dso, np.abs(offer.v_pu), offer.f_hz) for dso, offer in self.offers.items()]

    def disagreeing(self, offers):
        """What is told by those for whom an offer does not hold."""
        self.offers, told = offers, []
        self.residual_mva = 0.0
        for dso, offer in offers.items():
            new = self.draws(dso, np.abs(offer.v_pu), offer.f_hz)
            missed = np.abs(new.s_mva - offer.drawn_mva).sum()
            self.residual_mva = max(self.residual_mva, missed)
            told += [new] if missed > offer.within_mva else []
        return told

    def run(self, until_ms, since_ms=0):
        """Step as the world does; the devices hear one tick later and answer before the next step."""
        now, answer = since_ms, self.answer
        while now < until_ms:
            inputs = {"fast_mw": {"der": answer}}
            opening = {"exchange": {"dso": self.opening()}} if now % MIN == 0 else {}
            step = self.sim.step(now, inputs | opening)
            if "fine" in step.outputs:
                self.rows += step.outputs["fine"]
            while "boundary" in step.outputs and (told := self.disagreeing(step.outputs["boundary"][0])):
                step = self.sim.step(now, inputs | {"exchange": {"dso": told}})
            if "system" in step.outputs:
                self.results[now] = step.outputs
            for f, fed, dt_s in step.outputs.get("fast", []):
                cell = self.case.bus_cell[self.case.bus_index(BUSES)]
                self.shift += (-self.droop * (f[cell] - 50.0) - self.shift) * -np.expm1(-dt_s / 0.2)
                answer = self.answer = self.shift + self.droop * (fed[cell] - 50.0)
            now = step.next_ms
        self.rows += self.sim.since()[0]
        return self

    def signal(self, kind, quantity):
        """Times [ms] and values of what was recorded while the machines moved."""
        return np.array([t for t, _ in self.rows]), np.array([row[kind][quantity] for _, row in self.rows])


@pytest.fixture(scope="module")
def case(case_of):
    return case_of("ieee39")


def test_the_start_continues_the_quasi_steady_instant(case):
    run = Coupled(case, [GeneratorTrip(70_003, "G8")]).run(70_004)
    before = run.results[MIN]
    t, f = run.signal("cell_fine", "f_hz")
    assert t[0] == 70_003
    np.testing.assert_allclose(f[0], before["f_hz"], atol=1e-9)
    np.testing.assert_allclose(run.signal("cell_fine", "p_tie_mw")[1][0], before["cell"]["p_tie_mw"], atol=2e-3)
    np.testing.assert_allclose(run.signal("interface_fine", "p_mw")[1][0], before["interface"]["p_mw"], atol=2e-3)
    # turbines give what leaves the terminals and what the stators lose
    loss = run.signal("gen_fine", "p_mech_mw")[1][0] - before["gen"]["p_mw"]
    assert np.all(loss >= -1e-3)
    assert loss.sum() < 0.01 * before["gen"]["p_mw"].sum()


def test_power_balances_at_a_grid_step_while_the_machines_move(case):
    run = Coupled(case, [GeneratorTrip(115_000, "G8")]).run(2 * MIN + 100)
    out = run.results[2 * MIN]
    assert run.sim.motion.zoom is not None
    drawn = (S0 * out["interface"]["v_busbar_pu"] ** 2).real.sum()
    system = {k: float(x[0]) for k, x in out["system"].items()}
    assert system["gen_mw"] == pytest.approx(
        system["static_load_mw"] + drawn + system["loss_transmission_mw"], abs=2e-3)
    assert out["gen"]["p_mw"][case.machines.names.index("G8")] == 0.0
    assert run.residual_mva < 1e-4


def test_frequency_governors_and_voltages_go_on_at_the_end(case):
    run = Coupled(case, [GeneratorTrip(70_003, "G8")], droop_mw_per_hz=30.0).run(7 * MIN + 1)
    assert run.sim.motion.zoom is None
    t, f = run.signal("cell_fine", "f_hz")
    out = run.results[2 * MIN]
    last = int(np.flatnonzero(np.diff(t) == 4000)[0])  # the machines rest; what follows is quasi-steady
    assert t[last] < 90_000
    back = np.arange(t[last] + 4000, 2 * MIN, 4000)
    assert t[last + 1 : last + 1 + len(back)].tolist() == back.tolist()
    assert t[-1] <= t[last] + 304_000  # a constant offset counts as restored
    np.testing.assert_allclose(f[last + 1], f[last], atol=2e-3)
    np.testing.assert_allclose(out["f_hz"], f[last], atol=2e-3)
    v = run.signal("interface_fine", "v_pu")[1]
    np.testing.assert_allclose(v[last + 1], v[last], atol=2e-4)
    np.testing.assert_allclose(out["interface"]["v_busbar_pu"], v[last], atol=2e-4)
    p_mech = run.signal("gen_fine", "p_mech_mw")[1]
    stator = p_mech[0] - run.results[MIN]["gen"]["p_mw"]
    on = out["gen"]["p_mw"] > 0
    np.testing.assert_allclose(out["gen"]["p_mw"][on], (p_mech[last] - stator)[on], atol=3.0)
    # a minute later nothing has crept
    np.testing.assert_allclose(run.results[3 * MIN]["f_hz"], out["f_hz"], atol=1e-5)
    # and it is where droop puts it without any motion in between
    still = Coupled(case, [GeneratorTrip(70_003, "G8")], droop_mw_per_hz=30.0, dynamic=False).run(3 * MIN + 1)
    np.testing.assert_allclose(out["f_hz"], still.results[2 * MIN]["f_hz"], atol=2e-3)


def test_the_nadir_is_that_of_the_model_alone_with_the_same_boundary(case):
    run = Coupled(case, [GeneratorTrip(70_000, "G8")], droop_mw_per_hz=0.0).run(80_000)
    z = Coupled(case, [GeneratorTrip(70_000, "G8")]).run(70_001).sim.motion.zoom
    alone = Dynamics(
        replace(z.dynamics.case), z.dynamics.v_bus, interfaces=z.dynamics.interfaces,
        boundary_mva=z.dynamics._boundary, df0_hz=z.df_hz, start_ms=70_000)
    alone.set_boundary_sensitivity(*z.dynamics._sensitivity[:2])
    alone.schedule(GeneratorTrip(70_000, "G8"))
    n = len(BUSES)
    p0, q0, load = z.dynamics._boundary.real.copy(), z.dynamics._boundary.imag.copy(), z._case_load
    static = z._static
    f = []
    for t in range(70_000, 80_000, 20):
        alone.advance(t)
        f.append(alone.f_cell_hz)
        follow = load - static * (1 + 0.01 * (alone.f_interface_hz[n:] - 50.0))
        alone.set_boundary(np.append(p0[:n], follow.real), np.append(q0[:n], follow.imag))
    _, coupled = run.signal("cell_fine", "f_hz")
    depth = 50.0 - np.array(f).min(axis=0)
    np.testing.assert_allclose(50.0 - coupled.min(axis=0), depth, rtol=1e-3)
    assert depth.min() > 0.02


@pytest.mark.parametrize("event", [GeneratorTrip(70_000, "G8"), LoadStep(70_000, 20, 300.0)])
def test_half_the_interval_leaves_the_extremes(case, event):
    low = []
    for coupling_ms in (20, 10):
        _, f = Coupled(case, [event], coupling_ms=coupling_ms, droop_mw_per_hz=60.0).run(80_000).signal(
            "cell_fine", "f_hz")
        low.append(50.0 - np.nanmin(f, axis=0))
    np.testing.assert_allclose(low[1], low[0], rtol=0.01)


def test_devices_that_answer_lift_the_nadir(case):
    deep, less = (
        50.0 - Coupled(case, [LoadStep(70_000, 20, 300.0)], droop_mw_per_hz=k).run(80_000).signal(
            "cell_fine", "f_hz")[1].min() for k in (0.0, 300.0)
    )
    assert less < 0.9 * deep


def test_a_line_that_opens_stays_open_in_quasi_steady_operation(case):
    run = Coupled(case, [LineSwitch(70_000, 14, 15)]).run(3 * MIN + 1)
    assert run.sim.motion.zoom is None
    still = Coupled(case, [LineSwitch(70_000, 14, 15)], dynamic=False).run(3 * MIN + 1)
    flow = [r.results[3 * MIN]["cell"]["p_tie_mw"] for r in (run, still)]
    np.testing.assert_allclose(flow[0], flow[1], atol=2.0)
    assert np.abs(flow[0] - run.results[MIN]["cell"]["p_tie_mw"]).max() > 1.0


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_ramp_goes_on_when_the_machines_are_no_longer_followed(case, dynamic):
    """60 MW within 100 s: too slow to keep the machines in motion, and not on the grid's steps."""
    ramp = LoadRamp(70_000, 20, 60.0, 100_000).turns()
    run = Coupled(case, ramp, dynamic=dynamic).run(4 * MIN + 1)
    static = {t: float(out["system"]["static_load_mw"][0]) for t, out in run.results.items()}
    regulated = {t: case.load_mva.real.sum() * (1 + 0.01 * (out["f_hz"][0] - 50.0)) for t, out in run.results.items()}
    drawn = [static[t] - regulated[t] for t in sorted(static)]
    assert drawn == pytest.approx([0.0, 0.0, 30.0, 60.0, 60.0], abs=0.02)
    if dynamic:
        t, f = run.signal("cell_fine", "f_hz")
        during = (t > 90_000) & (t < 170_000) & (t % 4000 == 0)
        slope = np.diff(f[during].mean(axis=1)) / np.diff(t[during])
        assert slope.max() < 0
        assert slope == pytest.approx(slope.mean(), rel=0.05)


def test_feeders_too_steep_to_be_followed_between_their_solutions_are_refused(case):
    run = Coupled(case, [GeneratorTrip(70_000, "G8")]).run(70_000)
    assert 0 < float(run.results[MIN]["system"]["contraction"][0]) < 0.1
    run.sim._boundary.per_pu[:] = 5e4
    with pytest.raises(ModelError, match=r"transmission at 70.000 s: .*\(contraction \d+"):
        run.sim.step(70_000, {})


def test_islands_keep_their_own_frequency_to_the_end(case):
    split = [LineSwitch(70_000, 14, 15), LineSwitch(70_000, 16, 17)]
    run = Coupled(case, split).run(3 * MIN + 1)
    f = run.results[3 * MIN]["f_hz"]
    assert run.sim.motion.zoom is not None
    assert not run.sim.motion.zoom.moving
    assert abs(f[1] - f[0]) > 0.02
    assert abs(f[2] - f[0]) < 1e-3


def test_the_way_back_goes_in_steps_of_four_seconds_as_reserve_comes(case):
    run = Coupled(case, [GeneratorTrip(70_000, "G8")]).run(2 * MIN)
    for number in range(len(case.machines)):  # 100 MW each within 300 s, from 2 min on
        run.sim._called.order(number, 100.0, 2 * MIN)
    run.run(5 * MIN + 1, since_ms=2 * MIN)
    t, f = run.signal("cell_fine", "f_hz")
    back = f[:, 0][(t >= 2 * MIN) & (t < 5 * MIN)]
    between = t[(t >= 2 * MIN) & (t < 5 * MIN)]
    assert set(between) == {k for k in range(2 * MIN, 5 * MIN, 4000) if k % MIN}
    ticks = np.array([2, 3, 4, 5]) * MIN
    at_ticks = np.array([run.results[k]["f_hz"][0] for k in ticks])
    assert (np.diff(at_ticks) > 0.01).all()
    # loads and schedules stand still within a minute, so that frequency rises along a straight line
    np.testing.assert_allclose(back, np.interp(between, ticks, at_ticks), atol=5e-4)


def test_a_second_disturbance_wakes_machines_that_rest(case):
    run = Coupled(case, [GeneratorTrip(70_000, "G8"), LoadStep(110_000, 20, 200.0)]).run(3 * MIN + 1)
    t, f = run.signal("cell_fine", "f_hz")
    rested = f[t <= 110_000][-1].min()
    assert 110_020 in t
    assert np.nanmin(f[t > 110_000]) < rested - 0.02
    assert run.results[3 * MIN]["system"]["static_load_mw"][0] > run.results[MIN]["system"]["static_load_mw"][0] + 190


def test_devices_stiffer_than_the_machines_find_the_frequency_that_they_answer(case):
    """A droop of 6 x 1500 MW/Hz against some 4000 MW/Hz of governors: answered instant by instant it would swing."""
    trip = [GeneratorTrip(70_000, "G8")]
    run = Coupled(case, trip, droop_mw_per_hz=1500.0).run(3 * MIN + 1)
    t, f = run.signal("cell_fine", "f_hz")
    back = f[:, 0][(t % 4000 == 0) & (t > 100_000) & (t < 2 * MIN)]
    still = Coupled(case, trip, droop_mw_per_hz=1500.0, dynamic=False).run(3 * MIN + 1)
    assert len(back) >= 4
    np.testing.assert_allclose(back, still.results[2 * MIN]["f_hz"][0], atol=2e-3)
    np.testing.assert_allclose(back[-1], back[-2], atol=1e-4)
