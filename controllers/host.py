"""Runs the controllers: gives each site its mail, asks it to decide, audits what it wants to do."""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from controllers.contract import Controller, Site
from sims.core.clock import next_tick
from sims.core.errors import ControllerError, GridseamError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items

FAR_S = 1e9
"""A due time beyond which nobody looks."""
LOGBOOK = "logbook"
"""Mail to this receiver does not travel: it is the site's own report, kept in the results."""


@dataclass
class Seat:
    """A site, the controller that sits there, and the mail waiting for it.

    `spans_ms` says when its duty is its own, as (from, until) [ms]; outside it neither decides nor is given
    mail. Empty: at any time.
    """

    site: Site
    controller: Controller
    inbox: list[Message] = field(default_factory=list)
    due_ms: int = 0
    spans_ms: tuple[tuple[int, int], ...] = ()

    def staffed(self, now_ms: int) -> bool:
        """Tell whether somebody sits here at `now_ms` [ms]."""
        return not self.spans_ms or any(start <= now_ms < end for start, end in self.spans_ms)

    def next_staffed_ms(self, now_ms: int) -> int:
        """Return when somebody will sit here again after `now_ms` [ms]; far away where nobody will."""
        return min((start for start, _ in self.spans_ms if start > now_ms), default=int(FAR_S * 1000))


class ControllerHost:
    """All sites of a run as one simulator.

    Ports: `mail` (delivered by the network) and `own` (measured where the site itself stands) come in;
    `outbox` leaves for the network, `actions` carries refused commands, `reports` what sites log.
    """

    ports = Ports(hears=("mail", "own"), tells=("outbox", "actions", "reports"))

    def __init__(self, seats: Sequence[Seat], authorize: Authorize, step_ms: int) -> None:
        self._ordered = list(seats)
        self._away = any(seat.spans_ms for seat in seats)
        self._seats: dict[str, list[int]] = {}
        for i, seat in enumerate(seats):
            self._seats.setdefault(seat.site.name, []).append(i)
        self._agenda: list[tuple[int, int]] = []
        self._plan()
        self._authorize = authorize
        self._step_ms = step_ms
        self._readers: dict[tuple[str, str], list[tuple[int, bool]]] = {}
        self.undeliverable = 0

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Sort the mail, let whoever is due decide, send what passes the audit."""
        called = self._sort([*items(inputs, "own"), *items(inputs, "mail")], now_ms)
        outbox: list[Message] = []
        refused: list[Action] = []
        reports: list[Message] = []
        for i in self._turns(now_ms, called):
            seat = self._ordered[i]
            if not seat.staffed(now_ms):
                seat.inbox, seat.due_ms = [], seat.next_staffed_ms(now_ms)
                heapq.heappush(self._agenda, (seat.due_ms, i))
                continue
            timely = seat.due_ms <= now_ms
            decided = self._decide(seat, now_ms)
            due_ms = _due_ms(seat, now_ms, timely)
            if due_ms != seat.due_ms:
                seat.due_ms = due_ms
                heapq.heappush(self._agenda, (due_ms, i))
            for message in decided:
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
        self._tidy()
        due = self._agenda[0][0] if self._agenda else next_tick(now_ms, self._step_ms)
        return Step(max(due, now_ms + 1), outputs)

    @property
    def beat_ms(self) -> int:
        """Greatest span that divides all periods at which seats look at their mail [ms]."""
        return math.gcd(self._step_ms, *(seat.site.period_ms for seat in self._ordered))

    def wakes(self, receiver: str, topic: str) -> bool:
        """Tell whether mail on `topic` calls a seat at `receiver` at once, rather than wait for its period."""
        seats = (self._ordered[i] for i in self._seats.get(receiver, ()))
        return any(topic in seat.controller.urgent for seat in seats)

    def _plan(self) -> None:
        """Write down who is due when."""
        self._agenda = [(seat.due_ms, i) for i, seat in enumerate(self._ordered)]
        heapq.heapify(self._agenda)

    def _turns(self, now_ms: int, called: set[int]) -> list[int]:
        """Return who decides now, in the order of the seats: whoever is due or called."""
        self._tidy()
        while self._agenda and self._agenda[0][0] <= now_ms:
            called.add(heapq.heappop(self._agenda)[1])
            self._tidy()
        return sorted(called)

    def _tidy(self) -> None:
        """Strike off the top of the agenda what has been put off or moved forward since."""
        agenda = self._agenda
        while agenda and self._ordered[agenda[0][1]].due_ms != agenda[0][0]:
            heapq.heappop(agenda)

    def _sort(self, mail: list[Message], now_ms: int) -> set[int]:
        """Put mail into the inboxes of whoever is there, by order of arrival; return the seats it calls at once."""
        called: set[int] = set()
        for message in sorted(mail, key=attrgetter("arrived_ms")):
            place = message.receiver, message.topic
            readers = self._readers.get(place)
            if readers is None:
                readers = self._readers[place] = self._reading(*place)
            if not readers:
                self.undeliverable += place[0] not in self._seats
                continue
            for i, urgent in readers:
                if self._away and not self._ordered[i].staffed(now_ms):
                    continue
                self._ordered[i].inbox.append(message)
                if urgent:
                    called.add(i)
        return called

    def _reading(self, receiver: str, topic: str) -> list[tuple[int, bool]]:
        """Return the seats at `receiver` that read mail on `topic`, and whether it calls them at once."""
        readers = []
        for i in self._seats.get(receiver, ()):
            controller = self._ordered[i].controller
            reads = getattr(controller, "reads", None)
            urgent = topic in controller.urgent
            if urgent or reads is None or topic in reads:
                readers.append((i, urgent))
        return readers

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
        if message.receiver != LOGBOOK:
            for name, value in message.values.items():
                # An order with an infinite value takes a set-point back; anywhere else it is a slip, as nan always is.
                if not _finite(value) and (_undefined(value) or not message.topic.startswith("command/")):
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
        """Return inboxes, due times, the controllers' own attributes and random streams, all as copies.

        What several controllers of one place have in common stays one thing in the copy, too.
        """
        memos = self._memos()
        return {
            f"{i}:{seat.site.name}": {
                "inbox": list(seat.inbox), "due_ms": seat.due_ms, "rng": seat.site.rng.bit_generator.state,
                "controller": _copied(vars(seat.controller), memos[seat.site.name]),
            }
            for i, seat in enumerate(self._ordered)
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`; the state itself stays as it is."""
        memos = self._memos()
        for i, seat in enumerate(self._ordered):
            kept = state[f"{i}:{seat.site.name}"]
            seat.inbox, seat.due_ms = list(kept["inbox"]), kept["due_ms"]
            seat.site.rng.bit_generator.state = kept["rng"]
            vars(seat.controller).update(_copied(kept["controller"], memos[seat.site.name]))
        self._plan()

    def _memos(self) -> dict[str, dict[int, Any]]:
        """Return for each place what is not copied with its controllers: its sites and what these believe."""
        memos: dict[str, dict[int, Any]] = {seat.site.name: {} for seat in self._ordered}
        for seat in self._ordered:
            site = seat.site
            fixed = [site, site.grid, site.rng, *site.grid.feeders, *(f.grid for f in site.grid.feeders)]
            memos[site.name].update((id(thing), thing) for thing in fixed)
        return memos


def _due_ms(seat: Seat, now_ms: int, timely: bool) -> int:
    """Return when `seat` is to decide next: at its next period, or at the first one not before its `due_s`."""
    period_ms = seat.site.period_ms
    due_s = getattr(seat.controller, "due_s", None)
    if due_s is None:
        return next_tick(now_ms, period_ms) if timely else seat.due_ms
    wanted_ms = -(-int(min(due_s, FAR_S) * 1000) // period_ms) * period_ms
    return max(wanted_ms, next_tick(now_ms, period_ms))


def _copied(attributes: dict[str, Any], memo: dict[int, Any]) -> dict[str, Any]:
    """Return a deep copy of a controller's attributes but for its site; `memo` knows what has been copied."""
    attributes = {name: value for name, value in attributes.items() if not isinstance(value, Site)}
    return copy.deepcopy(attributes, memo)


def summary(values: Mapping[str, Any]) -> tuple[str, float, int]:
    """Return the quantity a command moves, the sum of its values and how many things it addresses."""
    targets = ("device", "trafo", "line", "generator")
    for name, value in values.items():
        if name not in targets and not isinstance(value, str):
            return name, float(np.sum(value)), int(np.size(value))
    return "", 0.0, 0


def _finite(value: Any) -> bool:
    """Tell whether a value has no number in it, or finite ones only."""
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fc":
        return True
    return bool(np.isfinite(value).all())


def _undefined(value: Any) -> bool:
    return bool(np.isnan(value).any())
