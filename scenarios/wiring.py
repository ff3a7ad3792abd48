"""Who has an address in the network of a scenario, and which links join them; found by the names of both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from scenarios.schema_communication import Communication
from scenarios.schema_communication import Link as LinkEntry
from sims.comms.link import LinkSpec
from sims.comms.topology import Place, Rule, wire
from sims.core.errors import nearest

if TYPE_CHECKING:
    from scenarios.places import FeederPlace
    from scenarios.schema import Feeder, InterfacePlace

TSO = "tso"
_SHOWN = 6
"""How many of a place's links a message names."""


def roster(
    dsos: Sequence[str], interfaces: Sequence[InterfacePlace], feeders: Sequence[Feeder], machines: Sequence[str],
    within: Mapping[str, FeederPlace],
) -> list[Place]:  # fmt: skip
    """Return every address: a primary hangs on its interface substation, that on the DMS, that on the TSO.

    Agents and secondary substations are those of the feeders in `within`.
    """
    names = [i.name for i in interfaces]
    spots = [Place(TSO, "tso")]
    spots += [Place(f"gen.{name}", "primary", TSO) for name in machines]
    for dso in dsos:
        dms = f"{dso}.dms"
        spots += [Place(dms, "dms", TSO), Place(f"{dso}.operator", "operator", dms), Place(f"{dso}.crew", "crew", dms)]
    for interface in interfaces:
        others = tuple(name for name in names if name != interface.name)
        spots.append(Place(interface.name, "primary", f"{interface.dso}.dms", neighbours=others))
    for feeder in feeders:
        spots.append(Place(feeder.name, "primary", names[feeder.interface]))
        if feeder.name in within:
            spots += _agents(within[feeder.name])
    for place in within.values():
        gateways = dict.fromkeys(gateway for gateway in place.gateways if gateway)
        spots += [Place(station, "substation", place.name) for station in gateways]
    return spots


def _agents(place: FeederPlace) -> list[Place]:
    return [
        Place(agent, "agent", place.name, neighbours=tuple(place.agents[k] for k in near))
        for agent, near in zip(place.agents, place.plan.areas.neighbours, strict=True)
    ]


def storing(spots: Sequence[Place], communication: Communication) -> list[Place]:
    """Return `spots`, those of the kinds that store and forward as such."""
    return [replace(spot, stores=spot.kind in communication.store_and_forward) for spot in spots]


def rules(communication: Communication) -> list[Rule]:
    """Return what joins which kind to which."""
    return [
        _rule("substation", "parent", communication.link("substation", "primary")),
        _rule("agent", "parent", communication.link("agents")),
        _rule("agent", "neighbour", communication.link("agents")),
        _rule("primary", "parent", communication.link("primary", "dms")),
        _rule("primary", "neighbour", communication.link("cells")),
        _rule("dms", "parent", communication.link("dms", "tso")),
        _rule("crew", "parent", communication.link("crew", "dms")),
        _rule("operator", "parent", communication.link("operator", "dms")),
        replace(_rule("operator", "tso", communication.link("operator", "tso")), topic="request"),  # a line of its own
    ]


def _rule(kind: str, to: str, entry: LinkEntry) -> Rule:
    return Rule(
        kind, to, entry.technology, entry.overrides, (entry.mttr_ms or 0) / 60_000,
        queue_packets=entry.queue_packets, duplicate=entry.duplicate,
    )


def single_links(communication: Communication) -> list[tuple[str, str, Rule]]:
    """Return the links between two places that the scenario adds."""
    return [
        (str(entry.from_), str(entry.to), _rule("primary", "parent", entry))
        for entry in communication.links if entry.explicit
    ]


class Cabinet:
    """All links of a network by the names of their ends.

    Parameters
    ----------
    spots : sequence of Place
    communication : Communication
    """

    def __init__(self, spots: Sequence[Place], communication: Communication) -> None:
        self.places = {spot.name: spot for spot in spots}
        self._spots, self._communication = spots, communication

    @cached_property
    def _links(self) -> dict[str, LinkSpec]:
        known, given = self.places, self._communication
        single = [row for row in single_links(given) if row[0] in known and row[1] in known]
        return {spec.label: spec for spec in wire(rules(given), self._spots, single).links}

    @cached_property
    def _of_pair(self) -> dict[frozenset[str], LinkSpec]:
        found: dict[frozenset[str], LinkSpec] = {}
        for spec in self._links.values():
            found.setdefault(frozenset((spec.a, spec.b)), spec)
        return found

    def above(self, node: str) -> str:
        """Return the link from a place to the one above it."""
        return self._of_pair[frozenset((node, str(self.places[node].parent)))].label

    def label(self, text: str) -> str:
        """Return the address of the link ``a--b`` (whichever end comes first), or of its direction ``a>b``.

        Where several links join a pair, ``a--b`` is the first, of the rule; ``a--b/technology`` is another.

        Raises
        ------
        ValueError
            Naming what is not a place, or to what the place is linked instead.
        """
        pair, slash, via = text.partition("/")
        one_way = "--" not in pair
        a, mark, b = pair.partition(">" if one_way else "--")
        if not mark:
            raise ValueError(f"'{text}' names no link: write two places, dso_1.dms--tso, or dso_1.dms>tso for one way")
        for end in (a, b):
            if fault := self.unknown(end):
                raise ValueError(fault)
        spec = self._of_pair.get(frozenset((a, b)))
        if slash and spec is not None:
            spec = self._links.get(f"{a}--{b}/{via}") or self._links.get(f"{b}--{a}/{via}")
        if spec is None:
            near = [other for pair_ in self._of_pair if a in pair_ for other in pair_ if other != a]
            more = f" and {len(near) - _SHOWN} more" if len(near) > _SHOWN else ""
            what = f"no link '{text}'" if slash else f"no link between {a} and {b}"
            raise ValueError(f"there is {what}; {a} is linked to {', '.join(near[:_SHOWN])}{more}{nearest(b, near)}")
        return f"{spec.label}:{a}>{b}" if one_way else spec.label

    def unlimited(self, label: str) -> bool:
        """Tell whether nothing can fill the link at the address `label`."""
        return not self._links[label.partition(":")[0]].technology.rate_bit_s

    def unknown(self, name: str) -> str:
        """Return why `name` is no place, empty where it is one."""
        return "" if name in self.places else f"'{name}' is no place of the network{nearest(name, self.places)}"
