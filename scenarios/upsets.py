"""What befalls the transmission system in a scenario, as its models take it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scenarios import schema_disturbances as schema
from sims.core.errors import nearest
from sims.transmission import disturbances as physical
from sims.transmission.case import MachineCase

if TYPE_CHECKING:
    from scenarios.schema import Scenario
    from scenarios.shipped import TransmissionOutline


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


def upset_faults(d: schema.Disturbance, outline: TransmissionOutline, model: str) -> Iterator[tuple[str, str]]:
    """Yield the key and what is wrong with it, for a disturbance that names parts of the transmission system."""
    if isinstance(d, schema.GeneratorTrip) and d.generator not in outline.generators:
        yield "generator", f"'{d.generator}' is not one of {_shown(outline.generators, d.generator)}"
    elif isinstance(d, schema.LoadStep | schema.LoadRamp) and d.bus not in outline.cell_of_bus:
        yield "bus", _no_bus(d.bus, outline)
    elif isinstance(d, schema.LineSwitch):
        ends = (("from", d.from_bus), ("to", d.to_bus))
        missing = [(key, _no_bus(bus, outline)) for key, bus in ends if bus not in outline.cell_of_bus]
        yield from missing
        pair = frozenset({d.from_bus, d.to_bus})
        if not missing and pair not in outline.branches:
            near = sorted(other for known in outline.branches if d.from_bus in known for other in known - {d.from_bus})
            yield "to", f"there is no branch {d.from_bus}-{d.to_bus}; bus {d.from_bus} is joined to {_listed(near)}"
    elif isinstance(d, schema.Island):
        cells = sorted(set(outline.cell_of_bus.values()))
        if d.cell not in cells:
            yield "cell", f"{d.cell} is not one of the cells {' | '.join(map(str, cells))}"
        elif model != "dynamic":
            yield "kind", "an island has a frequency of its own: set transmission.frequency.model to dynamic"


def _no_bus(bus: int, outline: TransmissionOutline) -> str:
    buses = sorted(outline.cell_of_bus)
    return f"there is no bus {bus} ({buses[0]}..{buses[-1]})"


def _listed(buses: list[int]) -> str:
    return ", ".join(map(str, buses)) or "nothing"


def _shown(names: tuple[str, ...], given: str) -> str:
    return f"{' | '.join(names) if len(names) <= 20 else f'the {len(names)} there are'}{nearest(given, names)}"
