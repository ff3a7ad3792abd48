"""Who may do what: one table from stage to duties decides it, and every act is held against it.

Stages and duties after Rezkalla et al., UPEC 2015: 1 increased observability, 2 active network
management, 3 transfer of control responsibility, 4 self-responsible operation.
"""

from __future__ import annotations

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

BEFORE: Mapping[str, frozenset[str]] = {
    "restore_supply": frozenset({"crew"}),
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
class Responsibility:
    """The table as it stands in one run.

    Parameters
    ----------
    roles : mapping of str to str
        Site name -> role (``dms``, ``agent``, ``tso``, ``crew``, ``operator``).
    """

    architecture: str
    stage: int
    roles: Mapping[str, str] = field(default_factory=dict)
    from_stage: Mapping[str, int] = field(default_factory=lambda: FROM_STAGE)

    def held(self, duty: str) -> bool:
        """Tell whether the DSO's side holds `duty` at this stage."""
        return self.stage >= self.from_stage[duty]

    def holders(self, duty: str) -> frozenset[str]:
        """Return the roles that may act under `duty`; a crew may always switch by hand."""
        if not self.held(duty):
            return BEFORE.get(duty, frozenset())
        crew = frozenset({"crew"}) if duty == "restore_supply" else frozenset()
        return DECIDERS[self.architecture] | crew

    def duties_of(self, role: str) -> frozenset[str]:
        """Return the duties of a role at this stage and architecture."""
        return frozenset(duty for duty in self.from_stage if role in self.holders(duty))

    def authorize(self, actor: str, duty: str, asset: str, now_ms: int) -> str | None:
        """Return None where the act is the actor's to do, else the rule that forbids it."""
        if duty not in self.from_stage:
            return f"'{duty}' is no duty of the table"
        role = self.roles.get(actor)
        if role is None:
            return f"'{actor}' is nobody in this run"
        if role not in self.holders(duty):
            who = ", ".join(sorted(self.holders(duty))) or "nobody"
            return f"{duty} at stage {self.stage} is held by {who}, not by {role}"
        if not _in_reach(actor, role, asset):
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
