"""Simulators that are not gridseam's: started by a command, in a process of their own, stepped and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from scenarios.base import Count, Name, Part, Text


def _plain(value: Any) -> Any:
    """Refuse what does not go through JSON to another process."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f"{type(value).__name__} cannot be handed to another process")


def _command(text: str) -> str:
    if "%(addr)s" not in text:
        raise ValueError("must hold %(addr)s, where the simulator is to connect to")
    return text


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"'{name}' stands here twice")
    return names


Given = Annotated[Any, AfterValidator(_plain)]
Column = Annotated[str, StringConstraints(pattern=r"^[^/\x00-\x1f]{1,64}$")]
TAKEN = frozenset({
    "bus", "line", "trafo", "feeder", "interface", "cell", "gen", "system", "estimate", "cell_fine", "interface_fine",
    "gen_fine", "actions", "messages", "alarms", "goals", "kpi", "status", "provenance", "der", "transmission",
    "metering", "comms", "control", "recorder", "time", "index",
})  # fmt: skip
"""Names of gridseam's own simulators, and of what stands in a run file."""


class Company(Part):
    """One simulator with the mosaik API, and what is recorded of it."""

    name: Name
    """Its name, and that of its group in the run file."""
    start: Annotated[Text, AfterValidator(_command)]
    """Command that starts it, such as ``mosaik-csv %(addr)s``; needs --trust-code."""
    model: Name
    """Which of its models to create."""
    count: Count = 1
    """How many entities of it."""
    parts: Annotated[tuple[Column, ...], AfterValidator(_different)] = ()
    """What is recorded of what its one entity brings with it, by mosaik's ids, such as the buses of a grid."""
    settings: Mapping[str, Given] = Field(default_factory=dict)
    """What the simulator is started with."""
    params: Mapping[str, Given] = Field(default_factory=dict)
    """What each entity is created with."""
    record: Annotated[tuple[Column, ...], Field(min_length=1), AfterValidator(_different)]
    """Attributes that are recorded, of every entity that has them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its entities in the run file."""
        own = self.parts or [f"{number:02d}" for number in range(1, self.count + 1)]
        return tuple(f"{self.name}.{part}" for part in own)
