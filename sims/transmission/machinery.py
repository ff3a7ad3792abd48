"""What the electromechanical model needs beyond the quasi-steady one, and how the two stand for the same system."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sims.transmission.case import MachineCase
from sims.transmission.disturbances import Condition
from sims.transmission.grid import InterfaceTransformer
from sims.transmission.quasi_steady import QuasiSteady

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Machinery:
    """The machines, and where things stand in the power flow.

    Parameters
    ----------
    case : MachineCase
        Its loads are those of the quasi-steady system, row by row; taken as constant power with self-regulation.
    bus_node : int array [bus]
        Node of each bus in the power flow.
    branches : sequence of (str, int)
        Kind and element of each branch in the power flow.
    coupling_ms : int
        Interval in which devices hear frequency and answer.
    """

    case: MachineCase
    transformers: tuple[InterfaceTransformer, ...]
    bus_node: NDArray[np.int64]
    branches: tuple[tuple[str, int], ...]
    coupling_ms: int = 20

    def with_interfaces(self, taps: Floats) -> tuple[MachineCase, list[int]]:
        """Return the case with the interface transformers on these taps [%/100], and their busbars' numbers."""
        own, transformers = self.case, self.transformers
        z = np.array([
            complex(t.vkr_percent, np.sqrt(t.vk_percent**2 - t.vkr_percent**2)) / 100 * own.base_mva / t.sn_mva
            for t in transformers
        ])
        busbars = [max(own.bus_ids) + 1 + i for i in range(len(transformers))]
        return own.with_loads().with_transformers([t.bus for t in transformers], busbars, z.real, z.imag, taps), busbars

    def impose(self, system: QuasiSteady, before: Condition, now: Condition) -> None:
        """Bring the quasi-steady system from one condition to another: what is in service, what is drawn beside."""
        for machine in np.flatnonzero(system.running & ~now.online).tolist():
            system.trip(machine)
        for row in np.flatnonzero(before.closed != now.closed).tolist():
            system.switch(*self.branches[row], closed=bool(now.closed[row]))
        stepped = np.zeros(system.engine.n_nodes, np.complex128)
        np.add.at(stepped, self.bus_node, now.drawn_mva)
        system.draw(stepped)

    def begun(self, condition: Condition) -> Condition:
        """Return `condition` with the interface transformers in service."""
        n = len(self.transformers)
        none = np.zeros(n, np.complex128)
        return replace(
            condition, closed=np.append(condition.closed, np.ones(n, np.bool_)),
            drawn_mva=np.append(condition.drawn_mva, none), ramp_mva_per_s=np.append(condition.ramp_mva_per_s, none))

    def kept(self, condition: Condition) -> Condition:
        """Return what of `condition` concerns the case itself."""
        own = self.case
        return replace(
            condition, closed=condition.closed[: len(own.branch_from)], drawn_mva=condition.drawn_mva[: own.n_bus],
            ramp_mva_per_s=condition.ramp_mva_per_s[: own.n_bus])
