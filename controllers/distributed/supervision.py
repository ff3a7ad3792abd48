"""Supervision of the agents: each tells the control room how it stands, which reads and does not steer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.contract import Site
from controllers.distributed.area import Area
from controllers.distributed.book import shared
from controllers.distributed.picture import picture_of
from controllers.dms.supervision import Supervisor
from controllers.logbook import LOGBOOK, Standing, alarm
from sims.core.message import Message

DUTY = "observe"
BEAT_S, AGAIN_S = 1800.0, 900.0
"""Longest an agent is silent towards its control room, and how often it looks whether there is news to tell."""
LOOK_S = 300.0
"""How often the control room looks at what it has been told."""
MOVED: Mapping[str, float] = {"ratio_p": 0.1, "ratio_q": 0.1, "v_low_pu": 0.01, "v_high_pu": 0.01}
"""Change of a state that is told before the beat."""


class TellState:
    """Tells the control room the agent's internal state and goal: the ratios it holds, its voltages, its mismatch.

    `ratio_p` and `ratio_q` are the shares of available power and of reactive reach that the agents of the feeder have
    agreed on, which is what each of them aims at. Told every half hour, and when one has moved (`MOVED`). What the
    other duties of the agent hold is read where they keep it in common.
    """

    urgent: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        self.volts = picture_of(site, self.area).volts
        self.room = f"{site.name.partition('.')[0]}.dms"
        self.told: dict[str, float] = {}
        # Agents start one after the other, so that their letters do not come in one burst.
        self.told_s = -BEAT_S * (1 - self.area.number / max(self.area.count, 1))
        self.due_s = 0.0

    def state(self) -> dict[str, float]:
        """Return the state as of now; what is not known is left out."""
        desk = self.site.settings.get("shared")
        held: Mapping[str, Any] = desk if isinstance(desk, dict) else {}
        found = {name: float(held[name].value) for name in ("ratio_p", "ratio_q") if name in held}
        found |= held.get("agreed", {})
        found |= dict(zip(("v_low_pu", "v_high_pu"), self.volts.range_pu(), strict=True))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return one letter where there is news, or it is time."""
        self.due_s = now_s + (AGAIN_S if self.told else LOOK_S)
        state = self.state()
        moved = state.keys() != self.told.keys() or any(
            abs(state[name] - self.told[name]) > most for name, most in MOVED.items() if name in state
        )
        if not state or not (moved or now_s - self.told_s >= BEAT_S):
            return []
        self.told, self.told_s = state, now_s
        size_bytes = 52 + 8 * len(state)
        return [Message(self.site.name, self.room, "state", {"duty": DUTY, **state}, size_bytes=size_bytes)]


class Supervise:
    """The control room over its agents: keeps what they report, and says who is silent or does not get anywhere.

    It holds no duty and moves nothing.

    Settings
    --------
    silence_s : float
        After so long without a letter an agent is silent (two beats and five minutes, 3900).
    stuck_s : float
        After so long without agreeing at its edges it is stuck (3900).
    """

    urgent: frozenset[str] = frozenset()
    reads = frozenset({"state"})

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        names = [agent for feeder in site.grid.feeders for agent in feeder.agents]
        self.supervisor = Supervisor(
            names, int(1000 * float(s.get("silence_s", 2 * BEAT_S + LOOK_S))), "mismatch_pu",
            int(1000 * float(s.get("stuck_s", 2 * BEAT_S + LOOK_S))),
        )
        self.standing = Standing(away=1)
        self.due_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return what the agents told, for the logbook, and alarms about those that need a look."""
        self.due_s = now_s + LOOK_S
        self.supervisor.take(inbox)
        out = [
            Message(self.site.name, LOGBOOK, "state", {"agent": m.sender, **m.values})
            for m in inbox if m.topic == "state" and m.sender in self.supervisor.records
        ]
        concerns = {f"{c.agent} is {c.why}": c for c in self.supervisor.concerns(round(1000 * now_s))}
        for text in self.standing.news(concerns):
            concern = concerns[text]
            out.append(alarm(self.site, concern.why, text, now_s - max(concern.since_ms, 0) / 1000))
        return out
