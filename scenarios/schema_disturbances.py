"""What happens to a scenario's system from outside: faults, trips, outages of the network, attacks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from scenarios.base import Count, Name, Part, Positive, Real, Share, Text
from scenarios.durations import Duration, Moment


def setting(value: Any) -> Any:
    """Return one setting of a user's own class: a number, a text, a truth value, or several of them as a tuple."""
    many = value if isinstance(value, list) else [value]
    for item in many:
        if not isinstance(item, bool | int | float | str) or (isinstance(item, float) and not math.isfinite(item)):
            raise ValueError("a setting is a number, a text, true or false, or a list of these")
    return tuple(value) if isinstance(value, list) else value


Settings = Mapping[Name, Annotated[Any, AfterValidator(setting)]]

class Event(Part):
    """Something that happens at a moment."""

    at: Moment
    """When: ``"15:00"``, ``"1d 06:00"``, or a duration since the start."""

    @property
    def words(self) -> str:
        """What happens, in a few words: the kind and what it befalls."""
        told = self.model_dump(exclude={"at", "kind", "duration_ms"}, exclude_none=True)
        kind = str(getattr(self, "kind", "")).replace("_", " ")
        return " ".join([kind, *(f"{key} {value}" for key, value in told.items() if value not in ({}, ""))])


class LineFault(Event):
    """A permanent short circuit on a line of a feeder."""

    kind: Literal["line_fault"] = "line_fault"
    """What happens."""
    feeder: Text
    """Name of the feeder, such as dso_1.f01."""
    line: Annotated[int, Field(strict=True, ge=0)]
    """Index in the grid's line table."""


class CommsOutage(Event):
    """A place of the network is down."""

    kind: Literal["comms_outage"] = "comms_outage"
    """What happens."""
    node: Text
    """Name of the place, such as dso_2.dms."""
    duration_ms: Duration = Field(alias="duration")
    """How long."""


class LinkOutage(Event):
    """A link of the network is down; what is on it when it fails is lost."""

    kind: Literal["link_outage"] = "link_outage"
    """What happens."""
    link: Text
    """Two places that are linked, such as dso_1.dms--tso; dso_1.dms>tso for the one direction."""
    duration_ms: Duration = Field(alias="duration")
    """How long."""


class Assault(Event):
    """Somebody stands on a link for a while and handles what passes."""

    node: Text | None = None
    """Name of a place, such as dso_1.i1: on the link to the place above it, both ways; or else"""
    link: Text | None = None
    """two places that are linked, such as dso_1.dms--tso; dso_1.dms>tso for the one direction."""
    duration_ms: Duration = Field(alias="duration")
    """How long."""
    topic: Text = ""
    """Only messages whose topic begins so; all if not given."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.node is None) == (self.link is None):
            raise ValueError("names either 'node' or 'link'")
        return self

    def arguments(self) -> dict[str, Any]:
        """Return what the attack's class is made with, beside link, time and topic."""
        return {}


class Tampering(Assault):
    """Somebody falsifies what messages say."""

    kind: Literal["tamper"] = "tamper"
    """What happens."""
    bias: Mapping[Name, Real] = Field(default_factory=dict)
    """What is added to which value of a message, such as {v_pu: 0.03}; messages without it pass as they are."""
    replace: Mapping[Name, Real] = Field(default_factory=dict)
    """What stands instead of which value, such as {v_pu: 1.0}."""

    @model_validator(mode="after")
    def _falsifies(self) -> Self:
        if not (self.bias or self.replace):
            raise ValueError("falsifies nothing; give 'bias' or 'replace', such as bias: {v_pu: 0.03}")
        return self

    def arguments(self) -> dict[str, Any]:
        """Return the false values."""
        return {"bias": dict(self.bias), "replacement": dict(self.replace)}


class Dropping(Assault):
    """Somebody swallows messages."""

    kind: Literal["drop"] = "drop"
    """What happens."""
    probability: Share = 1.0
    """Of each message to be swallowed."""

    def arguments(self) -> dict[str, Any]:
        """Return the probability."""
        return {"probability": self.probability}


class Delaying(Assault):
    """Somebody holds messages back."""

    kind: Literal["delay"] = "delay"
    """What happens."""
    delay_ms: Duration = Field(alias="delay")
    """By how much."""

    def arguments(self) -> dict[str, Any]:
        """Return the delay."""
        return {"delay_ms": self.delay_ms}


class Replaying(Assault):
    """Somebody sends messages a second time, later."""

    kind: Literal["replay"] = "replay"
    """What happens."""
    delay_ms: Duration = Field(alias="delay")
    """How much later."""

    def arguments(self) -> dict[str, Any]:
        """Return the delay."""
        return {"delay_ms": self.delay_ms}


class Flooding(Assault):
    """Somebody fills a link with noise."""

    kind: Literal["flood"] = "flood"
    """What happens."""
    load: Positive = 1.5
    """Of what the link serves."""
    size_bytes: Count = 1000
    """Of one packet."""
    priority: Annotated[int, Field(strict=True, ge=0, le=7)] = 1
    """Of the packets; 0 goes first."""

    @model_validator(mode="after")
    def _no_topic(self) -> Self:
        if self.topic:
            raise ValueError("a flood adds messages of its own; it has no 'topic'")
        return self

    def arguments(self) -> dict[str, Any]:
        """Return load, size and priority."""
        return {"load": self.load, "size_bytes": self.size_bytes, "priority": self.priority}


class OwnAttack(Assault):
    """Somebody does what a class of the user's own says."""

    kind: Literal["attack"] = "attack"
    """What happens."""
    use: Text
    """./file.py:Class beside the scenario, or package.module:Class; derived from sims.comms.attacks.Attack."""
    settings: Settings = Field(default_factory=dict)
    """Handed to it by name."""

    def arguments(self) -> dict[str, Any]:
        """Return the settings."""
        return dict(self.settings)


class GeneratorTrip(Event):
    """A generator leaves the transmission grid."""

    kind: Literal["generator_trip"] = "generator_trip"
    """What happens."""
    generator: Text
    """Its name in the transmission table."""


class LoadStep(Event):
    """Consumption at a transmission bus rises at once, and stays."""

    kind: Literal["load_step"] = "load_step"
    """What happens."""
    bus: Annotated[int, Field(strict=True, ge=1)]
    """Number of the transmission bus."""
    p_mw: Real
    """Active power, positive for more load."""
    q_mvar: Real = 0.0
    """Reactive power."""


class LoadRamp(Event):
    """Consumption at a transmission bus rises evenly, and stays."""

    kind: Literal["load_ramp"] = "load_ramp"
    """What happens."""
    bus: Annotated[int, Field(strict=True, ge=1)]
    """Number of the transmission bus."""
    duration_ms: Duration = Field(alias="duration")
    """Until all of it is there."""
    p_mw: Real
    """Active power, positive for more load."""
    q_mvar: Real = 0.0
    """Reactive power."""


class LineSwitch(Event):
    """The transmission lines between two buses open or close."""

    kind: Literal["line_switch"] = "line_switch"
    """What happens."""
    from_bus: Annotated[int, Field(strict=True, ge=1)] = Field(alias="from")
    """Number of the transmission bus at one end."""
    to_bus: Annotated[int, Field(strict=True, ge=1)] = Field(alias="to")
    """At the other end."""
    closed: bool = False
    """True closes; between islands only while they are in step."""


class Island(Event):
    """A cell separates: all its tie-lines open."""

    kind: Literal["island"] = "island"
    """What happens."""
    cell: Annotated[int, Field(strict=True, ge=1)]
    """Number of the cell."""


Upset = GeneratorTrip | LoadStep | LoadRamp | LineSwitch | Island
"""What befalls the transmission system."""
NetworkEvent = CommsOutage | LinkOutage | Tampering | Dropping | Delaying | Replaying | Flooding | OwnAttack
"""What befalls the network."""
Disturbance = Annotated[LineFault | NetworkEvent | Upset, Field(discriminator="kind")]
