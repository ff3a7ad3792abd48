"""A place at which a controller sits, and when it looks up."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from controllers.contract import Controller, Site
from sims.core.clock import next_tick
from sims.core.message import Message

FAR_S = 1e9
"""A due time beyond which nobody looks."""


@dataclass
class Seat:
    """A site, the controller that sits there, and the mail waiting for it.

    `spans_ms` says when its duty is its own, as (from, until) [ms]; outside it neither decides nor is given
    mail. Empty: at any time. `budget_s` is how long a decision may take, in real time. Where it `falls_back`, faults
    of its controller are left out and told; else they stop the run.
    """

    site: Site
    controller: Controller
    inbox: list[Message] = field(default_factory=list)
    due_ms: int = 0
    spans_ms: tuple[tuple[int, int], ...] = ()
    budget_s: float = 300.0
    falls_back: bool = False

    def staffed(self, now_ms: int) -> bool:
        """Tell whether somebody sits here at `now_ms` [ms]."""
        return not self.spans_ms or any(start <= now_ms < end for start, end in self.spans_ms)

    def next_staffed_ms(self, now_ms: int) -> int:
        """Return when somebody will sit here again after `now_ms` [ms]; far away where nobody will."""
        return min((start for start, _ in self.spans_ms if start > now_ms), default=int(FAR_S * 1000))

    def next_due_ms(self, now_ms: int) -> int:
        """Return when to decide next after `now_ms` [ms]: a period on, or the first one not before `due_s`.

        Without a `due_s`, a decision that mail has called for leaves the time of the next one as it was.
        """
        period_ms = self.site.period_ms
        due_s = getattr(self.controller, "due_s", None)
        if due_s is None or not is_time(due_s):
            return next_tick(now_ms, period_ms) if self.due_ms <= now_ms else self.due_ms
        next_ms = next_tick(now_ms, period_ms)
        if due_s * 1000 <= next_ms:
            return next_ms
        return max(-(-int(min(due_s, FAR_S) * 1000) // period_ms) * period_ms, next_ms)


def is_time(due_s: Any) -> bool:
    """Tell whether `due_s` is one that a controller may give: a number, or None."""
    return due_s is None or ((type(due_s) is float or isinstance(due_s, Real)) and due_s == due_s)
