"""Costs and limits of a transmission table's machines and branches, for the cheapest day-ahead plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scenarios.beliefs import cell_numbers
from scenarios.opf import Market, Units
from scenarios.schema import Scenario
from sims.grid.compiled import CompiledNet
from sims.transmission.case import MachineCase
from sims.transmission.grid import branch_elements

USUAL_COST = (0.3, 0.01)
"""Of P [MWh] and of P^2 [MW^2 h]: what MATPOWER's `case39` gives every machine; for a row without ``cost``."""


def market(
    scenario: Scenario, case: MachineCase, grid: CompiledNet, table: Mapping[str, Any], levels_kv: Sequence[float]
) -> Market:
    """Return the market of a transmission table.

    A machine may go from nothing up to its rating, less its part by rating of the reserves of its cell, kept free
    both ways. Branches have their ``rate_mva``, no limit where the table names none.
    """
    rated, cell = case.machines.values["sn_mva"], case.bus_cell[case.machines.bus]
    kept = {r.cell: r.fcr_mw + r.afrr_mw for r in scenario.transmission.reserves}
    total, numbers = np.bincount(cell, rated, len(case.cells)), cell_numbers(case)
    band = np.array([kept.get(numbers[c], 0.0) for c in cell]) * rated / total[cell]
    settings = scenario.transmission.schedule
    ramp = rated * settings.ramp_percent_per_min / 100 * settings.step_ms / 60_000
    node = np.array([grid.node(int(bus)) for bus in case.machines.bus], np.int64)
    cost = np.array([row.get("cost", USUAL_COST) for row in table["machine"]], np.float64)
    limit = np.full(grid.n_branches, np.inf)
    for (kind, number), row in zip(branch_elements(case, levels_kv), table["branch"], strict=True):
        limit[grid.branch(kind, number)] = float(row.get("rate_mva", np.inf))
    return Market(Units(node, case.slack, band, rated - band, ramp, cost[:, 1], cost[:, 0]), limit)
