"""Where the meters of a grid stand, how well they measure, and who receives what they report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sims.distribution.feeders import Feeders
from sims.grid.compiled import CompiledNet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HIGH_VOLTAGE_KV = 60.0
LOW_VOLTAGE_KV = 1.0


@dataclass(frozen=True)
class AreaPoint:
    """What an area agent measures where it stands: its node and the lines to neighbouring areas."""

    agent: str
    node: int
    line: Ints
    row: Ints
    sign: Floats
    neighbour: Ints


@dataclass(frozen=True)
class FeederPoints:
    """Meters of one feeder, with the receivers of their frames; empty receivers send nothing.

    `gateways` and `secondary_to` have one entry per node, empty where no substation reports.
    """

    feeder: int
    primary_to: tuple[str, ...]
    gateways: tuple[str, ...]
    secondary_to: tuple[str, ...]
    areas: tuple[AreaPoint, ...] = ()
    fault_to: str = ""
    crew: str = ""


@dataclass(frozen=True)
class StoragePoint:
    """The batteries of one feeder, which tell power and energy together: numbers, and rows among all batteries."""

    sender: str
    to: str
    device: Ints
    row: Ints


@dataclass(frozen=True)
class Bands:
    """Report by exception: every `scan_ms` a station tells what has left these bands since it last told it."""

    scan_ms: int
    v_pu: float
    power_mva: float


@dataclass(frozen=True)
class MeterPlan:
    """The meters of one DSO: where they stand and how often and how well they measure.

    Every `der_ms` (0: never) each feeder tells the subscribers `der_to` what all its DER give.

    Parameters
    ----------
    smart_ms : int
        Period of the meters in low-voltage grids; 0: as their secondary substation.
    smart_class_percent : float, optional
        Their accuracy class of power; `p_class_percent` if not given.
    v_step_pu, power_step_mva : float
        Readings are told in whole multiples of these; 0: as they are.
    bands : Bands, optional
        Stations that report between their telegrams what has changed.
    storage : tuple of StoragePoint
        Batteries that tell how they stand, as often as the secondary substations.
    """

    dso: str
    feeders: Feeders
    points: Sequence[FeederPoints]
    primary_ms: int
    secondary_ms: int
    v_class_percent: float
    p_class_percent: float
    der_ms: int = 0
    der_to: tuple[str, ...] = ()
    smart_ms: int = 0
    smart_class_percent: float | None = None
    v_step_pu: float = 0.0
    power_step_mva: float = 0.0
    bands: Bands | None = None
    storage: tuple[StoragePoint, ...] = ()

    @property
    def smart(self) -> bool:
        """Whether meters in low-voltage grids have a period or class of their own."""
        return self.smart_ms > 0 or self.smart_class_percent is not None


@dataclass(frozen=True)
class TransmissionPlan:
    """Receivers of the interfaces' and the ties' frames; `own` ones stand where they are measured."""

    interfaces: tuple[str, ...]
    interface_to: tuple[tuple[str, ...], ...]
    interface_own: tuple[str, ...]
    tie_to: Sequence[tuple[str, int]] = field(default_factory=tuple)
    tso: str = "tso"


@dataclass(frozen=True)
class HeadLines:
    """The lines that leave the busbars of a primary substation: pandapower indices and branch rows."""

    line: Ints
    row: Ints


def head_lines(grid: CompiledNet) -> HeadLines:
    """Return the lines in service at the medium-voltage busbars of `grid`, whose breakers stand there."""
    busbars = np.unique([grid.rep[tap.lv_node] for tap in grid.taps if grid.vn_kv[tap.hv_node] > HIGH_VOLTAGE_KV])
    near = np.isin(grid.rep[grid.branch_from], busbars) | np.isin(grid.rep[grid.branch_to], busbars)
    row = np.flatnonzero(near & (grid.branch_kind == "line") & grid.joined).astype(np.int64)
    line = grid.branch_element[row].astype(np.int64)
    line.flags.writeable = row.flags.writeable = False
    return HeadLines(line, row)
