"""What an operator believes of the grid: nameplates and maps, never the simulator's state."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sims.grid.compiled import CompiledNet

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeviceBelief:
    """The register of the controllable and metered devices of one feeder, one row a device.

    `index` numbers devices over the whole system and is what a command carries; `kind` is one of load,
    pv, wind, storage, ev, heatpump, chp; `node` is the node in the feeder's net.
    """

    index: Ints
    kind: NDArray[np.str_]
    node: Ints
    p_rated_mw: Floats
    s_rated_mva: Floats
    energy_mwh: Floats
    controllable: NDArray[np.bool_]

    def of(self, *kinds: str) -> Ints:
        """Return the rows whose kind is one of `kinds` and that take commands."""
        return np.flatnonzero(np.isin(self.kind, kinds) & self.controllable)


@dataclass(frozen=True)
class FeederBelief:
    """One medium-voltage grid behind an interface, with the low-voltage grids below it.

    Parameters
    ----------
    name : str
        Also the address of its primary substation (tap changers, breakers, switches).
    grid : CompiledNet
        Topology and impedances; node 0-based as in the compiled net.
    gateways : tuple of str, shape [node]
        Address of the secondary substation that serves each node; empty where there is none.
    area : int array, shape [node]
        Which agent's area the node lies in; area 0 is led from the primary substation.
    agents : tuple of str
        Address of each area's agent.
    agent_node : int array, shape [area]
        The node the agent's own substation stands at.
    area_neighbours : tuple of tuple of int
        Areas that share a boundary with each area.
    load_mw, load_mvar : float array, shape [node]
        Peak load by nameplate, the weight of pseudo-measurements.
    customers : int array, shape [node]
    expected_mw : float array, shape [interval]
        What the feeder is expected to draw, as forecast the day before; empty where there is no forecast.
    expected_step_ms : int
    """

    name: str
    interface: str
    grid: CompiledNet
    devices: DeviceBelief
    gateways: tuple[str, ...]
    area: Ints
    agents: tuple[str, ...]
    agent_node: Ints
    area_neighbours: tuple[tuple[int, ...], ...]
    load_mw: Floats
    load_mvar: Floats
    customers: Ints
    expected_mw: Floats = field(default_factory=lambda: np.zeros(0))
    expected_step_ms: int = 900_000


@dataclass(frozen=True)
class InterfaceBelief:
    """One connection to the transmission grid: address, bus, transformer, the feeders below it."""

    name: str
    dso: str
    cell: int
    bus: int
    sn_mva: float
    vk_percent: float
    feeders: tuple[str, ...]
    q_range_mvar: float
    p_max_mw: float


@dataclass(frozen=True)
class CellBelief:
    """What is agreed for a cell: the scheduled export by quarter-hour, its bias, its tie capacity."""

    name: str
    cell: int
    schedule_mw: Floats
    schedule_step_ms: int
    bias_mw_per_hz: float
    tie_capacity_mw: float
    interfaces: tuple[str, ...]


@dataclass(frozen=True)
class GeneratorBelief:
    """A power station: address, cell, restoration reserve both ways [MW], and how long until all of it is there [s]."""

    name: str
    address: str
    cell: int
    reserve_mw: float
    full_s: float = 300.0


@dataclass(frozen=True)
class Belief:
    """Everything static that a site knows; a DMS holds its DSO, an agent its own feeder or interface."""

    feeders: tuple[FeederBelief, ...] = ()
    interfaces: tuple[InterfaceBelief, ...] = ()
    cells: tuple[CellBelief, ...] = ()
    generators: tuple[GeneratorBelief, ...] = ()
    area: int = -1
    v_min_pu: float = 0.95
    v_max_pu: float = 1.05
    loading_max_percent: float = 100.0
    f_nominal_hz: float = 50.0

    def feeder(self, name: str) -> FeederBelief:
        """Return the feeder called `name` (KeyError where it is not this site's)."""
        for feeder in self.feeders:
            if feeder.name == name:
                return feeder
        raise KeyError(name)
