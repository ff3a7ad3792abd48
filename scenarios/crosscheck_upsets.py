"""Whether what befalls the transmission system in a scenario can happen there: the names that it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios import schema_disturbances as schema
from sims.core.errors import nearest

if TYPE_CHECKING:
    from scenarios.shipped import TransmissionOutline


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
