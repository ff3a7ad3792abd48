"""The day-ahead plan: what is forecast, what each machine is to give, what each cell is to export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.devices import scaled
from scenarios.opf import Market, optimum
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

LOSSES = 1.01
"""What has to be generated over what is drawn, as a first guess."""

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
    expected: Complexes, market: Market | None = None,
) -> Plan:
    """Share the expected demand among the machines, losses included.

    In proportion to the case's dispatch, or with a `market` at the least cost (see `opf`).
    """
    step_ms = scenario.transmission.schedule.step_ms
    ties = Ties(case)
    drawn = np.zeros((expected.shape[0], engine.n_nodes), np.complex128)
    for k, row in enumerate(drawn):
        np.add.at(row, load_node, load(k * step_ms))
        np.add.at(row, interface_node, expected[k])
    base = case.machines.values["p_mw"]
    if market is None:
        p_mw, v = _proportional(engine, drawn, base, case.slack)
    else:
        start = np.outer(drawn.real.sum(axis=1) * LOSSES, base / base.sum())
        flows = optimum(engine, drawn, start, market)
        p_mw, v = flows.p_mw, flows.v
    export = np.array([ties.exports(row) for row in v])
    p_mw, export = (np.append(rows, rows[-1:], axis=0) for rows in (p_mw, export))
    high = np.abs(v[:, high_node])
    return Plan(Schedule(step_ms, p_mw, export), high.mean(axis=0), high[0])


def _proportional(engine: MeshedPowerFlow, drawn: Complexes, base: Floats, slack: int) -> tuple[Floats, Complexes]:
    """Return outputs [interval, machine] in the ratio of `base` that meet the demand, and the voltages."""
    p_mw, v = np.zeros((len(drawn), base.size)), np.zeros((len(drawn), engine.n_nodes), np.complex128)
    for k, row in enumerate(drawn):
        engine.set_injection(-row.real, -row.imag)
        total = float(row.real.sum()) * LOSSES
        for _ in range(20):
            p = base * (total / base.sum())
            engine.set("gen", "p_mw", np.delete(p, slack))
            engine.solve()
            missing = float(engine.slack_p_mw) - float(p[slack])
            total += missing
            if abs(missing) < 1e-3:
                break
        p_mw[k], v[k] = p, engine.v
    return p_mw, v
