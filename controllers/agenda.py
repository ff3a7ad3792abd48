"""Who is due when."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from controllers.seat import Seat


class Agenda:
    """Seats by the time they are due; many are due at the same one.

    A seat that is put off or called for earlier is entered again; what stood there before no longer counts.
    """

    def __init__(self, seats: Sequence[Seat]) -> None:
        self._seats = seats
        self._times: list[int] = []
        self._at: dict[int, list[int]] = {}
        for i in range(len(seats)):
            self.enter(i)

    def enter(self, i: int) -> None:
        """Write down when seat `i` is due now."""
        due_ms = self._seats[i].due_ms
        entered = self._at.get(due_ms)
        if entered is None:
            self._at[due_ms] = [i]
            heapq.heappush(self._times, due_ms)
        else:
            entered.append(i)

    def take(self, now_ms: int) -> list[int]:
        """Strike off whoever is due up to `now_ms` [ms], and return them."""
        seats, found = self._seats, list[int]()
        while self._times and self._times[0] <= now_ms:
            due_ms = heapq.heappop(self._times)
            found += [i for i in self._at.pop(due_ms) if seats[i].due_ms == due_ms]
        return found

    def next_ms(self) -> int | None:
        """Return when somebody is due next [ms], None if nobody ever is."""
        seats, times = self._seats, self._times
        while times and all(seats[i].due_ms != times[0] for i in self._at[times[0]]):
            del self._at[heapq.heappop(times)]
        return times[0] if times else None
