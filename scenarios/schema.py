"""The scenario: one run, or a matrix of runs, declared as data and checked as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from scenarios.base import Name, Part, Text
from scenarios.durations import Duration, Instant
from scenarios.expectation import Expectations
from scenarios.schema_communication import Communication
from scenarios.schema_company import Company
from scenarios.schema_der import Der
from scenarios.schema_devices import Listed, OwnSeries, Weather
from scenarios.schema_disturbances import Disturbance
from scenarios.schema_grid import Dso, Grids, Limits, Trafo, Transmission
from scenarios.schema_operation import (
    Architecture,
    Control,
    FromStage,
    OwnController,
    Record,
    Stage,
    Transfer,
)
from sims.core.errors import nearest


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"'{name}' is no time zone{nearest(name, available_timezones())}")
    return name


class Time(Part):
    """When the run takes place, and its grid step."""

    start: Instant
    """Date and time with offset from UTC; the offset holds for the whole run."""
    duration_ms: Duration = Field(alias="duration")
    """Length of the run."""
    step_ms: Duration = Field(60_000, alias="step")
    """Grid step while nothing fast moves."""
    zone: Annotated[Text, AfterValidator(_zone)] = "Europe/Berlin"
    """Time zone in which people live and files without an offset are written; its days may have 23 or 25 hours."""


class Pairing(Part):
    """Who controls: architecture and stage of one run."""

    architecture: Architecture = "centralized"
    """Where decisions are made."""
    stage: Stage = 2
    """How much the DSO is responsible for."""

    def __str__(self) -> str:
        return f"{self.architecture}, stage {self.stage}"


class Matrix(Part):
    """Which pairings a comparison runs."""

    architecture: Annotated[tuple[Architecture, ...], Field(min_length=1)] = ("local", "centralized", "distributed")
    """Architectures compared."""
    stage: Annotated[tuple[Stage, ...], Field(min_length=1)] = (1, 2, 3, 4)
    """Stages compared."""


@dataclass(frozen=True)
class InterfacePlace:
    """One interface: the `number`-th (from 1) of its DSO.

    Parameters
    ----------
    name : str
        ``<dso>.i<number>``.
    index : int
        Position among all interfaces of the scenario.
    per_unit : bool
        Its feeders take over voltages per unit, whatever their own nominal voltage.
    """

    name: str
    index: int
    dso: str
    cell: int
    bus: int
    trafo: Trafo
    feeders: tuple[str, ...]
    per_unit: bool = False


@dataclass(frozen=True)
class Feeder:
    """One feeder, with the shares that hold in it.

    Parameters
    ----------
    name : str
        ``<dso>.f<number>``, counted over the DSO's grids in order, from 01.
    interface : int
        Position of its interface in `Scenario.interfaces`.
    bus : int
        Transmission bus behind that interface.
    copy : int
        Which of its entry's `count` copies it is, from 0.
    """

    name: str
    dso: str
    cell: int
    interface: int
    bus: int
    grid: str
    copy: int
    pv_mw_per_mw_load: float
    wind_mw_per_mw_load: float
    storage_mw_per_mw_pv: float
    vehicles_per_mw_load: float


class Scenario(Part):
    """Everything that a run needs and that is the same for all pairings compared."""

    gridseam: Literal[1] = 1
    """Version of the scenario format."""
    extends: Text = Field("", exclude=True)
    """A shipped scenario, or ./file.yaml, that this one changes: mappings are merged, lists and values replaced."""
    name: Name
    """Short name, used for folders."""
    title: Text = ""
    """One line for people."""
    description: Text = ""
    """A paragraph for people."""
    time: Time
    """When."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    """Of all random numbers; equal seeds give equal runs."""
    pairing: Pairing = Pairing()
    """What a single run takes unless told otherwise."""
    matrix: Matrix = Matrix()
    """What a comparison runs."""
    profiles: Text = "summer"
    """A shipped week, or ./file.csv beside the scenario."""
    interpolation: Literal["hold", "linear"] = "linear"
    """Between the rows of profiles: the earlier row holds, or straight lines join them."""
    weather: Weather | None = None
    """What `series` of sun, wind and heat are made from."""
    series: Mapping[Name, OwnSeries] = Field(default_factory=dict)
    """Own profile series by name, beside those of the file."""
    transmission: Transmission = Transmission()
    """The transmission grid."""
    dsos: Annotated[tuple[Dso, ...], Field(min_length=1)]
    """The distribution system operators and their grids."""
    limits: Limits = Limits()
    """What counts as secure."""
    diverged: Literal["stop", "hold"] = "stop"
    """A feeder whose power flow has no solution stops the run, or is held at what it drew last, without figures."""
    der: Der = Der()
    """What stands in the feeders."""
    devices: tuple[Listed, ...] = ()
    """Devices given one by one, beside those that `der` spreads."""
    communication: Communication = Communication.model_validate({})
    """The network."""
    control: Control = Control()
    """Settings of duties."""
    disturbances: tuple[Disturbance, ...] = ()
    """What happens, in any order."""
    from_stage: FromStage = FromStage.model_validate({})
    """Table of responsibilities, if another than the usual one."""
    handover: tuple[Transfer, ...] = ()
    """Duties that change hands between TSO and DSO within the run."""
    controllers: tuple[OwnController, ...] = ()
    """The user's own controllers."""
    company: tuple[Company, ...] = ()
    """Simulators that are not gridseam's, each in a process of its own."""
    record: Record = Record.model_validate({})
    """How finely the run file is written."""
    expect: Mapping[str, Expectations] = Field(default_factory=dict)
    """What is expected of key figures, by their name or ./file.py:function; `gridseam test` holds it."""
    variants: Mapping[Name, Mapping[str, Any]] = Field(default_factory=dict, exclude=True)
    """Named changes to this scenario: mappings are merged, lists and values replaced."""

    _folder: Path = PrivateAttr(default=Path())
    _variant: str = PrivateAttr(default="")

    def model_post_init(self, context: Any, /) -> None:
        """Take the folder and the variant from the loader."""
        if isinstance(context, Mapping):
            self._folder = Path(context.get("folder", ""))
            self._variant = str(context.get("variant", ""))

    @model_validator(mode="after")
    def _whole(self, info: ValidationInfo) -> Self:
        from scenarios.crosscheck import faults

        found = faults(self)
        if found:
            raise ValidationError.from_exception_data(
                "Scenario",
                [
                    InitErrorDetails(
                        type=PydanticCustomError("scenario", "{text}", {"text": text}), loc=place, input=None
                    )
                    for place, text in found
                ],
            )
        return self

    @property
    def folder(self) -> Path:
        """Folder of the scenario file; ``./`` references start here."""
        return self._folder

    @property
    def variant(self) -> str:
        """Name of the variant that was applied, empty for the scenario as it stands."""
        return self._variant

    def at_ms(self, event: Disturbance | Transfer) -> int:
        """Return when a disturbance or a handover takes place [ms after the start]."""
        return event.at.since(self.time.start)

    def interfaces(self) -> tuple[InterfacePlace, ...]:
        """Return all interfaces, DSO by DSO in the order of the file."""
        by_place: dict[int, list[str]] = {}
        for feeder in self.feeders():
            by_place.setdefault(feeder.interface, []).append(feeder.name)
        found: list[InterfacePlace] = []
        for dso in self.dsos:
            for number, interface in enumerate(dso.interfaces, start=1):
                index = len(found)
                found.append(
                    InterfacePlace(
                        f"{dso.name}.i{number}", index, dso.name, dso.cell, interface.bus, interface.trafo,
                        tuple(by_place[index]), interface.coupling == "per_unit",
                    )
                )
        return tuple(found)

    def feeders(self) -> tuple[Feeder, ...]:
        """Return all feeders, DSO by DSO, interface by interface, in the order of the file."""
        found: list[Feeder] = []
        place = 0
        for dso in self.dsos:
            number = 0
            for interface in dso.interfaces:
                for entry in interface.grids:
                    shares = self._shares(entry)
                    for copy in range(entry.count):
                        number += 1
                        name = f"{dso.name}.f{number:02d}"
                        found.append(
                            Feeder(name, dso.name, dso.cell, place, interface.bus, entry.grid, copy, *shares)
                        )
                place += 1
        return tuple(found)

    def _shares(self, entry: Grids) -> tuple[float, float, float, float]:
        der = self.der

        def pick(own: float | None, default: float) -> float:
            return default if own is None else own

        return (
            pick(entry.pv_mw_per_mw_load, der.pv.mw_per_mw_load),
            pick(entry.wind_mw_per_mw_load, der.wind.mw_per_mw_load),
            pick(entry.storage_mw_per_mw_pv, der.storage.mw_per_mw_pv),
            pick(entry.vehicles_per_mw_load, der.ev.vehicles_per_mw_load),
        )

    def as_data(self) -> dict[str, Any]:
        """Return the scenario as it would stand in a file, defaults filled in; validating it gives an equal one."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def as_json(self) -> str:
        """Return `as_data` as JSON, for the run file's provenance."""
        return json.dumps(self.as_data(), ensure_ascii=False)
