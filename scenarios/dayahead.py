"""The day-ahead plan: what is forecast, what each machine is to give, what each cell is to export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.devices import scaled
from scenarios.places import Places
from scenarios.schema import Scenario
from sims.core.arrays import summed
from sims.der.fleet import DeviceTable
from sims.der.profiles import Profiles
from sims.der.simulator import DerSimulator
from sims.grid.meshed import MeshedPowerFlow
from sims.transmission.case import MachineCase
from sims.transmission.schedule import Schedule
from sims.transmission.ties import Ties

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FEEDER_LOSS_SHARE = 0.02
"""Losses below an interface as a share of what its loads draw, as a planner would assume them."""

POWER_FACTOR_TAN = 0.25
"""Reactive over active power that the plan assumes at an interface."""


@dataclass(frozen=True)
class StaticLoad:
    """The load of each row of the case that no feeder stands for, over time."""

    peak_mva: Complexes
    columns: NDArray[np.int64]
    profiles: Profiles

    def at(self, now_ms: int) -> Complexes:
        """Return the load at `now_ms` [MVA]."""
        out: Complexes = self.peak_mva * float(self.profiles.at(now_ms)[self.columns].mean())
        return out


def static_load(scenario: Scenario, case: MachineCase, places: Places, series: Profiles) -> StaticLoad:
    """Return the rest of each bus's load: the table's value less the peaks of the feeders behind the bus."""
    settings = scenario.transmission.static_load
    buses = np.array(case.bus_ids)[case.load_bus]
    feeders = np.zeros(buses.size)
    for interface in places.interfaces:
        mine = [f.plan.load_mw.sum() for f in places.feeders if f.entry.interface == interface.index]
        feeders[buses == interface.bus] += float(np.sum(mine))
    rng = np.random.default_rng([scenario.seed, 39])
    spread = 1 + settings.spread_percent / 100 * rng.standard_normal(buses.size)
    share = np.clip(1 - feeders / case.load_mva.real, 0.0, 1.0) * np.clip(spread, 0.5, 1.5)
    columns, scale = scaled(series, settings.p_profile, settings.peak)
    return StaticLoad(case.load_mva * share * scale, columns, series)


@dataclass(frozen=True)
class Expected:
    """What is expected to be drawn, by interval: at each interface [MVA], by each feeder [MW]."""

    interface_mva: Complexes
    feeder_mw: Floats


def forecast(scenario: Scenario, table: DeviceTable, der: DerSimulator, places: Places) -> Expected:
    """Return what each interface and each feeder is expected to draw.

    The devices are run by themselves, without grid or orders, at the plan's interval; the forecast error is
    a first-order autoregression with the scenario's standard deviation.
    """
    step_ms = scenario.transmission.schedule.step_ms
    count = -(-scenario.time.duration_ms // step_ms)
    interface = np.array([f.entry.interface for f in places.feeders])[table.feeder]
    loads = table.kind == "load"
    rows = np.zeros((count, len(places.interfaces)), np.complex128)
    above = np.array([f.entry.interface for f in places.feeders], np.int64)
    feeders = np.zeros((count, above.size))
    error = np.zeros(len(places.interfaces))
    rng = np.random.default_rng([scenario.seed, 96])
    sigma, memory = scenario.transmission.schedule.forecast_error_percent / 100, 0.9
    for k in range(count):
        out = der.step(k * step_ms, {}).outputs
        net = -summed(interface, out["p_mw"], error.size)
        drawn = -summed(interface[loads], out["p_mw"][loads], error.size)
        error = memory * error + np.sqrt(1 - memory**2) * sigma * rng.standard_normal(error.size)
        p = net + (FEEDER_LOSS_SHARE + error) * drawn
        rows[k] = p + 1j * POWER_FACTOR_TAN * drawn
        own = -summed(table.feeder[loads], out["p_mw"][loads], above.size)
        feeders[k] = (FEEDER_LOSS_SHARE + error[above]) * own - summed(table.feeder, out["p_mw"], above.size)
    return Expected(rows, feeders)


@dataclass(frozen=True)
class Plan:
    """The plan, with the voltages it expects at the interfaces' transmission side: on average, at the start."""

    schedule: Schedule
    v_interface_pu: Floats
    v_start_pu: Floats


def plan(
    scenario: Scenario, case: MachineCase, engine: MeshedPowerFlow, load_node: NDArray[np.int64],
    interface_node: NDArray[np.int64], high_node: NDArray[np.int64], load: Callable[[int], Complexes],
    expected: Complexes,
) -> Plan:
    """Share the expected demand among the machines in proportion to the case's dispatch, losses included."""
    step_ms = scenario.transmission.schedule.step_ms
    base = case.machines.values["p_mw"]
    ties = Ties(case)
    count = expected.shape[0]
    p_mw, export = np.zeros((count + 1, base.size)), np.zeros((count + 1, len(case.cells)))
    v = np.zeros((count, interface_node.size))
    for k in range(count):
        drawn = np.zeros(engine.n_nodes, np.complex128)
        np.add.at(drawn, load_node, load(k * step_ms))
        np.add.at(drawn, interface_node, expected[k])
        engine.set_injection(-drawn.real, -drawn.imag)
        total = float(drawn.real.sum()) * 1.01
        for _ in range(20):
            p = base * (total / base.sum())
            engine.set("gen", "p_mw", np.delete(p, case.slack))
            engine.solve()
            missing = float(engine.slack_p_mw) - float(p[case.slack])
            total += missing
            if abs(missing) < 1e-3:
                break
        p_mw[k], export[k] = p, ties.exports(engine.v)
        v[k] = np.abs(engine.v[high_node])
    p_mw[count], export[count] = p_mw[count - 1], export[count - 1]
    return Plan(Schedule(step_ms, p_mw, export), v.mean(axis=0), v[0])
