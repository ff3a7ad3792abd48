"""What each operator is told of the system at the start: nameplates, maps, schedules; no state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.belief import (
    Belief,
    CellBelief,
    DeviceBelief,
    FeederBelief,
    GeneratorBelief,
    InterfaceBelief,
)
from scenarios.dayahead import Plan
from scenarios.places import FeederPlace, Places
from scenarios.schema import Scenario
from sims.der.fleet import DeviceTable
from sims.transmission.case import MachineCase

Floats = NDArray[np.float64]
CONTROLLABLE = ("pv", "wind", "storage", "ev", "heatpump", "chp", "flexible", "svc", "statcom", "capacitor")
Q_SHARE = 0.33
"""Reactive power that inverters may be asked for, as a share of rated active power (VDE-AR-N 4110)."""


@dataclass(frozen=True)
class Beliefs:
    """All that the sites of a run are told, to be cut by place."""

    feeders: tuple[FeederBelief, ...]
    interfaces: tuple[InterfaceBelief, ...]
    cells: tuple[CellBelief, ...]
    generators: tuple[GeneratorBelief, ...]
    limits: Belief

    def of_dso(self, dso: str) -> Belief:
        """Return what a DSO's control centre knows: its own grids, interfaces and cell.

        Of several DSOs in a cell the first calls the reserve of its power stations; the others know of none.
        """
        interfaces = tuple(i for i in self.interfaces if i.dso == dso)
        cell = interfaces[0].cell
        first = next(i.dso for i in self.interfaces if i.cell == cell)
        return self._cut(
            tuple(f for f in self.feeders if f.name.startswith(f"{dso}.")), interfaces,
            tuple(c for c in self.cells if c.cell == cell),
            generators=self._stations(cell) if dso == first else (),
        )

    def of_area(self, feeder: str, area: int) -> Belief:
        """Return what an area agent knows: its own feeder."""
        return self._cut(tuple(f for f in self.feeders if f.name == feeder), (), (), area)

    def of_interface(self, name: str) -> Belief:
        """Return what an interface agent knows: feeders below it, its cell's stations, all interfaces and cells."""
        feeders = tuple(f for f in self.feeders if f.interface == name)
        cell = next(i.cell for i in self.interfaces if i.name == name)
        return self._cut(feeders, self.interfaces, self.cells, generators=self._stations(cell))

    def of_tso(self) -> Belief:
        """Return what the TSO knows: interfaces, cells and power stations, no feeder."""
        limits = self.limits
        return Belief(
            (), self.interfaces, self.cells, self.generators, -1, limits.v_min_pu, limits.v_max_pu,
            limits.loading_max_percent, limits.f_nominal_hz,
        )

    def _stations(self, cell: int) -> tuple[GeneratorBelief, ...]:
        return tuple(g for g in self.generators if g.cell == cell)

    def _cut(
        self, feeders: tuple[FeederBelief, ...], interfaces: tuple[InterfaceBelief, ...],
        cells: tuple[CellBelief, ...], area: int = -1, generators: tuple[GeneratorBelief, ...] = (),
    ) -> Belief:
        limits = self.limits
        return Belief(
            feeders, interfaces, cells, generators, area, limits.v_min_pu, limits.v_max_pu,
            limits.loading_max_percent, limits.f_nominal_hz,
        )


def beliefs(
    scenario: Scenario, places: Places, table: DeviceTable, case: MachineCase, plan: Plan,
    expected_mw: Floats | None = None,
) -> Beliefs:
    """Return what the operators are told; `expected_mw` is the forecast of each feeder, [interval, feeder]."""
    none = np.zeros((0, len(places.feeders)))
    ahead = none if expected_mw is None else expected_mw
    step_ms = scenario.transmission.schedule.step_ms
    feeders = tuple(_feeder(f, places, table, ahead[:, f.number], step_ms) for f in places.feeders)
    interfaces = []
    for i in places.interfaces:
        below = np.isin(table.feeder, [f.number for f in places.feeders if f.entry.interface == i.index])
        sources = below & np.isin(table.kind, ("pv", "wind", "chp"))
        peak = float(table.p_rated_mw[below & (table.kind == "load")].sum())
        interfaces.append(
            InterfaceBelief(
                i.name, i.dso, i.cell, i.bus, i.trafo.sn_mva, i.trafo.vk_percent, i.feeders,
                q_range_mvar=Q_SHARE * float(table.p_rated_mw[sources].sum()),
                p_max_mw=max(peak, float(table.p_rated_mw[sources].sum())),
            )
        )
    limits = scenario.limits
    return Beliefs(
        feeders, tuple(interfaces), _cells(scenario, places, case, plan),
        _generators(scenario, case),
        Belief(
            v_min_pu=limits.v_min_pu, v_max_pu=limits.v_max_pu,
            loading_max_percent=limits.loading_max_percent, f_nominal_hz=case.f0_hz,
        ),
    )


def _feeder(
    place: FeederPlace, places: Places, table: DeviceTable, expected_mw: Floats, expected_step_ms: int
) -> FeederBelief:
    index = np.flatnonzero(table.feeder == place.number)
    kind = table.kind[index]
    devices = DeviceBelief(
        index, kind, table.node[index], table.p_rated_mw[index], table.s_rated_mva[index],
        table.e_rated_mwh[index], np.isin(kind, CONTROLLABLE) & table.remote[index],
    )
    plan = place.plan
    return FeederBelief(
        place.name, places.interfaces[place.entry.interface].name, plan.grid, devices, place.gateways,
        plan.areas.of_node, place.agents, plan.areas.head, plan.areas.neighbours, plan.load_mw, plan.load_mvar,
        plan.customers, expected_mw, expected_step_ms,
    )


def cell_numbers(case: MachineCase) -> tuple[int, ...]:
    """Return the number by which scenarios call each cell of the case: 1, 2, ... in its order."""
    return tuple(range(1, len(case.cells) + 1))


def _cells(scenario: Scenario, places: Places, case: MachineCase, plan: Plan) -> tuple[CellBelief, ...]:
    """Return the cells, with B = sum of S_n / (R f0) over the machines of each."""
    machines = case.machines
    gain = machines.values["sn_mva"] / (machines.governor_values["r"] * case.f0_hz)
    found = []
    for position, number in enumerate(cell_numbers(case)):
        here = case.bus_cell[machines.bus] == position
        exports = plan.schedule.export_mw[:, position]
        found.append(
            CellBelief(
                f"cell_{number}", number, exports, plan.schedule.step_ms, float(gain[here].sum()),
                tie_capacity_mw=TIE_CAPACITY_MW * int(_ties(case, position)),
                interfaces=tuple(i.name for i in places.interfaces if i.cell == number),
            )
        )
    return tuple(found)


TIE_CAPACITY_MW = 600.0
"""Capacity of one 345 kV tie-line, as the 39-bus system's published ratings have it (RATE_A 500-600 MVA)."""


def _ties(case: MachineCase, cell: int) -> int:
    a, b = case.bus_cell[case.branch_from], case.bus_cell[case.branch_to]
    return int(np.count_nonzero((a != b) & ((a == cell) | (b == cell))))


def _generators(scenario: Scenario, case: MachineCase) -> tuple[GeneratorBelief, ...]:
    """Return the power stations with their part of the cell's secondary reserve, by rated power."""
    machines = case.machines
    reserve = {r.cell: r.afrr_mw for r in scenario.transmission.reserves}
    cell = case.bus_cell[machines.bus]
    total = np.bincount(cell, machines.values["sn_mva"], len(case.cells))
    numbers = cell_numbers(case)
    return tuple(
        GeneratorBelief(
            name, f"gen.{name}", numbers[cell[g]],
            reserve.get(numbers[cell[g]], 0.0) * float(machines.values["sn_mva"][g] / total[cell[g]]),
            scenario.transmission.afrr.full_activation_ms / 1000,
        )
        for g, name in enumerate(machines.names)
    )
