"""The network of a scenario as data: links, acknowledgements, failures by chance, and what is metered."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from scenarios.base import Name, NotNegative, Part, Percent, Share, Text
from scenarios.durations import Delay, Duration
from sims.core.errors import nearest

Kind = Literal["substation", "primary", "dms", "tso", "operator", "crew"]
KINDS: tuple[str, ...] = get_args(Kind)
NotNegativeWhole = Annotated[int, Field(strict=True, ge=0)]


def _technology(name: str) -> str:
    from sims.comms.technology import PRESETS

    if name in PRESETS:
        return name
    raise ValueError(f"'{name}' is not one of {' | '.join(PRESETS)}{nearest(name, PRESETS)}")


def _end(name: str) -> str:
    if name in KINDS or "." in name:
        return name
    raise ValueError(f"'{name}' is not one of {' | '.join(KINDS)}, nor a place such as dso_1.dms{nearest(name, KINDS)}")


TechnologyName = Annotated[Text, AfterValidator(_technology)]
End = Annotated[
    Text, AfterValidator(_end),
    WithJsonSchema({"anyOf": [{"enum": list(KINDS)}, {"type": "string", "pattern": r"\."}]}),
]  # fmt: skip


class Link(Part):
    """What connects two kinds of places, the places of one kind among themselves, or one place with another."""

    from_: End | None = Field(None, alias="from")
    """One end: a kind of places, or one place such as dso_1.dms."""
    to: End | None = None
    """The other end, of the same sort; every link carries mail both ways."""
    between: Literal["agents", "cells"] | None = None
    """Instead of from and to: neighbours of one kind."""
    technology: TechnologyName
    """Row of the technology table."""
    median_ms: Delay | None = Field(None, alias="median")
    """Latency that half of the packets stay below, instead of the table's; the spread stays if p95 is not given."""
    p95_ms: Delay | None = Field(None, alias="p95")
    """Latency that 95 % of the packets stay below, at least the median; the same: a constant latency."""
    rate_bit_s: NotNegativeWhole | None = None
    """What the link serves, 0 for without limit."""
    loss: Share | None = None
    """Probability that a packet is lost on the way."""
    in_order: bool | None = None
    """No packet overtakes another; with false they may, as their latencies fall."""
    duty: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    """Share of time that a sender may occupy the channel."""
    availability: Share | None = None
    """Share of time that the link is up, instead of the table's; goes with mttr."""
    mtbf_ms: Duration | None = Field(None, alias="mtbf")
    """Mean time from repair to failure, instead of an availability; goes with mttr."""
    mttr_ms: Duration | None = Field(None, alias="mttr")
    """Mean time to repair; without it the link never fails by chance."""
    queue_packets: NotNegativeWhole = 1000
    """How many packets of one priority may wait before the tail is dropped."""
    duplicate: Share = 0.0
    """Probability that a packet arrives twice."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.between is None) == (self.from_ is None and self.to is None):
            raise ValueError("names either 'from' and 'to', or 'between'")
        if self.between is None and (self.from_ is None or self.to is None):
            raise ValueError("names only one end; give both 'from' and 'to'")
        if self.between is None and self.from_ == self.to:
            raise ValueError(f"connects {self.to} with itself")
        if self.explicit and not all(end == "tso" or end not in KINDS for end in self.ends):
            raise ValueError(f"connects {self.from_} with {self.to}: name two kinds of places, or two places")
        if self.mtbf_ms is not None and self.availability is not None:
            raise ValueError("names both 'mtbf' and 'availability'; give one of them")
        if self.mttr_ms is None and (self.mtbf_ms is not None or self.availability is not None):
            given = "mtbf" if self.mtbf_ms is not None else "availability"
            raise ValueError(f"has '{given}' without 'mttr', the mean time to repair")
        return self

    @property
    def ends(self) -> frozenset[str]:
        """What it connects: two kinds of places, one, or two places."""
        return frozenset({self.between} if self.between else {str(self.from_), str(self.to)})

    @property
    def explicit(self) -> bool:
        """Whether it connects one place with another."""
        return self.between is None and any("." in end for end in self.ends)

    @property
    def overrides(self) -> dict[str, Any]:
        """Columns of the technology that differ from the table's."""
        found = {name: value for name in COLUMNS if (value := getattr(self, name)) is not None}
        if self.mtbf_ms is not None and self.mttr_ms is not None:
            found["availability"] = self.mtbf_ms / (self.mtbf_ms + self.mttr_ms)
        return found


COLUMNS = ("median_ms", "p95_ms", "rate_bit_s", "loss", "in_order", "duty", "availability")
"""Fields of a link that stand for columns of the technology table."""

DEFAULT_LINKS: Mapping[frozenset[str], Link] = MappingProxyType(
    {
        link.ends: link
        for link in (
            Link.model_validate({"from": "substation", "to": "primary", "technology": "lte450"}),
            Link.model_validate({"from": "primary", "to": "dms", "technology": "fibre"}),
            Link.model_validate({"from": "dms", "to": "tso", "technology": "fibre"}),
            Link.model_validate({"between": "agents", "technology": "lte450"}),
            Link.model_validate({"between": "cells", "technology": "fibre"}),
            Link.model_validate({"from": "crew", "to": "dms", "technology": "phone"}),
            Link.model_validate({"from": "operator", "to": "dms", "technology": "fibre"}),
            Link.model_validate({"from": "operator", "to": "tso", "technology": "phone"}),
        )
    }
)
"""Links by ends, where a scenario names none."""


class RandomFailure(Part):
    """A place or a link that fails by chance: exponential times up and down, in their steady state from the start."""

    node: Text | None = None
    """Name of the place, such as dso_1.dms; or else"""
    link: Text | None = None
    """two places that are linked, such as dso_1.dms--tso."""
    mtbf_ms: Duration = Field(alias="mtbf")
    """Mean time from repair to failure."""
    mttr_ms: Duration = Field(alias="mttr")
    """Mean time to repair."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.node is None) == (self.link is None):
            raise ValueError("names either 'node' or 'link'")
        return self


class Acknowledged(Part):
    """Mail that its sender repeats until the receiver has acknowledged it."""

    topic: Text
    """Messages whose topic begins so, such as command; the longest that fits counts."""
    retries: NotNegativeWhole = 3
    """How often it is repeated at most, and never beyond its time to live."""
    timeout_ms: Duration = Field(1_000, alias="timeout")
    """Until the first repetition."""
    backoff: Annotated[float, Field(strict=True, ge=1)] = 2.0
    """How many times longer the next wait is."""
    ack_bytes: NotNegativeWhole = 40
    """Size of an acknowledgement."""


class ByException(Part):
    """Meters that report between their telegrams when something has changed."""

    scan_ms: Duration = Field(alias="scan")
    """How often a station looks at what it measures."""
    v_pu: NotNegative = 0.005
    """Change of a voltage since the last telegram beyond which another is sent."""
    power_mva: NotNegative = 0.05
    """Change of active or reactive power since the last telegram beyond which another is sent."""


class Metering(Part):
    """What is measured how often and how well."""

    primary_ms: Duration = Field(60_000, alias="primary")
    """From one telegram of a primary substation to the next."""
    secondary_ms: Duration = Field(900_000, alias="secondary")
    """From one telegram of a secondary substation to the next."""
    smart_meter_ms: Duration | None = Field(None, alias="smart_meter")
    """From one telegram of the meters in a low-voltage grid to the next; as their substation if not given."""
    estimation_ms: Duration = Field(300_000, alias="estimation")
    """From one state estimation to the next."""
    tso_der_ms: Duration | None = Field(None, alias="tso_der")
    """From one telegram about a feeder's DER to the TSO to the next, at stages 1 and 2; without it none is sent."""
    v_accuracy_percent: Percent = 0.5
    """Accuracy class of voltage readings, taken as three standard deviations."""
    p_accuracy_percent: Percent = 1.0
    """Accuracy class of power readings, taken as three standard deviations."""
    smart_meter_accuracy_percent: Percent | None = None
    """Accuracy class of the power readings in low-voltage grids; as p_accuracy_percent if not given."""
    v_resolution_pu: NotNegative = 0.0
    """Voltages are told in whole multiples of this; 0: as they are read."""
    power_resolution_mva: NotNegative = 0.0
    """Active and reactive power are told in whole multiples of this; 0: as they are read."""
    by_exception: ByException | None = None
    """Reports between the telegrams; without it there are none."""


class Communication(Part):
    """The network that carries the messages."""

    mode: Literal["exact", "sampled"] = "exact"
    """Every packet on every link, or latencies and losses drawn by the message, for links that nothing congests."""
    slot_ms: Duration = Field(100, alias="slot")
    """Deliveries are handed over in slots of this length; exact arrival times are kept."""
    links: tuple[Link, ...] = ()
    """Links by the kinds of places they join, the others keep their default; and links between two places."""
    acknowledged: tuple[Acknowledged, ...] = ()
    """Mail whose sender insists on an acknowledgement."""
    store_and_forward: tuple[Literal["substation", "agent", "primary", "dms", "tso", "operator", "crew"], ...] = ()
    """Kinds of places that keep messages while no way is up."""
    groups: Mapping[Name, tuple[Text, ...]] = Field(default_factory=dict)
    """Names under which several places are reached at once: mail to one goes to each of its places but its sender."""
    random_outages: tuple[RandomFailure, ...] = ()
    """Places and links that fail by chance, beside the links that have an mttr."""
    metering: Metering = Metering.model_validate({})
    """What is measured."""

    def link(self, *ends: str) -> Link:
        """Return what joins two kinds of places, or the places of one (``agents``, ``cells``)."""
        wanted = frozenset(ends)
        return next((link for link in self.links if link.ends == wanted), DEFAULT_LINKS[wanted])

    def technology(self, *ends: str) -> str:
        """Return the technology between two kinds of places, or among one (``agents``, ``cells``)."""
        return self.link(*ends).technology
