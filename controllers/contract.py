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
    Three attributes are optional: `reads`, a set of topics, keeps all other mail but the urgent out of the
    inbox; `due_s` [s], read after each call, puts the next one off to the first period not before it; `board`,
    a thing that controllers of one place have in common, is given mail on its `topics` in its list `mail`, once
    for all of them and instead of their inboxes.
    """

    urgent: frozenset[str]

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return the messages to send: commands (see `command`) and mail to neighbours."""
        ...


def command(site: Site, receiver: str, duty: str, ttl_s: float = 900.0, **values: Any) -> Message:
    """Return an order under `duty` to the actuators at `receiver`.

    Parameters
    ----------
    **values
        What to move: ``device`` (int array of device indices) with one of ``p_max_mw``, ``p_set_mw``,
        ``q_set_mvar`` or ``droop_mw_per_hz`` (same length); or ``trafo`` (pandapower indices) with
        ``v_set_pu`` or ``tap_pos``; ``line`` (pandapower indices) with ``closed``; ``p_delta_mw`` for a
        power station.
    """
    entries = sum([v.size if isinstance(v, np.ndarray) else np.size(v) for v in values.values()])
    return Message(
        sender=site.name, receiver=receiver, topic=f"command/{duty}", values=values,
        size_bytes=40 + 12 + 8 * entries, ttl_ms=int(ttl_s * 1000), priority=0,
    )
