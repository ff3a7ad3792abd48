"""Whether synthetic inertia in each cell can bear the delays of its own measurement."""

from __future__ import annotations

import numpy as np

from controllers.local.inertia import SyntheticInertia, refuse_unstable
from scenarios.beliefs import cell_numbers
from scenarios.ground import Ground
from sims.der.simulator import DerSimulator


def refuse_too_much(ground: Ground, der: DerSimulator) -> None:
    """Hold the devices' synthetic inertia against the machines of their cell.

    The devices' answer is held for one coupling interval before it is renewed, which counts as their delay.

    Raises
    ------
    ScenarioError
        A cell's devices would turn their own delay into an oscillation; the margin is named.
    """
    case = ground.case
    physical = np.bincount(case.bus_cell[case.machines.bus], case.machines.stored_mws, len(case.cells))
    of_dso = np.array([ground.cell_of_dso[dso] for dso in ground.places.dsos])
    synthetic = np.zeros(len(case.cells))
    filter_s = 0.0
    for bound in der.laws.laws:
        if isinstance(bound.law, SyntheticInertia):
            cell = of_dso[ground.table.dso[bound.devices]]
            synthetic += np.bincount(cell, bound.law.equivalent_mws(case.f0_hz), len(case.cells))
            filter_s = bound.law.filter_s
    if not synthetic.any():
        return
    coupling_s = ground.scenario.transmission.frequency.coupling_ms / 1000
    for number, own, machines in zip(cell_numbers(case), synthetic, physical, strict=True):
        refuse_unstable(
            f"cell_{number}", float(own), float(machines), coupling_s, filter_s=filter_s,
            window_s=der.settings.meter_window_s, coupling_s=coupling_s,
        )
