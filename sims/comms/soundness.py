"""What a network cannot be made of: unknown names, links that cannot be, outages that overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sims.comms.arq import Arq
from sims.comms.attacks import Attack, attack_problems
from sims.comms.link import LinkSpec
from sims.comms.outages import Outage, RandomOutage, outage_problems
from sims.core.errors import Problem, ScenarioError, nearest


def no_node(name: str, known: Sequence[str]) -> str:
    """Return that `name` is no node, and which is nearest."""
    return f"'{name}' is not a node of the network{nearest(name, known)}"


def require_sound(
    names: Sequence[str], links: Sequence[LinkSpec], outages: Sequence[Outage | RandomOutage],
    attacks: Sequence[Attack], arq: Mapping[str, Arq], groups: Mapping[str, Sequence[str]],
) -> None:  # fmt: skip
    """Refuse everything that is wrong with what a network is to be made of, together.

    Raises
    ------
    ScenarioError
    """
    known = set(names)
    found: list[Problem] = []
    for name, times in Counter(names).items():
        if times > 1:
            found.append(Problem(f"node {name}", "name", f"given {times} times; names are unique"))
    for spec in links:
        found.extend(spec.problems())
        where = f"link {spec.label}"
        found.extend(Problem(where, "", no_node(end, names)) for end in (spec.a, spec.b) if end not in known)
    for label, times in Counter(spec.label for spec in links).items():
        if times > 1:
            found.append(Problem(f"link {label}", "name", f"given {times} times; name parallel links apart"))
    labels = {spec.label for spec in links}
    unlimited = set()
    for spec in links:
        ways = {spec.label, f"{spec.label}:{spec.a}>{spec.b}"}
        if not spec.simplex:
            ways.add(f"{spec.label}:{spec.b}>{spec.a}")
        labels |= ways
        if not spec.technology.rate_bit_s:
            unlimited |= ways
    found.extend(outage_problems(outages, labels, known))
    found.extend(attack_problems(attacks, labels, unlimited))
    for prefix, policy in arq.items():
        found.extend(policy.problems(f"arq {prefix!r}"))
    for group, members in groups.items():
        if group in known:
            found.append(Problem(f"group {group}", "name", "is a node's name as well; choose another"))
        found.extend(Problem(f"group {group}", "", no_node(m, names)) for m in members if m not in known)
    if found:
        raise ScenarioError(found)
