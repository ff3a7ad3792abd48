"""The contract between gridseam and whoever decides: a site, its mail, its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from controllers.belief import Belief
from sims.core.message import Message


@dataclass(frozen=True)
class Site:
    """A place where something is decided, and all that its controller is given.

    `name` is its address on the network; `actor` its role (``dms``, ``agent``, ``tso``, ``crew``);
    `duties` are its own at this stage; `grid` is what it believes of the system; `neighbours` are the
    sites it may write to besides its own field; `settings` come from the scenario.
    """

    name: str
    actor: str
    duties: frozenset[str]
    grid: Belief
    neighbours: tuple[str, ...]
    period_ms: int
    rng: np.random.Generator
    settings: Mapping[str, Any] = field(default_factory=dict)


class Controller(Protocol):
    """Decides from its mail alone.

    Built as ``Mine(site)``. `decide` is called every `site.period_ms`, and at once when mail on a topic
    named in `urgent` arrives; `inbox` holds what has arrived since the last call, in order of arrival.
    Three attributes are optional: `reads`, a set of topics, keeps all other mail but the urgent out of the inbox;
    `due_s` [s], read after each call, puts the next one off to the first period not before it; `board`, which
    controllers of one place share, gets mail on its `topics` in its list `mail` once, past their inboxes; where it
    has a list `bundles`, what comes as a bundle for that place alone is put there whole.
    """

    urgent: frozenset[str]

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the messages to send: commands (see `command`) and mail to neighbours."""


def command(site: Site, receiver: str, duty: str, ttl_s: float = 900.0, **values: Any) -> Message:
    """Return an order under `duty` to the actuators at `receiver`, by what it moves.

    ``device`` (device indices) with one of ``p_max_mw``, ``p_set_mw``, ``q_set_mvar``, ``droop_mw_per_hz``,
    ``inertia_mw_s_per_hz``; ``trafo`` (pandapower indices) with ``v_set_pu`` or ``tap_pos``; ``line`` with ``closed``;
    ``p_delta_mw`` alone for a power station. Arrays of one order have one length.
    """
    numbers = sum([v.size if isinstance(v, np.ndarray) else np.size(v) for v in values.values()])
    size_bytes, ttl_ms = 52 + 8 * numbers, int(ttl_s * 1000)
    return Message(site.name, receiver, f"command/{duty}", values, size_bytes=size_bytes, ttl_ms=ttl_ms, priority=0)
