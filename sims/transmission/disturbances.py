"""What happens to the transmission system, at exact milliseconds: steps, ramps, trips, switching, islanding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_S
from sims.core.errors import nearest
from sims.transmission.case import MachineCase


@dataclass
class Condition:
    """What disturbances change: switches, machines on the bars, and power drawn beyond the case's loads.

    Parameters
    ----------
    closed : array of bool [branch]
    online : array of bool [machine]
    drawn_mva : complex array [bus]
        Constant-power consumption added to the case's own, positive out of the grid.
    ramp_mva_per_s : complex array [bus]
        Its rate of change.
    """

    closed: NDArray[np.bool_]
    online: NDArray[np.bool_]
    drawn_mva: NDArray[np.complex128]
    ramp_mva_per_s: NDArray[np.complex128]

    def drift(self, ms: int) -> None:
        """Let what is drawn follow its ramps for `ms`."""
        if self.ramp_mva_per_s.any():
            self.drawn_mva += self.ramp_mva_per_s * (ms / MS_PER_S)

    @classmethod
    def normal(cls, case: MachineCase) -> Condition:
        """Everything in service, nothing added."""
        zero = np.zeros(case.n_bus, np.complex128)
        return cls(np.ones(len(case.branch_from), np.bool_), np.ones(len(case.machines), np.bool_), zero, zero.copy())


class Disturbance(Protocol):
    """One event; `apply` changes the condition, and says what follows from it later."""

    @property
    def t_ms(self) -> int:
        """When it happens."""
        ...

    def fault(self, case: MachineCase) -> str:
        """Return why the event cannot happen in this case; empty where it can."""
        ...

    def buses(self, case: MachineCase) -> list[int]:
        """Return the positions of buses at which the event changes a load."""
        ...

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """Carry the event out."""
        ...


def _no_bus(case: MachineCase, bus: int) -> str:
    return "" if bus in case.bus_ids else f"there is no bus {bus}{nearest(str(bus), map(str, case.bus_ids))}"


@dataclass(frozen=True)
class _AtBus:
    t_ms: int
    bus: int

    def fault(self, case: MachineCase) -> str:
        """See `Disturbance`."""
        return _no_bus(case, self.bus)

    def buses(self, case: MachineCase) -> list[int]:
        """See `Disturbance`."""
        return [case.bus_ids.index(self.bus)]


@dataclass(frozen=True)
class LoadStep(_AtBus):
    """Consumption at a bus rises by a constant power, positive for more load; it may fall below zero."""

    p_mw: float
    q_mvar: float = 0.0

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """See `Disturbance`."""
        condition.drawn_mva[self.buses(case)] += self.p_mw + 1j * self.q_mvar
        return []


@dataclass(frozen=True)
class LoadRamp(_AtBus):
    """Consumption at a bus rises evenly over `duration_ms`, then stays."""

    p_mw: float
    duration_ms: int
    q_mvar: float = 0.0

    def fault(self, case: MachineCase) -> str:
        """See `Disturbance`."""
        if self.duration_ms <= 0:
            return f"a ramp must last longer than {self.duration_ms} ms; use LoadStep for a sudden change"
        return super().fault(case)

    def turns(self) -> tuple[RampTurn, RampTurn]:
        """Return how it begins and how it ends."""
        rate = (self.p_mw + 1j * self.q_mvar) * MS_PER_S / self.duration_ms
        return RampTurn(self.t_ms, self.bus, rate), RampTurn(self.t_ms + self.duration_ms, self.bus, -rate)

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """See `Disturbance`."""
        begins, ends = self.turns()
        return [*begins.apply(case, condition), ends]


@dataclass(frozen=True)
class RampTurn(_AtBus):
    """The rate at which consumption at a bus rises changes by `mva_per_s`."""

    mva_per_s: complex

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """See `Disturbance`."""
        condition.ramp_mva_per_s[self.buses(case)] += self.mva_per_s
        return []


class _NoLoad:
    def buses(self, case: MachineCase) -> list[int]:
        """See `Disturbance`."""
        return []


@dataclass(frozen=True)
class GeneratorTrip(_NoLoad):
    """A machine leaves the grid, with its inertia, its governor and its voltage support."""

    t_ms: int
    machine: str

    def fault(self, case: MachineCase) -> str:
        """See `Disturbance`."""
        names = case.machines.names
        return "" if self.machine in names else f"there is no machine '{self.machine}'{nearest(self.machine, names)}"

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """See `Disturbance`."""
        condition.online[case.machines.names.index(self.machine)] = False
        return []


@dataclass(frozen=True)
class LineSwitch(_NoLoad):
    """The branches between two buses open or close; `circuit` picks one of several, counted from 0."""

    t_ms: int
    from_bus: int
    to_bus: int
    closed: bool = False
    circuit: int | None = None

    def branches(self, case: MachineCase) -> list[int]:
        """Return the positions of the branches meant; empty where there is none."""
        ids = np.array(case.bus_ids)
        f, t = ids[case.branch_from], ids[case.branch_to]
        a, b = self.from_bus, self.to_bus
        found = np.flatnonzero(((f == a) & (t == b)) | ((f == b) & (t == a))).tolist()
        if self.circuit is None:
            return found
        return found[self.circuit : self.circuit + 1] if self.circuit >= 0 else []

    def fault(self, case: MachineCase) -> str:
        """See `Disturbance`."""
        for bus in (self.from_bus, self.to_bus):
            if text := _no_bus(case, bus):
                return text
        if not self.branches(case):
            which = "" if self.circuit is None else f" circuit {self.circuit} of"
            return f"there is no{which} branch {self.from_bus}-{self.to_bus}"
        return ""

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """See `Disturbance`."""
        condition.closed[self.branches(case)] = self.closed
        return []


@dataclass(frozen=True)
class Islanding(_NoLoad):
    """A cell separates: every branch between it and another cell opens."""

    t_ms: int
    cell: str

    def fault(self, case: MachineCase) -> str:
        """See `Disturbance`."""
        return "" if self.cell in case.cells else f"there is no cell '{self.cell}'{nearest(self.cell, case.cells)}"

    def apply(self, case: MachineCase, condition: Condition) -> list[Disturbance]:
        """See `Disturbance`."""
        inside = case.bus_cell == case.cells.index(self.cell)
        condition.closed[inside[case.branch_from] != inside[case.branch_to]] = False
        return []


@dataclass(order=True)
class Due:
    """A disturbance in the queue; those of one instant happen in the order in which they were scheduled."""

    t_ms: int
    number: int
    event: Disturbance = field(compare=False)
