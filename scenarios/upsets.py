"""What befalls the transmission system in a scenario, as its models take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenarios import schema_disturbances as schema
from sims.transmission import disturbances as physical
from sims.transmission.case import MachineCase

if TYPE_CHECKING:
    from scenarios.schema import Scenario


def upsets(scenario: Scenario, case: MachineCase) -> list[physical.Disturbance]:
    """Return the disturbances of the transmission system, in the order of their times."""
    found: list[physical.Disturbance] = []
    for d in scenario.disturbances:
        at_ms = scenario.at_ms(d)
        if isinstance(d, schema.GeneratorTrip):
            found.append(physical.GeneratorTrip(at_ms, d.generator))
        elif isinstance(d, schema.LoadStep):
            found.append(physical.LoadStep(at_ms, d.bus, d.p_mw, d.q_mvar))
        elif isinstance(d, schema.LoadRamp):
            found += physical.LoadRamp(at_ms, d.bus, d.p_mw, d.duration_ms, d.q_mvar).turns()
        elif isinstance(d, schema.LineSwitch):
            found.append(physical.LineSwitch(at_ms, d.from_bus, d.to_bus, d.closed))
        elif isinstance(d, schema.Island):
            found.append(physical.Islanding(at_ms, case.cells[d.cell - 1]))
    return sorted(found, key=lambda event: event.t_ms)


def disturbed(scenario: Scenario, case: MachineCase) -> dict[str, Any]:
    """Return what the run file tells of the one loss or gain of power: cell, time [s], machine or power [MW].

    Empty where there is none, or more than one: what cells did for which could not be told apart.
    """
    power = schema.GeneratorTrip | schema.LoadStep | schema.LoadRamp
    upsetting = [d for d in scenario.disturbances if isinstance(d, power)]
    if len(upsetting) != 1 or isinstance(upsetting[0], schema.LoadRamp):
        return {}
    (d,) = upsetting
    found: dict[str, Any] = {"disturbance_s": scenario.at_ms(d) / 1000}
    if isinstance(d, schema.GeneratorTrip):
        bus = int(case.machines.bus[case.machines.names.index(d.generator)])
        found["disturbed_machine"] = d.generator
    else:
        bus = int(case.bus_index([d.bus])[0])
        found["disturbance_mw"] = d.p_mw
    return {"disturbed_cell": f"cell_{int(case.bus_cell[bus]) + 1}", **found}
