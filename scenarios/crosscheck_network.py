"""Whether the network of a scenario fits together: its links, what fails, who attacks where, what is metered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from scenarios import trust
from scenarios.durations import format_duration
from scenarios.reference import fault as reference_fault
from scenarios.schema_communication import COLUMNS, DEFAULT_LINKS, Link, Metering
from scenarios.schema_disturbances import Assault, CommsOutage, Flooding, LinkOutage, OwnAttack
from sims.core.errors import GridError, ScenarioError, nearest

if TYPE_CHECKING:
    from scenarios.schema import Feeder, Scenario
    from scenarios.wiring import Cabinet

Path_ = tuple[str | int, ...]
Fault = tuple[Path_, str]
_PLACES = ("dms", "operator", "crew")
_LINKS: Path_ = ("communication", "links")
_GROUPS: Path_ = ("communication", "groups")
_FAILURES: Path_ = ("communication", "random_outages")


def network_faults(s: Scenario) -> Iterator[Fault]:
    """Give what is wrong with the network and can be told without its grids."""
    yield from _links(s)
    yield from _acknowledged(s)
    yield from _periods(s)
    yield from _nodes(s)
    yield from _sampled(s)


def wiring_faults(s: Scenario, machines: tuple[str, ...]) -> Iterator[Fault]:
    """Give what names a place or link that is not there, or one twice; loads the grids of the feeders it names.

    Nothing is loaded where a scenario names no link, and no place within a feeder.
    """
    named = list(_named(s))
    deep = any(name.count(".") > 1 for _, names in named for name in names)
    linked = any(path[-1] != "node" for path, _ in named) or any(isinstance(d, Flooding) for d in s.disturbances)
    if not (deep or linked or s.communication.random_outages):
        return
    from scenarios.places import feeder_place
    from scenarios.wiring import Cabinet, roster

    interfaces, within = s.interfaces(), {}
    feeders = {feeder.name: feeder for feeder in s.feeders()}
    for path, names in named:
        for feeder in {".".join(name.split(".")[:2]) for name in names if name.count(".") > 1} & feeders.keys():
            if feeder not in within:
                entry = feeders[feeder]
                try:
                    within[feeder] = feeder_place(entry, interfaces[entry.interface], s.folder)
                except GridError as err:
                    yield path, str(err)
                    return
    spots = roster([dso.name for dso in s.dsos], interfaces, tuple(feeders.values()), machines, within)
    cabinet = Cabinet(spots, s.communication)
    for path, names in named:
        if path[-1] == "link":
            continue
        for name in names:
            if text := cabinet.unknown(name):
                yield path, text
    for name in s.communication.groups:
        if not cabinet.unknown(name):
            yield (*_GROUPS, name), f"'{name}' is a place of the network; give the group another name"
    yield from _linked(s, cabinet)


def _named(s: Scenario) -> Iterator[tuple[Path_, tuple[str, ...]]]:
    """Give each field that names places, and the places."""
    for index, link in enumerate(s.communication.links):
        if link.explicit:
            yield (*_LINKS, index, "from"), (str(link.from_),)
            yield (*_LINKS, index, "to"), (str(link.to),)
    for name, members in s.communication.groups.items():
        yield from (((*_GROUPS, name, index), (member,)) for index, member in enumerate(members))
    for path, row in _rows(s):
        for key in ("node", "link"):
            if (text := getattr(row, key, None)) is not None:
                yield (*path, key), tuple(text.partition("/")[0].replace("--", ">").split(">"))


def _rows(s: Scenario) -> Iterator[tuple[Path_, Any]]:
    """Give what befalls a place or link: by chance, by schedule, by somebody's hand."""
    for index, failure in enumerate(s.communication.random_outages):
        yield (*_FAILURES, index), failure
    for index, event in enumerate(s.disturbances):
        if isinstance(event, CommsOutage | LinkOutage | Assault):
            yield ("disturbances", index), event


def _linked(s: Scenario, cabinet: Cabinet) -> Iterator[Fault]:
    """Give links that are not there, floods that fill nothing, and links that are down twice at once."""
    down: list[tuple[int, LinkOutage, str]] = []
    by_chance: set[str] = set()
    for path, row in _rows(s):
        label = ""
        if getattr(row, "link", None) is not None:
            try:
                label = cabinet.label(row.link)
            except ValueError as err:
                yield (*path, "link"), str(err)
                continue
        if isinstance(row, LinkOutage):
            down.append((int(path[-1]), row, label))
        elif path[:2] == _FAILURES and (row.node or label) in by_chance:
            yield path, f"{row.node or row.link} stands here twice"
        elif path[:2] == _FAILURES:
            by_chance.add(row.node or label)
        elif isinstance(row, Flooding):
            if not label and not cabinet.unknown(str(row.node)):
                label = cabinet.above(str(row.node))
            if label and cabinet.unlimited(label):
                yield (*path, "link" if row.link else "node"), "has no rate limit, so nothing can flood it"
    for (first, a, one), (second, b, other) in combinations(down, 2):
        if _same(one, other) and _overlap(s, a, b):
            text = f"{b.link} is down then already (disturbance {first + 1}); join the two, or move one"
            yield ("disturbances", second, "at"), text


def _same(one: str, other: str) -> bool:
    """Tell whether two addresses share a direction of a link."""
    (a, _, way), (b, _, back) = one.partition(":"), other.partition(":")
    return a == b and (not way or not back or way == back)


def _overlap(s: Scenario, a: CommsOutage | LinkOutage, b: CommsOutage | LinkOutage) -> bool:
    start, other = s.at_ms(a), s.at_ms(b)
    return start < other + b.duration_ms and other < start + a.duration_ms


def _links(s: Scenario) -> Iterator[Fault]:
    links = s.communication.links
    seen: list[tuple[frozenset[str], str]] = []
    for index, link in enumerate(links):
        key = (link.ends, link.technology if link.explicit else "")  # two places may have links of two sorts
        if key in seen:
            yield (*_LINKS, index), f"{' - '.join(sorted(link.ends))} stands here twice"
        seen.append(key)
        if not link.explicit and link.ends not in DEFAULT_LINKS:
            pairs = ", ".join(" - ".join(sorted(ends)) for ends in DEFAULT_LINKS)
            yield (*_LINKS, index), f"{' - '.join(sorted(link.ends))} are not linked; {pairs} are"
        yield from (((*_LINKS, index, key), text) for key, text in _impossible(link))


def _impossible(link: Link) -> Iterator[tuple[str, str]]:
    """Give (field, why) of what no link of this technology can be."""
    from sims.comms.technology import technology

    try:
        technology(link.technology, **link.overrides)
    except ScenarioError as err:
        for problem in err.problems:
            if problem.field in COLUMNS:
                yield str(Link.model_fields[problem.field].alias or problem.field), problem.text


def _acknowledged(s: Scenario) -> Iterator[Fault]:
    topics = [row.topic for row in s.communication.acknowledged]
    for index, topic in enumerate(topics):
        if topic in topics[:index]:
            yield ("communication", "acknowledged", index, "topic"), f"'{topic}' stands here twice"


def _periods(s: Scenario) -> Iterator[Fault]:
    """Give the periods of meters that would not be kept: meters look at the grid when it is stepped."""
    step, metering = s.time.step_ms, s.communication.metering
    rows = [(str(info.alias), getattr(metering, name)) for name, info in Metering.model_fields.items() if info.alias]
    if metering.by_exception is not None:
        rows.append(("by_exception", metering.by_exception.scan_ms))
    for key, period in rows:
        if period and period % step and step % period:
            path: Path_ = ("communication", "metering", key)
            text = f"{format_duration(period)} is neither a multiple nor a part of the grid step of"
            yield (*path, "scan") if key == "by_exception" else path, f"{text} {format_duration(step)}"


def _nodes(s: Scenario) -> Iterator[Fault]:
    """Give places that are none, places that are down twice at once, and attacks that nobody has written."""
    feeders = s.feeders()
    down: list[tuple[int, CommsOutage]] = []
    for path, row in _rows(s):
        node = getattr(row, "node", None)
        fault = _node_fault(s, node, feeders) if node is not None else ""
        if not fault and node == "tso" and isinstance(row, Assault):
            fault = "nothing stands above 'tso'; name a place below it"
        if fault:
            yield (*path, "node"), fault
        if isinstance(row, OwnAttack):
            text = trust.fault(row.use) or reference_fault(row.use, s.folder)
            yield from [((*path, "use"), text)] if text else []
        if isinstance(row, CommsOutage):
            for first, other in down:
                if row.node == other.node and _overlap(s, row, other):
                    text = f"{row.node} is down then already (disturbance {first + 1}); join the two, or move one"
                    yield (*path, "at"), text
            down.append((int(path[-1]), row))


def _node_fault(s: Scenario, node: str, feeders: tuple[Feeder, ...]) -> str:
    """Return why `node` can be no place of the network: ``tso``, ``<dso>.dms``, a feeder's or interface's place."""
    names = tuple(dso.name for dso in s.dsos)
    head, _, rest = node.partition(".")
    if node == "tso":
        return ""
    if head not in names:
        return f"'{head}' is not one of {' | '.join((*names, 'tso'))}{nearest(head, (*names, 'tso'))}"
    part = rest.split(".", 1)[0]
    interfaces = tuple(i.name.split(".", 1)[1] for i in s.interfaces() if i.dso == head)
    own = tuple(f.name.split(".", 1)[1] for f in feeders if f.dso == head)
    valid = (*_PLACES, *interfaces, *own)
    if part in valid:
        return ""
    return (
        f"'{node}' is no place of the network: {head} has {', '.join(f'{head}.{p}' for p in _PLACES)}, "
        f"{head}.{interfaces[0]} to {interfaces[-1]}, {head}.{own[0]} to {own[-1]}{nearest(part, valid)}"
    )


def _sampled(s: Scenario) -> Iterator[Fault]:
    """Give what only the exact network can do."""
    if s.communication.mode == "exact":
        return
    found: list[tuple[Path_, str]] = []
    for index, link in enumerate(s.communication.links):
        if link.duplicate:
            found.append(((*_LINKS, index, "duplicate"), "duplicates"))
    if s.communication.acknowledged:
        found.append((("communication", "acknowledged"), "acknowledgements"))
    if s.communication.store_and_forward:
        found.append((("communication", "store_and_forward"), "places that keep messages"))
    for path, row in _rows(s):
        if path[:2] != _FAILURES or row.node is not None:
            attack = isinstance(row, Assault)
            found.append((path, "attacks" if attack else "outages but those of links by chance"))
    for path, what in found:
        yield path, f"mode: sampled knows no {what}; take mode: exact, or leave them out"
