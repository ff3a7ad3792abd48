"""What all pairings of a scenario share: places, devices, profiles, transmission case, plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from controllers.responsibility import Responsibility
from scenarios.catalogue import KINDS
from scenarios.dayahead import Plan, StaticLoad, forecast, plan, static_load
from scenarios.devices import der_simulator, device_table, drivers
from scenarios.market import market
from scenarios.places import Places, places
from scenarios.schema import Scenario
from scenarios.series import profiles
from scenarios.shelf import kept
from scenarios.shipped import transmission_path
from sims.der.fleet import DeviceTable
from sims.der.profiles import Profiles
from sims.der.sessions import Sessions
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow
from sims.transmission.case import MachineCase
from sims.transmission.grid import InterfaceTransformer, transmission_net
from sims.transmission.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Ground:
    """The same for all pairings; `plan` is what the day-ahead schedule came to.

    `expected_mw` is what each feeder was expected to draw then, [interval, feeder].
    """

    scenario: Scenario
    places: Places
    table: DeviceTable
    series: Profiles
    case: MachineCase
    transformers: tuple[InterfaceTransformer, ...]
    levels_kv: tuple[float, ...]
    grid: CompiledNet
    static: StaticLoad
    stays: Sessions
    plan: Plan
    expected_mw: NDArray[np.float64]

    @property
    def cell_of_dso(self) -> dict[str, int]:
        """The position of each DSO's cell among the cells of the case."""
        return {dso.name: dso.cell - 1 for dso in self.scenario.dsos}

    @property
    def interface_node(self) -> NDArray[np.int64]:
        """The 110 kV node of each interface."""
        return interface_nodes(self.grid, self.case, len(self.transformers))

    @property
    def interface_kv(self) -> list[float]:
        """Nominal voltage of the transmission bus at each interface [kV]."""
        found: list[float] = self.grid.vn_kv[high_nodes(self.grid, self.case, self.transformers)].tolist()
        return found

    @property
    def high_node(self) -> NDArray[np.int64]:
        """The transmission node of each interface."""
        return high_nodes(self.grid, self.case, self.transformers)


def ground(scenario: Scenario) -> Ground:
    """Return what the pairings of `scenario` share."""
    series = profiles(scenario)
    spots = places(scenario)
    table = device_table(scenario, spots, series)
    path = transmission_path(scenario.transmission.grid, scenario.folder)
    case = scenario.transmission.frequency.of(MachineCase.load(path))
    rows = json.loads(path.read_text(encoding="utf-8"))
    levels = [float(bus["vn_kv"]) for bus in rows["bus"]]
    transformers = tuple(
        InterfaceTransformer(name=i.name, bus=i.bus, **i.trafo.model_dump()) for i in spots.interfaces
    )
    level, settings = scenario.transmission.voltage_level, scenario.transmission.schedule
    grid = _transmission(path.read_bytes(), case, transformers, levels, level)
    static = static_load(scenario, case, spots, series)
    stays = drivers(scenario, table, series)
    bare = der_simulator(
        scenario, table, series, Responsibility("local", 1), dict.fromkeys(spots.dsos, 0),
        step_ms=settings.step_ms, stays=stays, equipped=False, f0_hz=case.f0_hz,
    )
    expected = forecast(scenario, table, bare, spots)
    planned = partial(
        plan, scenario, case, MeshedPowerFlow(grid), load_nodes(grid, case),
        interface_nodes(grid, case, len(transformers)), high_nodes(grid, case, transformers), static.at,
        expected.interface_mva,
    )
    return Ground(
        scenario, spots, table, series, case, transformers, tuple(levels), grid, static, stays,
        planned() if settings.method == "proportional" else kept(
            "plan",
            (path.read_bytes(), repr((transformers, level, settings, scenario.transmission.reserves)),
             expected.interface_mva.tobytes(),
             *(static.at(k * settings.step_ms).tobytes() for k in range(len(expected.interface_mva)))),
            lambda: planned(market(scenario, case, grid, rows, levels)), (Plan, Schedule),
        ),
        expected.feeder_mw,
    )


def _transmission(
    table: bytes, case: MachineCase, transformers: tuple[InterfaceTransformer, ...], levels: list[float], level: float
) -> CompiledNet:
    """Return the transmission grid as arrays; `table` is the file that `case` was read from."""
    def fresh() -> CompiledNet:
        return CompiledNet.from_net(transmission_net(case, transformers, levels, level), case.name)

    grid = kept("transmission", (table, repr(transformers), repr(level)), fresh, KINDS)
    return replace(grid, origin=cache(lambda: fresh().net))


def load_nodes(grid: CompiledNet, case: MachineCase) -> NDArray[np.int64]:
    """Return the node of each load of the case; bus i of the case is bus i of the net."""
    return np.array([grid.node(int(bus)) for bus in case.load_bus], np.int64)


def interface_nodes(grid: CompiledNet, case: MachineCase, count: int) -> NDArray[np.int64]:
    """Return the 110 kV nodes, whose buses follow those of the case."""
    return np.array([grid.node(case.n_bus + i) for i in range(count)], np.int64)


def high_nodes(
    grid: CompiledNet, case: MachineCase, transformers: Sequence[InterfaceTransformer]
) -> NDArray[np.int64]:
    """Return the transmission nodes of the interfaces."""
    return np.array([grid.node(int(b)) for b in case.bus_index([t.bus for t in transformers])], np.int64)
