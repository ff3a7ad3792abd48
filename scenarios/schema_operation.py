"""How a scenario is operated: links, metering, duties' settings, disturbances, own controllers, recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from scenarios.base import Name, NotNegative, Part, Percent, Positive, Real, Share, Text
from scenarios.durations import Delay, Duration, Moment
from sims.core.errors import nearest

Architecture = Literal["local", "centralized", "distributed"]
Stage = Literal[1, 2, 3, 4]
Duty = Literal[
    "observe", "contain_frequency", "manage_congestion", "control_voltage", "restore_supply",
    "support_tso_voltage", "balance_cell", "provide_inertia",
]  # fmt: skip
End = Literal["substation", "primary", "dms", "tso", "crew"]
Actor = Literal["dms", "agent", "tso"]


def _technology(name: str) -> str:
    from sims.comms.technology import PRESETS

    if name in PRESETS:
        return name
    raise ValueError(f"'{name}' is not one of {' | '.join(PRESETS)}{nearest(name, PRESETS)}")


def _setting(value: Any) -> Any:
    many = value if isinstance(value, list) else [value]
    for item in many:
        if not isinstance(item, bool | int | float | str) or (isinstance(item, float) and not math.isfinite(item)):
            raise ValueError("a setting is a number, a text, true or false, or a list of these")
    return tuple(value) if isinstance(value, list) else value


TechnologyName = Annotated[Text, AfterValidator(_technology)]


class Link(Part):
    """What connects two kinds of places, or the places of one kind among themselves."""

    from_: End | None = Field(None, alias="from")
    """One end."""
    to: End | None = None
    """The other end; every link carries mail both ways."""
    between: Literal["agents", "cells"] | None = None
    """Instead of from and to: neighbours of one kind."""
    technology: TechnologyName
    """Row of the technology table."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.between is None) == (self.from_ is None and self.to is None):
            raise ValueError("names either 'from' and 'to', or 'between'")
        if self.between is None and (self.from_ is None or self.to is None):
            raise ValueError("names only one end; give both 'from' and 'to'")
        if self.between is None and self.from_ == self.to:
            raise ValueError(f"connects {self.to} with itself")
        return self

    @property
    def ends(self) -> frozenset[str]:
        """What it connects: two kinds of places, or one."""
        return frozenset({self.between} if self.between else {str(self.from_), str(self.to)})


DEFAULT_LINKS: Mapping[frozenset[str], str] = MappingProxyType(
    {
        frozenset({"substation", "primary"}): "lte450",
        frozenset({"primary", "dms"}): "fibre",
        frozenset({"dms", "tso"}): "fibre",
        frozenset({"agents"}): "lte450",
        frozenset({"cells"}): "fibre",
        frozenset({"crew", "dms"}): "phone",
    }
)
"""Technology by ends, where a scenario names none."""


class Metering(Part):
    """What is measured how often and how well."""

    primary_ms: Duration = Field(60_000, alias="primary")
    """From one telegram of a primary substation to the next."""
    secondary_ms: Duration = Field(900_000, alias="secondary")
    """From one telegram of a secondary substation to the next."""
    estimation_ms: Duration = Field(300_000, alias="estimation")
    """From one state estimation to the next."""
    tso_der_ms: Duration | None = Field(None, alias="tso_der")
    """From one telegram about a feeder's DER to the TSO to the next, at stages 1 and 2; without it none is sent."""
    v_accuracy_percent: Percent = 0.5
    """Accuracy class of voltage readings, taken as three standard deviations."""
    p_accuracy_percent: Percent = 1.0
    """Accuracy class of power readings, taken as three standard deviations."""


class Communication(Part):
    """The network that carries the messages."""

    slot_ms: Duration = Field(100, alias="slot")
    """Deliveries are handed over in slots of this length; exact arrival times are kept."""
    links: tuple[Link, ...] = ()
    """Technologies by ends; ends not named here keep their default."""
    metering: Metering = Metering.model_validate({})
    """What is measured."""

    def technology(self, *ends: str) -> str:
        """Return the technology between two kinds of places, or among one (``agents``, ``cells``)."""
        wanted = frozenset(ends)
        named = {link.ends: link.technology for link in self.links}
        return named.get(wanted) or DEFAULT_LINKS[wanted]


class ManageCongestion(Part):
    """Settings of congestion management."""

    cycle_ms: Duration = Field(300_000, alias="cycle")
    """From one decision to the next."""


class ControlVoltage(Part):
    """Settings of voltage control."""

    cycle_ms: Duration = Field(300_000, alias="cycle")
    """From one decision to the next."""
    deadband_pu: NotNegative = 0.005
    """Deviations up to this are left alone."""


class RestoreSupply(Part):
    """Settings of restoration."""

    crew_delay_ms: Delay = Field(2_700_000, alias="crew_delay")
    """Until a crew has switched by hand (median)."""
    remote_delay_ms: Delay = Field(60_000, alias="remote_delay")
    """Until a remote switching sequence is done."""


class SupportTsoVoltage(Part):
    """Settings of interface voltage support."""

    k_p_mvar_per_pu: Positive = 4000.0
    """Reactive power asked for per deviation of the voltage."""
    band_share: Share = 0.48
    """Static band of reactive power over the larger maximum of import and export (EU 2016/1388, art. 15)."""
    cycle_ms: Duration = Field(60_000, alias="cycle")
    """From one decision to the next."""


class BalanceCell(Part):
    """Settings of cell balance restoration."""

    k_p: NotNegative = 0.1
    """Proportional gain."""
    t_i_ms: Duration = Field(120_000, alias="t_i")
    """Integral time."""
    cycle_ms: Duration = Field(60_000, alias="cycle")
    """From one decision to the next."""


class Control(Part):
    """Settings handed to whoever holds a duty."""

    manage_congestion: ManageCongestion = ManageCongestion.model_validate({})
    control_voltage: ControlVoltage = ControlVoltage.model_validate({})
    restore_supply: RestoreSupply = RestoreSupply.model_validate({})
    support_tso_voltage: SupportTsoVoltage = SupportTsoVoltage.model_validate({})
    balance_cell: BalanceCell = BalanceCell.model_validate({})

    def settings(self, duty: str) -> dict[str, Any]:
        """Return the settings of `duty` by attribute name (times in ms); empty for a duty without settings."""
        part = getattr(self, duty, None)
        return part.model_dump() if isinstance(part, Part) else {}


class _Event(Part):
    at: Moment
    """When: ``"15:00"``, ``"1d 06:00"``, or a duration since the start."""

    @property
    def words(self) -> str:
        """What happens, in a few words: the kind and what it befalls."""
        told = self.model_dump(exclude={"at", "kind", "duration_ms"}, exclude_none=True)
        kind = str(getattr(self, "kind", "")).replace("_", " ")
        return " ".join([kind, *(f"{key} {value}" for key, value in told.items())])


class LineFault(_Event):
    """A permanent short circuit on a line of a feeder."""

    kind: Literal["line_fault"] = "line_fault"
    """What happens."""
    feeder: Text
    """Name of the feeder, such as dso_1.f01."""
    line: Annotated[int, Field(strict=True, ge=0)]
    """Index in the grid's line table."""


class CommsOutage(_Event):
    """A place of the network is down."""

    kind: Literal["comms_outage"] = "comms_outage"
    """What happens."""
    node: Text
    """Name of the place, such as dso_2.dms."""
    duration_ms: Duration = Field(alias="duration")
    """How long."""


class Tampering(_Event):
    """Somebody falsifies what messages say on the way up from a place of the network, and back down to it."""

    kind: Literal["tamper"] = "tamper"
    """What happens."""
    node: Text
    """Name of the place, such as dso_1.i1; the link to the place above it is in foreign hands."""
    duration_ms: Duration = Field(alias="duration")
    """How long."""
    bias: Annotated[Mapping[Name, Real], Field(min_length=1)]
    """What is added to which value of a message, such as {v_pu: 0.03}; messages without it pass as they are."""
    topic: Text = ""
    """Only messages whose topic begins so; all if not given."""


class GeneratorTrip(_Event):
    """A generator leaves the transmission grid."""

    kind: Literal["generator_trip"] = "generator_trip"
    """What happens."""
    generator: Text
    """Its name in the transmission table."""


class LoadStep(_Event):
    """Consumption at a transmission bus rises at once, and stays."""

    kind: Literal["load_step"] = "load_step"
    """What happens."""
    bus: Annotated[int, Field(strict=True, ge=1)]
    """Number of the transmission bus."""
    p_mw: Real
    """Active power, positive for more load."""
    q_mvar: Real = 0.0
    """Reactive power."""


class LineSwitch(_Event):
    """The transmission lines between two buses open or close."""

    kind: Literal["line_switch"] = "line_switch"
    """What happens."""
    from_bus: Annotated[int, Field(strict=True, ge=1)] = Field(alias="from")
    """Number of the transmission bus at one end."""
    to_bus: Annotated[int, Field(strict=True, ge=1)] = Field(alias="to")
    """At the other end."""
    closed: bool = False
    """True closes; between islands only while they are in step."""


class Island(_Event):
    """A cell separates: all its tie-lines open."""

    kind: Literal["island"] = "island"
    """What happens."""
    cell: Annotated[int, Field(strict=True, ge=1)]
    """Number of the cell."""


Upset = GeneratorTrip | LoadStep | LineSwitch | Island
"""What befalls the transmission system."""
Disturbance = Annotated[LineFault | CommsOutage | Tampering | Upset, Field(discriminator="kind")]


class Transfer(Part):
    """A duty that changes hands within the run."""

    at: Moment
    """When: ``"12:00"``, ``"1d 06:00"``, or a duration since the start."""
    duty: Literal["support_tso_voltage", "balance_cell"]
    """Which; others are the DSO's own matter."""
    to: Literal["dso", "tso"]
    """Who holds it from then on, whatever the stage."""

    @property
    def words(self) -> str:
        """What happens, in a few words."""
        return f"{self.duty.replace('_', ' ')} to {self.to.upper()}"


class OwnController(Part):
    """A controller of the user's own, in place of ours."""

    use: Text
    """./file.py:Class beside the scenario, package.module:Class, or an entry point's name."""
    at: Actor
    """Where it decides."""
    duties: Annotated[tuple[Duty, ...], Field(min_length=1)]
    """What it decides; ours keep the other duties."""
    architecture: Architecture | None = None
    """In which architecture it stands in; in all of them if not given."""
    settings: Mapping[Name, Annotated[Any, AfterValidator(_setting)]] = Field(default_factory=dict)
    """Handed to it as they are, above those of its duties."""


class Record(Part):
    """How often each kind of thing is recorded."""

    default_ms: Duration = Field(60_000, alias="default")
    """Whatever is not named."""
    bus_ms: Duration | None = Field(None, alias="bus")
    line_ms: Duration | None = Field(None, alias="line")
    trafo_ms: Duration | None = Field(None, alias="trafo")
    feeder_ms: Duration | None = Field(None, alias="feeder")
    interface_ms: Duration | None = Field(None, alias="interface")
    cell_ms: Duration | None = Field(None, alias="cell")
    gen_ms: Duration | None = Field(None, alias="gen")
    system_ms: Duration | None = Field(None, alias="system")
    estimate_ms: Duration | None = Field(None, alias="estimate")

    def period_ms(self, kind: str) -> int:
        """Return the spacing of rows of `kind` [ms]."""
        found = getattr(self, f"{kind}_ms", None)
        return int(found) if found is not None else self.default_ms


ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
STAGES: tuple[int, ...] = get_args(Stage)
DUTIES: tuple[str, ...] = get_args(Duty)
