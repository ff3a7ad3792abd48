"""Runs the controllers: gives each site its mail, asks it to decide, audits what it wants to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from controllers.agenda import Agenda
from controllers.assets import ESTIMATE, Assets
from controllers.bench import Row, rows
from controllers.isolation import Isolated
from controllers.logbook import ALARM, LOGBOOK, REJECTED, alarm
from controllers.memory import Memory
from controllers.postmark import franked, stamped
from controllers.seat import FAR_S, Seat, is_time
from controllers.soundness import ORDER, slips
from controllers.watchdog import OverdueError, Watchdog
from sims.core.bundle import Addresses, Bundle, Mail, unbundled
from sims.core.clock import next_tick
from sims.core.errors import ControllerError, GridseamError
from sims.core.message import Message
from sims.core.orders import Action, Authorize
from sims.core.ports import Inputs, Ports, Step, items


class ControllerHost:
    """All sites of a run as one simulator.

    Ports: `mail` (delivered by the network) and `own` (measured where the site itself stands) come in;
    `outbox` leaves for the network, `actions` carries refused commands, `reports` what sites log, `alarms` what
    they raise, as (time [ms], site, kind, text, value).

    What no decision may hold stops here. The run ends with it, or goes on without it where the seat falls back: then
    it is left out and told by an alarm, and who has failed is asked again at its next turn.

    Parameters
    ----------
    seats : sequence of Seat
    authorize : callable
        Each order is held against it.
    step_ms : int
    addresses : collection of str, optional
        Whom messages may go to; anybody if not given.
    """

    ports = Ports(hears=("mail", "own"), tells=("outbox", "actions", "reports", "alarms"))

    def __init__(
        self, seats: Sequence[Seat], authorize: Authorize, step_ms: int, addresses: Collection[str] | None = None
    ) -> None:
        self._ordered = list(seats)
        self._away = any(seat.spans_ms for seat in seats)
        self._seats: dict[str, list[int]] = {}
        for i, seat in enumerate(seats):
            self._seats.setdefault(seat.site.name, []).append(i)
        self._agenda = Agenda(self._ordered)
        self._memory = Memory([(seat.site, seat.controller) for seat in seats])
        self._seat_together()
        self._authorize = authorize
        self._step_ms = step_ms
        self._addresses = None if addresses is None else frozenset((*addresses, LOGBOOK))
        self._assets: dict[str, Assets] = {}
        self._readers: dict[tuple[str, str], tuple[list[tuple[int, bool]], list[list[Message]]]] = {}
        self._racks: dict[tuple[Addresses, str], list[Bundle] | None] = {}
        self.undeliverable = 0
        self._deciding: Seat | None = None
        self._watch = Watchdog(self._who)

    def _who(self) -> tuple[str, float]:
        """Return where somebody is deciding, and how long it may take [s]."""
        seat = self._deciding
        return (seat.site.name, seat.budget_s) if seat else ("", FAR_S)

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Sort the mail, let whoever is due decide, send what passes the audit."""
        called = self._open([*items(inputs, "own"), *items(inputs, "mail")], now_ms)
        watch = self._watch
        try:
            with watch:
                outputs = self._turns(sorted(called.union(self._agenda.take(now_ms))), now_ms)
        except KeyboardInterrupt as err:
            watch.stop()
            if watch.over is None:
                raise
            name, budget_s = watch.over
            raise OverdueError(name, now_ms, f"has not decided within {budget_s:g} s") from err
        next_ms = self._agenda.next_ms()
        return Step(max(next_tick(now_ms, self._step_ms) if next_ms is None else next_ms, now_ms + 1), outputs)

    def _turns(self, due: Sequence[int], now_ms: int) -> dict[str, Any]:
        """Let the seats `due` decide one after the other; return what comes of it by port."""
        told: dict[str, list[Any]] = {port: [] for port in self.ports.tells}
        seated, benches = self._row_of, set[Row | None]()
        for i in due:
            seat = self._ordered[i]
            row = seated.get(i)
            if row is not None and row in benches:
                continue
            if seat.spans_ms and not seat.staffed(now_ms):
                seat.inbox, seat.due_ms = [], seat.next_staffed_ms(now_ms)
                self._agenda.enter(i)
                continue
            who = [i] if row is None else row.among(due)
            decided = self._decide(seat, now_ms) if row is None else self._decide_together(row, who, now_ms)
            benches.add(row)
            for k in who:
                self._put_off(k, now_ms)
            self._sort_out(decided, seat, now_ms, told)
        return {port: rows for port, rows in told.items() if rows}

    def _sort_out(self, decided: Sequence[Mail], seat: Seat, now_ms: int, told: Mapping[str, list[Any]]) -> None:
        """Sort what has been decided to the ports it goes to; what may not leave is refused or rejected."""
        passed: list[Mail] = []
        naming: dict[str, list[int]] = {}
        for message in decided:
            if not isinstance(message, Bundle):
                order = message.topic.startswith(ORDER)
                if order and (action := self._audit(message, now_ms)) is not None:
                    told["actions"].append(action)
                    continue
                if order or message.topic == ESTIMATE:
                    naming.setdefault(message.sender, []).append(len(passed))
            passed.append(message)
        wrong = self._missed(passed, naming) if naming else {}
        for place, message in enumerate(passed):
            if place in wrong:
                told["alarms"].append(raised(rejection(seat, now_ms, wrong[place]), now_ms))
            elif isinstance(message, Bundle) or message.receiver != LOGBOOK:
                told["outbox"].append(message)
            elif message.topic == ALARM:
                told["alarms"].append(raised(message, now_ms))
            else:
                told["reports"].append(message)

    def _put_off(self, i: int, now_ms: int) -> None:
        """Write down when a seat that has decided is due next."""
        seat = self._ordered[i]
        due_ms = seat.next_due_ms(now_ms)
        if due_ms != seat.due_ms:
            seat.due_ms = due_ms
            self._agenda.enter(i)

    def _seat_together(self) -> None:
        """Put who decides at one stroke on benches."""
        self._rows = rows(self._ordered)
        self._row_of = {i: row for row in self._rows for i in row.numbers}

    @property
    def beat_ms(self) -> int:
        """Greatest span that divides all periods at which seats look at their mail [ms]."""
        return math.gcd(self._step_ms, *(seat.site.period_ms for seat in self._ordered))

    def wakes(self, receiver: str, topic: str) -> bool:
        """Tell whether mail on `topic` calls a seat at `receiver` at once, rather than wait for its period."""
        seats = (self._ordered[i] for i in self._seats.get(receiver, ()))
        return any(topic in seat.controller.urgent for seat in seats)

    def _opened(self, mail: Sequence[Mail]) -> list[Message]:
        """Return mail as messages; bundles that one board takes whole are put up there instead."""
        rest: list[Mail] = []
        for item in mail:
            if not isinstance(item, Bundle):
                rest.append(item)
                continue
            key = item.addresses, item.topic
            if key not in self._racks:
                self._racks[key] = self._rack(*key)
            rack = self._racks[key]
            (rest if rack is None else rack).append(item)
        return unbundled(rest)

    def _rack(self, addresses: Addresses, topic: str) -> list[Bundle] | None:
        """Return where bundles of one receiver are put up whole; None where somebody waits for the messages."""
        receivers = set(addresses.receivers)
        if len(receivers) != 1 or self._reading(place := receivers.pop(), topic):
            return None
        controllers = [self._ordered[i].controller for i in self._seats.get(place, ())]
        boards = {id(b): b for c in controllers if (b := getattr(c, "board", None)) is not None and topic in b.topics}
        racks: list[list[Bundle] | None] = [getattr(board, "bundles", None) for board in boards.values()]
        return racks[0] if len(racks) == 1 else None

    def _open(self, mail: Sequence[Mail], now_ms: int) -> set[int]:
        """Hand bundles to the benches they are for and sort all other mail; return the seats that are called."""
        called: set[int] = set()
        rest: list[Mail] = []
        for item in mail:
            taken = [i for row in self._rows for i in row.takes(item)] if isinstance(item, Bundle) else ()
            called.update(taken)
            if not taken:
                rest.append(item)
        return called | self._sort(self._opened(rest), now_ms)

    def _sort(self, mail: list[Message], now_ms: int) -> set[int]:
        """Put mail into the inboxes of whoever is there, by order of arrival; return the seats it calls at once."""
        called: set[int] = set()
        known, seats, away = self._readers, self._ordered, self._away
        for message in sorted(mail, key=attrgetter("arrived_ms")):
            place = message.receiver, message.topic
            readers = known.get(place)
            if readers is None:
                readers = known[place] = self._reading(*place), self._hanging(*place)
            for board in readers[1]:
                board.append(message)
            if not readers[0]:
                self.undeliverable += place[0] not in self._seats
                continue
            for i, urgent in readers[0]:
                if away and not seats[i].staffed(now_ms):
                    continue
                seats[i].inbox.append(message)
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
            board = getattr(controller, "board", None)
            if urgent or ((reads is None or topic in reads) and (board is None or topic not in board.topics)):
                readers.append((i, urgent))
        return readers

    def _hanging(self, receiver: str, topic: str) -> list[list[Message]]:
        """Return where mail on `topic` is put up for several seats at `receiver` at once."""
        boards = [getattr(self._ordered[i].controller, "board", None) for i in self._seats.get(receiver, ())]
        lists = {id(board): board.mail for board in boards if board is not None and topic in board.topics}
        return list(lists.values())

    def _decide(self, seat: Seat, now_ms: int) -> list[Message]:
        """Let one seat decide; return what may leave, and alarms about the rest."""
        inbox, seat.inbox = seat.inbox, []
        self._watch.next()
        self._deciding = seat
        try:
            decided = seat.controller.decide(now_ms / 1000, inbox)
            if not isinstance(decided, list | tuple):
                raise TypeError(f"decide returned {type(decided).__name__}; return a list of messages, [] for none")
        except OverdueError:
            raise
        except ControllerError as err:
            return [rejection(seat, now_ms, err.text, err)]
        except (Exception, SystemExit) as err:  # noqa: BLE001  whatever a user's controller may raise
            return [rejection(seat, now_ms, f"{type(err).__name__}: {err}", err)]
        wrong = slips(decided, self._addresses) if decided else {}
        sound = [message for k, message in enumerate(decided) if k not in wrong] if wrong else decided
        if not is_time(due_s := getattr(seat.controller, "due_s", None)):
            wrong[len(decided)] = f"put itself off until {due_s!r}; due_s is a number of seconds or None"
        told = [rejection(seat, now_ms, text) for text in wrong.values()]
        return stamped(seat.site.name, sound, now_ms) + told

    def _decide_together(self, row: Row, due: Sequence[int], now_ms: int) -> list[Mail]:
        """Let those of a bench that are due decide; what goes wrong there is told of the first of them."""
        seat = self._deciding = self._ordered[due[0]]
        self._watch.next()
        try:
            return franked(row.decide(now_ms / 1000, due), now_ms)
        except GridseamError:
            raise
        except Exception as err:
            raise ControllerError(seat.site.name, now_ms, f"{type(err).__name__}: {err}") from err

    def _missed(self, passed: Sequence[Any], naming: Mapping[str, Sequence[int]]) -> dict[int, str]:
        """Return which of the messages at these places, by sender, name what is not there, and what."""
        wrong: dict[int, str] = {}
        for name, places in naming.items():
            if name not in self._assets:
                self._assets[name] = Assets(self._ordered[self._seats[name][0]].site.grid)
            found = self._assets[name].faults([passed[place] for place in places])
            wrong |= {places[k]: text for k, text in found.items()}
        return wrong

    def _audit(self, order: Message, now_ms: int) -> Action | None:
        """Return the refused act, or None where the order may leave."""
        duty = order.topic.removeprefix(ORDER)
        rule = self._authorize(order.sender, duty, order.receiver, now_ms)
        if rule is None:
            return None
        quantity, value, count = summary(order.values)
        return Action(now_ms, order.sender, duty, order.receiver, quantity, value, count, rule)

    def get_state(self) -> dict[str, Any]:
        """Return inboxes and due times, and what the controllers remember, all as copies."""
        return {
            f"{i}:{seat.site.name}": {"inbox": list(seat.inbox), "due_ms": seat.due_ms} | remembered
            for i, (seat, remembered) in enumerate(zip(self._ordered, self._memory.get_state(), strict=True))
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`; the state itself stays as it is."""
        kept = [state[f"{i}:{seat.site.name}"] for i, seat in enumerate(self._ordered)]
        for seat, mine in zip(self._ordered, kept, strict=True):
            seat.inbox, seat.due_ms = list(mine["inbox"]), mine["due_ms"]
        self._memory.set_state(kept)
        self._readers, self._racks = {}, {}
        self._agenda = Agenda(self._ordered)
        self._seat_together()

    @property
    def fixed(self) -> dict[str, Any]:
        """What a restart builds anyway, by name: sites and what they believe."""
        return self._memory.fixed

    def release(self) -> None:
        """End the processes of those who decide apart."""
        for seat in self._ordered:
            if isinstance(seat.controller, Isolated):
                seat.controller.release()


def rejection(seat: Seat, now_ms: int, text: str, cause: BaseException | None = None) -> Message:
    """Return the alarm about something that is left out.

    Raises
    ------
    ControllerError
        The seat does not fall back.
    """
    if not seat.falls_back:
        raise ControllerError(seat.site.name, now_ms, text) from cause
    return alarm(seat.site, REJECTED, text)


def raised(message: Message, now_ms: int) -> tuple[int, str, str, str, float]:
    """Return an alarm as time [ms], site, kind, text and value."""
    values = message.values
    kind, text = str(values.get("kind", "")), str(values.get("text", ""))
    return now_ms, message.sender, kind, text, float(values.get("value", math.nan))


def summary(values: Mapping[str, Any]) -> tuple[str, float, int]:
    """Return the quantity a command moves, the sum of its values and how many things it addresses."""
    targets = ("device", "trafo", "line", "generator")
    for name, value in values.items():
        if name not in targets and not isinstance(value, str):
            return name, float(np.sum(value)), int(np.size(value))
    return "", 0.0, 0
