"""A network by rule: who is there, and what joins which kind to which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.technology import Technology, technology
from sims.core.errors import Problem, ScenarioError, nearest

KINDS = ("substation", "primary", "agent", "dms", "tso", "operator", "crew")


@dataclass(frozen=True, slots=True)
class Place:
    """A node to be linked; a controller that lives there has the same name.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    parent : str, optional
        The place above it: a substation's primary, a primary's DMS, a DMS's TSO.
    neighbours : tuple of str
        Places of its own kind that a rule to ``neighbour`` links it to. Where no place of the kind names
        any, those of one parent are linked in a chain, in the order given.
    stores : bool
        It keeps messages while no way is up.
    """

    name: str
    kind: str
    parent: str | None = None
    neighbours: tuple[str, ...] = ()
    stores: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Every place of `kind` is linked `to` something `via` a technology.

    Parameters
    ----------
    to : str
        ``parent``, ``neighbour``, or a kind: the ancestor of that kind, or each of them where the two
        stand in no such relation.
    via : str
        A preset of `sims.comms.technology`.
    overrides : mapping
        Columns of the technology.
    mttr_min : float
        Mean time to repair [min]; above 0 the links fail at random with the technology's availability.
    topic, queue_packets, duplicate
        As in `LinkSpec`.
    """

    kind: str
    to: str
    via: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    mttr_min: float = 0.0
    topic: str = ""
    queue_packets: int = 1000
    duplicate: float = 0.0


@dataclass(frozen=True, slots=True)
class Wired:
    """What rules make of places: the links, and which of them fail by chance."""

    links: tuple[LinkSpec, ...]
    failures: tuple[RandomOutage, ...]


def wire(
    rules: Sequence[Rule | Mapping[str, Any]], places: Sequence[Place | Mapping[str, Any]],
    single: Sequence[tuple[str, str, Rule]] = (),
) -> Wired:  # fmt: skip
    """Return the links that `rules` make of `places`, and beside them those of `single` (place, place, rule).

    A link is called ``a--b``, a rule's ``child--parent``; where a pair is linked already, the name gets
    ``/technology`` at its end.

    Raises
    ------
    ScenarioError
        Unknown kinds, parents, neighbours and technologies, all at once.
    """
    rows = [Rule(**rule) if isinstance(rule, Mapping) else rule for rule in rules]
    spots = [Place(**place) if isinstance(place, Mapping) else place for place in places]
    found = _place_problems(spots) + _rule_problems([*rows, *(rule for *_, rule in single)])
    if found:
        raise ScenarioError(found)
    by_name = {place.name: place for place in spots}
    links: list[LinkSpec] = []
    failures: list[RandomOutage] = []
    pairs: set[frozenset[str]] = set()
    ruled = ((a, b, row) for row in rows for a, b in _pairs(row, spots, by_name))
    made = {id(row): _technology(row) for row in (*rows, *(row for *_, row in single))}
    for a, b, row in (*ruled, *single):
        tech, name, pair = made[id(row)], f"{a}--{b}", frozenset((a, b))
        if pair in pairs:
            name = f"{name}/{row.via}"
        pairs.add(pair)
        links.append(LinkSpec(a, b, tech, row.queue_packets, row.duplicate, name=name, topic=row.topic))
        if row.mttr_min > 0.0 and 0.0 < tech.availability < 1.0:
            failures.append(RandomOutage.of(name, tech.availability, row.mttr_min * 60_000.0))
    return Wired(tuple(links), tuple(failures))


def build_network(
    rules: Sequence[Rule | Mapping[str, Any]], places: Sequence[Place | Mapping[str, Any]], *,
    seed: int = 0, outages: Sequence[Outage | RandomOutage] = (),
    single: Sequence[tuple[str, str, Rule]] = (), **options: Any,
) -> Network:  # fmt: skip
    """Return the network that `rules`, and links between `single` places, make of `places` (see `wire`).

    `options` go to `Network` (attacks, arq, groups, topics).

    Raises
    ------
    ScenarioError
        As `wire`, and places that no rule joins to their parent.
    """
    spots = [Place(**place) if isinstance(place, Mapping) else place for place in places]
    wired = wire(rules, spots, single)
    nodes = [Node(place.name, place.stores) for place in spots]
    network = Network(nodes, wired.links, seed=seed, outages=(*outages, *wired.failures), **options)
    network.require_routes((place.name, place.parent) for place in spots if place.parent is not None)
    return network


def _pairs(rule: Rule, places: Sequence[Place], by_name: Mapping[str, Place]) -> Iterator[tuple[str, str]]:
    """Give the pairs that `rule` links, each once."""
    ours = [place for place in places if place.kind == rule.kind]
    if rule.to == "parent":
        yield from ((place.name, place.parent) for place in ours if place.parent is not None)
    elif rule.to == "neighbour":
        yield from _neighbours(ours)
    else:
        seen: set[frozenset[str]] = set()
        for place in ours:
            above = _ancestor(place, rule.to, by_name)
            others = [above] if above else [p for p in places if p.kind == rule.to and p is not place]
            for other in others:
                if not above and _ancestor(other, rule.kind, by_name) not in (None, place):
                    continue
                if frozenset((place.name, other.name)) not in seen:
                    seen.add(frozenset((place.name, other.name)))
                    yield place.name, other.name


def _neighbours(ours: Sequence[Place]) -> Iterator[tuple[str, str]]:
    if any(place.neighbours for place in ours):
        seen: set[frozenset[str]] = set()
        for place in ours:
            for other in place.neighbours:
                if frozenset((place.name, other)) not in seen:
                    seen.add(frozenset((place.name, other)))
                    yield place.name, other
        return
    siblings: dict[str | None, list[str]] = {}
    for place in ours:
        siblings.setdefault(place.parent, []).append(place.name)
    for names in siblings.values():
        yield from pairwise(names)


def _ancestor(place: Place, kind: str, by_name: Mapping[str, Place]) -> Place | None:
    """Return the nearest place of `kind` above `place`; a circle of parents ends the search."""
    seen = {place.name}
    while place.parent is not None and place.parent not in seen:
        place = by_name[place.parent]
        seen.add(place.name)
        if place.kind == kind:
            return place
    return None


def _technology(rule: Rule) -> Technology:
    return technology(rule.via, f"rule {rule.kind} to {rule.to}", **rule.overrides)


def _place_problems(places: Sequence[Place]) -> list[Problem]:
    names = [place.name for place in places]
    known = set(names)
    found = []
    for place in places:
        where = f"node {place.name}"
        if place.kind not in KINDS:
            text = f"'{place.kind}' is not one of {' | '.join(KINDS)}{nearest(place.kind, KINDS)}"
            found.append(Problem(where, "kind", text))
        if place.parent is not None and place.parent not in known:
            text = f"'{place.parent}' is not a node{nearest(place.parent, names)}"
            found.append(Problem(where, "parent", text))
        found.extend(
            Problem(where, "neighbours", f"'{other}' is not a node{nearest(other, names)}")
            for other in place.neighbours
            if other not in known
        )
    return found


def _rule_problems(rules: Sequence[Rule]) -> list[Problem]:
    found: list[Problem] = []
    ends = (*KINDS, "parent", "neighbour")
    for rule in rules:
        where = f"rule {rule.kind} to {rule.to}"
        if rule.kind not in KINDS:
            text = f"'{rule.kind}' is not one of {' | '.join(KINDS)}{nearest(rule.kind, KINDS)}"
            found.append(Problem(where, "kind", text))
        if rule.to not in ends:
            text = f"'{rule.to}' is not one of {' | '.join(ends)}{nearest(rule.to, ends)}"
            found.append(Problem(where, "to", text))
        if rule.mttr_min < 0.0:
            found.append(Problem(where, "mttr_min", f"{rule.mttr_min} must be 0 (never fails) or above"))
        try:
            _technology(rule)
        except ScenarioError as err:
            found.extend(err.problems)
    return found
