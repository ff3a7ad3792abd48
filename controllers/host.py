"""Runs the controllers: gives each site its mail, asks it to decide, audits what it wants to do."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from controllers.contract import Controller, Site
from sims.core.clock import next_tick
from sims.core.errors import ControllerError, GridseamError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items

LOGBOOK = "logbook"
"""Mail to this receiver does not travel: it is the site's own report, kept in the results."""


@dataclass
class Seat:
    """A site, the controller that sits there, and the mail waiting for it."""

    site: Site
    controller: Controller
    inbox: list[Message] = field(default_factory=list)
    due_ms: int = 0


class ControllerHost:
    """All sites of a run as one simulator.

    Ports: `mail` (delivered by the network) and `own` (measured where the site itself stands) come in;
    `outbox` leaves for the network, `actions` carries refused commands, `reports` what sites log.
    """

    ports = Ports(hears=("mail", "own"), tells=("outbox", "actions", "reports"))

    def __init__(self, seats: Sequence[Seat], authorize: Authorize, step_ms: int) -> None:
        self._seats: dict[str, list[Seat]] = {}
        for seat in seats:
            self._seats.setdefault(seat.site.name, []).append(seat)
        self._ordered = list(seats)
        self._authorize = authorize
        self._step_ms = step_ms
        self.undeliverable = 0

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Sort the mail, let whoever is due decide, send what passes the audit."""
        called = self._sort([*items(inputs, "own"), *items(inputs, "mail")])
        outbox: list[Message] = []
        refused: list[Action] = []
        reports: list[Message] = []
        for seat in self._ordered:
            if seat.due_ms > now_ms and id(seat) not in called:
                continue
            if seat.due_ms <= now_ms:
                seat.due_ms = next_tick(now_ms, seat.site.period_ms)
            for message in self._decide(seat, now_ms):
                if message.receiver == LOGBOOK:
                    reports.append(message)
                elif (action := self._audit(message, now_ms)) is not None:
                    refused.append(action)
                else:
                    outbox.append(message)
        outputs: dict[str, Any] = {
            port: told
            for port, told in (("outbox", outbox), ("actions", refused), ("reports", reports))
            if told
        }
        due = min((seat.due_ms for seat in self._ordered), default=next_tick(now_ms, self._step_ms))
        return Step(max(due, now_ms + 1), outputs)

    def _sort(self, mail: list[Message]) -> set[int]:
        """Put mail into inboxes by order of arrival; return the seats it calls at once."""
        called: set[int] = set()
        for message in sorted(mail, key=lambda m: m.arrived_ms):
            seats = self._seats.get(message.receiver)
            if not seats:
                self.undeliverable += 1
                continue
            for seat in seats:
                seat.inbox.append(message)
                if message.topic in seat.controller.urgent:
                    called.add(id(seat))
        return called

    def _decide(self, seat: Seat, now_ms: int) -> list[Message]:
        inbox, seat.inbox = seat.inbox, []
        try:
            decided = seat.controller.decide(now_ms / 1000, inbox)
            return [self._stamped(seat.site, message, now_ms) for message in decided]
        except GridseamError:
            raise
        except Exception as err:
            raise ControllerError(seat.site.name, now_ms, f"{type(err).__name__}: {err}") from err

    def _stamped(self, site: Site, message: Message, now_ms: int) -> Message:
        # An order with an infinite value takes a set-point back; anywhere else it is a slip, as nan always is.
        taken_back = message.topic.startswith("command/")
        for name, value in message.values.items() if message.receiver != LOGBOOK else ():
            if isinstance(value, float | np.ndarray) and not _finite(value, taken_back):
                raise ControllerError(site.name, now_ms, f"sent {message.topic} with {name} not finite")
        return Message(
            site.name, message.receiver, message.topic, message.values, now_ms, message.size_bytes,
            message.ttl_ms, message.priority, message.arrived_ms,
        )

    def _audit(self, message: Message, now_ms: int) -> Action | None:
        """Return the refused act, or None where the message may leave."""
        if not message.topic.startswith("command/"):
            return None
        duty = message.topic.removeprefix("command/")
        rule = self._authorize(message.sender, duty, message.receiver, now_ms)
        if rule is None:
            return None
        quantity, value, count = summary(message.values)
        return Action(now_ms, message.sender, duty, message.receiver, quantity, value, count, rule)

    def get_state(self) -> dict[str, Any]:
        """Return inboxes, due times, the controllers' own attributes and random streams, all as copies."""
        return {
            f"{i}:{seat.site.name}": {
                "inbox": list(seat.inbox), "due_ms": seat.due_ms, "rng": seat.site.rng.bit_generator.state,
                "controller": _copied(vars(seat.controller), seat.site),
            }
            for i, seat in enumerate(self._ordered)
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`; the state itself stays as it is."""
        for i, seat in enumerate(self._ordered):
            kept = state[f"{i}:{seat.site.name}"]
            seat.inbox, seat.due_ms = list(kept["inbox"]), kept["due_ms"]
            seat.site.rng.bit_generator.state = kept["rng"]
            vars(seat.controller).update(_copied(kept["controller"], seat.site))


def _copied(attributes: dict[str, Any], site: Site) -> dict[str, Any]:
    """Return a deep copy of a controller's attributes; its site and what that believes are shared."""
    attributes = {name: value for name, value in attributes.items() if not isinstance(value, Site)}
    shared = [site, site.grid, site.rng, *site.grid.feeders, *(f.grid for f in site.grid.feeders)]
    memo: dict[int, Any] = {id(thing): thing for thing in shared}
    return copy.deepcopy(attributes, memo)


def summary(values: Mapping[str, Any]) -> tuple[str, float, int]:
    """Return the quantity a command moves, the sum of its values and how many things it addresses."""
    targets = ("device", "trafo", "line", "generator")
    for name, value in values.items():
        if name not in targets and not isinstance(value, str):
            return name, float(np.sum(value)), int(np.size(value))
    return "", 0.0, 0


def _finite(value: Any, infinite_too: bool) -> bool:
    if isinstance(value, float):
        return not math.isnan(value) if infinite_too else math.isfinite(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fc":
        return True
    return not bool(np.isnan(array).any()) if infinite_too else bool(np.isfinite(array).all())
