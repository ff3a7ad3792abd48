"""Who may do what: one table from stage to duties decides it, and every act is held against it.

Stages and duties after Rezkalla et al., UPEC 2015: 1 increased observability, 2 active network
management, 3 transfer of control responsibility, 4 self-responsible operation.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

FROM_STAGE: Mapping[str, int] = {
    "observe": 1,
    "contain_frequency": 1,
    "manage_congestion": 2,
    "control_voltage": 2,
    "restore_supply": 2,
    "support_tso_voltage": 3,
    "balance_cell": 4,
    "provide_inertia": 4,
}
"""The stage from which the DSO's side holds a duty; duties are cumulative."""

BY_HAND: Mapping[str, frozenset[str]] = {
    "manage_congestion": frozenset({"operator"}),
    "restore_supply": frozenset({"crew"}),
}
"""People who act under a duty in every pairing: an operator whom the TSO has rung up, a crew on site."""

BEFORE: Mapping[str, frozenset[str]] = {
    **BY_HAND,
    "support_tso_voltage": frozenset({"tso"}),
    "balance_cell": frozenset({"tso"}),
    "provide_inertia": frozenset({"tso"}),
}
"""Who holds a duty before its stage; duties not named are held by nobody but the devices themselves."""

DECIDERS: Mapping[str, frozenset[str]] = {
    "local": frozenset({"device"}),
    "centralized": frozenset({"device", "dms"}),
    "distributed": frozenset({"device", "agent"}),
}
"""Roles that decide for the DSO under each architecture."""

ALWAYS_MS = 1 << 62
"""End of a span that lasts as long as the run."""
STAGES = (1, 2, 3, 4)
ARCHITECTURES = tuple(DECIDERS)

DEGENERATE: Mapping[tuple[str, int], str] = {
    ("local", 1): "acts only through laws that every pairing has: it differs in how the state is known",
    ("centralized", 1): "observes, and acts only through laws that every pairing has",
    ("distributed", 1): "observes, and acts only through laws that every pairing has",
    ("local", 3): "support of the TSO's voltage is a static band, held without a decision",
    ("local", 4): "containment by droop without restoration: the honest negative control",
}
"""Pairings whose acts may equal another's, and why."""


@dataclass(frozen=True)
class Handover:
    """From `at_ms` on, the DSO's side holds `duty` whatever the stage, or no longer does."""

    at_ms: int
    duty: str
    to_dso: bool


@dataclass(frozen=True)
class Responsibility:
    """The table as it stands in one run.

    Parameters
    ----------
    roles : mapping of str to str
        Site name -> role (``dms``, ``agent``, ``tso``, ``crew``, ``operator``).
    handovers : tuple of Handover
        What changes hands within the run; the table answers by time.
    reserves : mapping of str to frozenset of str
        Site -> power stations whose contracted reserve restores its cell; under ``balance_cell`` they are in its reach.
    """

    architecture: str
    stage: int
    roles: Mapping[str, str] = field(default_factory=dict)
    from_stage: Mapping[str, int] = field(default_factory=lambda: FROM_STAGE)
    handovers: tuple[Handover, ...] = ()
    reserves: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _known: dict[tuple[str, str, str, int], str | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "handovers", tuple(sorted(self.handovers, key=lambda h: h.at_ms)))

    def held(self, duty: str, now_ms: int = 0) -> bool:
        """Tell whether the DSO's side holds `duty` at `now_ms` [ms], by the stage or by a handover since."""
        last = [h.to_dso for h in self.handovers if h.duty == duty and h.at_ms <= now_ms]
        return last[-1] if last else self.stage >= self.from_stage[duty]

    def held_spans_ms(self, duty: str) -> tuple[tuple[int, int], ...]:
        """Return when the DSO's side holds `duty`, as (from, until) [ms]; the last one may end at `ALWAYS_MS`."""
        times = [0, *(h.at_ms for h in self.handovers if h.duty == duty and h.at_ms > 0), ALWAYS_MS]
        spans: list[tuple[int, int]] = []
        for start, end in itertools.pairwise(times):
            if self.held(duty, start) and start < end:
                joined = spans.pop()[0] if spans and spans[-1][1] == start else start
                spans.append((joined, end))
        return tuple(spans)

    def ever_held(self, duty: str) -> bool:
        """Tell whether the DSO's side holds `duty` at any time of the run."""
        return bool(self.held_spans_ms(duty))

    def changes_hands(self, duty: str) -> bool:
        """Tell whether `duty` is handed over within the run."""
        return any(h.duty == duty for h in self.handovers)

    def holders(self, duty: str, now_ms: int = 0) -> frozenset[str]:
        """Return the roles that may act under `duty` at `now_ms` [ms]; people may in every pairing (`BY_HAND`)."""
        if not self.held(duty, now_ms):
            return BEFORE.get(duty, frozenset())
        return DECIDERS[self.architecture] | BY_HAND.get(duty, frozenset())

    def duties_of(self, role: str) -> frozenset[str]:
        """Return the duties of a role at this stage and architecture, at any time of the run."""
        times = {0, *(h.at_ms for h in self.handovers)}
        return frozenset(duty for duty in self.from_stage if any(role in self.holders(duty, t) for t in times))

    def authorize(self, actor: str, duty: str, asset: str, now_ms: int) -> str | None:
        """Return None where the act is the actor's to do, else the rule that forbids it.

        The table is the same from one handover to the next: what was asked once is known until then.
        """
        since_ms = max((h.at_ms for h in self.handovers if h.at_ms <= now_ms), default=0) if self.handovers else 0
        case = actor, duty, asset, since_ms
        try:
            return self._known[case]
        except KeyError:
            rule = self._known[case] = self._rule(actor, duty, asset, since_ms)
            return rule

    def _rule(self, actor: str, duty: str, asset: str, now_ms: int) -> str | None:
        if duty not in self.from_stage:
            return f"'{duty}' is no duty of the table"
        role = self.roles.get(actor)
        if role is None:
            return f"'{actor}' is nobody in this run"
        holders = self.holders(duty, now_ms)
        if role not in holders:
            who = ", ".join(sorted(holders)) or "nobody"
            since = f" since {now_ms / 60_000:g} min" if now_ms and self.changes_hands(duty) else ""
            return f"{duty} at stage {self.stage} is held by {who}{since}, not by {role}"
        called = duty == "balance_cell" and asset in self.reserves.get(actor, ())
        if not (called or _in_reach(actor, role, asset)):
            return f"{asset} is not {actor}'s to move"
        return None


def _in_reach(actor: str, role: str, asset: str) -> bool:
    """Tell whether `asset` lies where `actor` may act: its own DSO, feeder or interface; the TSO's plant."""
    if role == "tso":
        return asset.startswith("gen.")
    home = actor.rsplit(".", 1)[0]
    if role == "agent" and ".i" in f".{actor.rsplit('.', 1)[1]}":
        home = actor.split(".", 1)[0]
    return asset == home or asset.startswith(f"{home}.")
