"""Where things stand: feeders with their substations, areas, agents and addresses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.areas import Areas, divide
from scenarios.catalogue import compiled
from scenarios.schema import Feeder as FeederEntry
from scenarios.schema import InterfacePlace, Scenario
from sims.core.arrays import summed
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CUSTOMERS_PER_MW = 600
"""Customers behind one MW of peak load: about 50 million at some 80 GW in Germany."""

AREAS_PER_FEEDER = 6
LEAST_NODES_PER_AREA = 5
LOW_VOLTAGE_KV = 1.0
SAME_LEVEL = 1e-3
"""How far nominal voltages of one level may differ."""


@dataclass(frozen=True)
class GridPlan:
    """What all feeders of one grid have in common.

    Parameters
    ----------
    substation : int array [node]
        The medium-voltage node whose substation serves each node; -1 for the busbars.
    load_mw, load_mvar : float array [node]
        Peak load of the grid's own table.
    """

    grid: CompiledNet
    areas: Areas
    substation: Ints
    load_mw: Floats
    load_mvar: Floats
    customers: Ints


@dataclass(frozen=True)
class FeederPlace:
    """One feeder: its entry in the scenario, its grid, the addresses in it."""

    entry: FeederEntry
    plan: GridPlan
    number: int
    gateways: tuple[str, ...]
    agents: tuple[str, ...]

    @property
    def name(self) -> str:
        """The feeder's name, also the address of its primary substation."""
        return self.entry.name


@dataclass(frozen=True)
class Places:
    """All feeders and interfaces of a scenario, in its order."""

    feeders: tuple[FeederPlace, ...]
    interfaces: tuple[InterfacePlace, ...]
    dsos: tuple[str, ...]

    def of_dso(self, dso: str) -> tuple[FeederPlace, ...]:
        """Return the feeders of one DSO."""
        return tuple(f for f in self.feeders if f.entry.dso == dso)

    def interfaces_of(self, dso: str) -> tuple[InterfacePlace, ...]:
        """Return the interfaces of one DSO."""
        return tuple(i for i in self.interfaces if i.dso == dso)

    def feeder(self, name: str) -> FeederPlace:
        """Return one feeder by name."""
        return next(f for f in self.feeders if f.name == name)


def places(scenario: Scenario) -> Places:
    """Return where everything of `scenario` stands; loads and compiles its grids."""
    interfaces = scenario.interfaces()
    feeders = tuple(
        feeder_place(entry, interfaces[entry.interface], scenario.folder, number)
        for number, entry in enumerate(scenario.feeders())
    )
    return Places(feeders, interfaces, tuple(d.name for d in scenario.dsos))


def feeder_place(entry: FeederEntry, interface: InterfacePlace, folder: Path, number: int = 0) -> FeederPlace:
    """Return where everything of one feeder stands; loads and compiles its grid, which may lie in `folder`."""
    plan = _plan(compiled(entry.grid, None if entry.grid[0] != "." else folder))
    _refuse_level(plan.grid, interface)
    gateways = tuple(f"{entry.name}.s{s}" if s >= 0 else "" for s in plan.substation)
    agents = tuple(f"{entry.name}.a{k}" for k in range(len(plan.areas.head)))
    return FeederPlace(entry, plan, number, gateways, agents)


def _refuse_level(grid: CompiledNet, interface: InterfacePlace) -> None:
    """Refuse a feeder whose source has another nominal voltage than the interface gives it.

    Raises
    ------
    GridError
        Naming the grid, its source and the bus of it, and both voltages.
    """
    root, busbar_kv = int(grid.roots[0]), interface.trafo.vn_lv_kv
    if not interface.per_unit and abs(grid.vn_kv[root] / busbar_kv - 1) > SAME_LEVEL:
        sources = grid.net.ext_grid.loc[grid.net.ext_grid["in_service"], "bus"]
        index, bus = next((i, b) for i, b in sources.items() if grid.bus_node[int(b)] == root)
        raise GridError(
            f"net {grid.name}: ext_grid {index} at bus {bus} has {grid.vn_kv[root]:g} kV, but interface "
            f"{interface.name} gives it {busbar_kv:g} kV; give its trafo vn_lv_kv: {grid.vn_kv[root]:g}, or the "
            "interface coupling: per_unit"
        )


@cache
def _plan(grid: CompiledNet) -> GridPlan:
    loads = grid.elements["load"]
    load_mw = -summed(loads.node, loads.p_mw, grid.n_nodes)
    load_mvar = -summed(loads.node, loads.q_mvar, grid.n_nodes)
    served = int(np.count_nonzero(grid.vn_kv[grid.order] > LOW_VOLTAGE_KV))
    areas = divide(grid, max(LEAST_NODES_PER_AREA, math.ceil(served / AREAS_PER_FEEDER)))
    customers = np.rint(CUSTOMERS_PER_MW * np.maximum(load_mw, 0.0)).astype(np.int64)
    return GridPlan(grid, areas, _substations(grid), load_mw, load_mvar, customers)


def _substations(grid: CompiledNet) -> Ints:
    """Return for each node the medium-voltage node above it; -1 at high voltage and on the busbars."""
    station = np.full(grid.n_nodes, -1, np.int64)
    busbars = {int(grid.rep[tap.lv_node]) for tap in grid.taps if grid.vn_kv[tap.hv_node] > 60.0}
    for node in grid.order:
        if grid.vn_kv[node] > 60.0 or int(node) in busbars:
            continue
        station[node] = node if grid.vn_kv[node] > LOW_VOLTAGE_KV else station[grid.rep[grid.parent[node]]]
    return station[grid.rep]


def stations(places: Sequence[FeederPlace]) -> list[tuple[str, str]]:
    """Return (secondary substation, its primary) of all feeders, each once."""
    return [(s, f.name) for f in places for s in dict.fromkeys(g for g in f.gateways if g)]
