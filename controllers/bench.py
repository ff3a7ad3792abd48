"""Who decides at one stroke: seats of one class that sit on a bench."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from controllers.seat import Seat
from sims.core.bundle import Bundle, Mail
from sims.core.message import Message


class Bench(Protocol):
    """Decides for several controllers of one class together, each from its own mail, as each would alone.

    A class that offers one names it in `bench`, which classes derived from it do not inherit; it is built with all
    controllers of that class that are there at any time, and again after these have been given another state. Letters
    between them may travel as bundles.
    """

    topics: frozenset[str]

    def called(self, bundle: Bundle) -> list[int] | None:
        """Return whom a bundle on one of `topics` is for, by number; None where it has to come as messages."""

    def decide(
        self, now_s: float, due: Sequence[int], inboxes: Mapping[int, Sequence[Message]], letters: Sequence[Bundle]
    ) -> list[Mail]:
        """Return what those who are due send, in their order; `letters` is what `called` has let through."""


class Row:
    """A bench of a host: the seats on it, by their number at the host, and the bundles that wait for them."""

    def __init__(self, made: Any, numbers: Sequence[int], seats: Sequence[Seat]) -> None:
        self.seats, self.numbers = [seats[i] for i in numbers], list(numbers)
        self.place = {i: place for place, i in enumerate(numbers)}
        self.bench: Bench = made([seat.controller for seat in self.seats])
        self.letters: list[Bundle] = []

    def among(self, due: Sequence[int]) -> list[int]:
        """Return who of `due`, in ascending order, sits here."""
        first, last = bisect_left(due, self.numbers[0]), bisect_right(due, self.numbers[-1])
        return [i for i in due[first:last] if i in self.place]

    def takes(self, bundle: Bundle) -> list[int]:
        """Keep a bundle that is for seats on this bench alone; return whom it calls, nobody where it is not."""
        places = self.bench.called(bundle) if bundle.topic in self.bench.topics else None
        if places:
            self.letters.append(bundle)
        return [self.numbers[place] for place in places or ()]

    def decide(self, now_s: float, due: Sequence[int]) -> list[Mail]:
        """Let those of the bench that are due decide on what has come for them."""
        places = [self.place[i] for i in due]
        inboxes = {place: self.seats[place].inbox for place in places if self.seats[place].inbox}
        letters, self.letters = self.letters, []
        for place in inboxes:
            self.seats[place].inbox = []
        return self.bench.decide(now_s, places, inboxes, letters)


def rows(seats: Sequence[Seat]) -> list[Row]:
    """Return the benches of these seats; who is not there at any time, falls back or has another budget sits alone."""
    found: dict[tuple[type, float], list[int]] = {}
    for i, seat in enumerate(seats):
        of = type(seat.controller)
        if vars(of).get("bench") is not None and not (seat.spans_ms or seat.falls_back):
            found.setdefault((of, seat.budget_s), []).append(i)
    return [Row(vars(of)["bench"], numbers, seats) for (of, _), numbers in found.items() if len(numbers) > 1]
