"""Simulators that are not gridseam's: started by a command, in a process of their own, stepped and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

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


Given = Annotated[Any, AfterValidator(_plain)]


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
    settings: Mapping[str, Given] = Field(default_factory=dict)
    """What the simulator is started with."""
    params: Mapping[str, Given] = Field(default_factory=dict)
    """What each entity is created with."""
    record: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(min_length=1)]
    """Attributes that are recorded."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its entities in the run file."""
        return tuple(f"{self.name}.{number:02d}" for number in range(1, self.count + 1))
