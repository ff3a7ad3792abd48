"""What a site writes into its logbook: alarms, told once when something begins, and goals. Neither travels."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from controllers.contract import Site
from sims.core.message import Message

LOGBOOK = "logbook"
"""Mail to this receiver does not travel: it is the site's own report, kept in the results."""
ALARM, GOAL = "alarm", "goal"
"""Topics of the logbook that the run file keeps as events."""

REJECTED = "rejected"
"""Sort of the alarm about what a controller has done wrong and was left out."""
KINDS = (
    "bad_data", "voltage", "loading", "trip", "telemetry", "storage", "silent", "stuck", "unknown", "inertia",
    "request", REJECTED, "expired",
)
"""Sorts of alarms that are raised where gridseam's controllers, their host and devices do so."""
QUANTITIES = (
    "curtailed_mw", "held_back_mw", "secure", "q_ref_mvar", "q_mvar", "q_der_mvar", "unmet_mvar", "error_mw",
    "asked_mw",
    "stations_mw", "filled_in_mw", "owed_mw_per_hz", "given_mw_per_hz", "faulted_line", "restored_mw", "dark_mw",
    "loading_before_percent", "loading_after_percent", "losses_saved_mw", "line", "tie", "need_mva", "took_s",
    "ratio_p", "ratio_q", "mismatch_pu", "v_low_pu", "v_high_pu", "own_mws", "needed_mws", "assigned_mws",
    "deliverable_mws", "receivable_mws", "lent_mws", "borrowed_mws", "peak_mw", "peak_in_h", "short_mwh", "skill",
    "stored_mwh", "ledger_off_mwh", "lendable_mw", "participating_share", "reserve_up_mw", "reserve_down_mw",
    "relief_mw", "capped_mw", "shed_mw", "rounds", "primal_pu", "dual_pu",
)
"""What the goals of gridseam's controllers are told in."""


def alarm(site: Site, kind: str, text: str, value: float = math.nan) -> Message:
    """Return an alarm for the logbook: what sort, in words, and the value that raised it."""
    return Message(site.name, LOGBOOK, ALARM, {"kind": kind, "text": text, "value": value})


def goal(site: Site, duty: str, about: Mapping[str, str] | None = None, **values: Any) -> Message:
    """Return what a site aims at under `duty`, for the logbook; `about` names the feeder, interface or cell."""
    return Message(site.name, LOGBOOK, GOAL, {"duty": duty, **(about or {}), **values})


class Standing:
    """Which alarms stand: each is news when it begins, and again only after it has been away.

    Parameters
    ----------
    patience : int
        How many looks in a row it takes to begin.
    away : int
        After so many looks in a row without it an alarm stands no more: one at its threshold does not chatter.
    """

    def __init__(self, patience: int = 1, away: int = 3) -> None:
        self._patience, self._away = patience, away
        self._seen: dict[str, int] = {}
        self._unseen: dict[str, int] = {}

    def news(self, present: Collection[str]) -> list[str]:
        """Return which of the alarms that are `present` at this look begin with it."""
        self._seen = {name: self._seen.get(name, 0) + 1 for name in present}
        new = [name for name in present if name not in self._unseen and self._seen[name] >= self._patience]
        gone = {name: 0 if name in self._seen else count + 1 for name, count in self._unseen.items()}
        self._unseen = {name: count for name, count in gone.items() if count < self._away} | dict.fromkeys(new, 0)
        return new
