"""What was sent together in the sampled mode, in the order in which it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.comms.ledger import Log
from sims.core.bundle import Bundle, Mail
from sims.core.message import Message

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Lot:
    """Messages, or the rows of a bundle, that are under way; all arrays in order of arrival.

    Parameters
    ----------
    mail : sequence of Message, or Bundle
    places : ndarray of int, [arrival]
        Which of `mail` arrives.
    course : ndarray of int, [arrival]
    at_ns : ndarray of int, [arrival]
    log : mapping of str to ndarray, [arrival]
        What the log is to say of each.
    """

    mail: Sequence[Message] | Bundle
    places: Ints
    course: Ints
    at_ns: Ints
    log: Log

    @property
    def next_ns(self) -> int:
        """When the first of it arrives [ns]."""
        return int(self.at_ns[0])

    def first_ns(self, concerning: NDArray[np.bool_]) -> int | None:
        """Return when the first message arrives whose course is `concerning` [ns], or None."""
        hot = concerning[self.course]
        return int(self.at_ns[hot.argmax()]) if hot.any() else None

    def parted(self, until_ns: int) -> tuple[Lot | None, Lot | None]:
        """Return what arrives up to `until_ns`, and what does later; None where that is nothing."""
        count = int(np.searchsorted(self.at_ns, until_ns, side="right"))
        if count in (0, len(self.at_ns)):
            return (self, None) if count else (None, self)
        return self._cut(slice(count)), self._cut(slice(count, None))

    def _cut(self, which: slice) -> Lot:
        log = {name: column[which] for name, column in self.log.items()}
        return Lot(self.mail, self.places[which], self.course[which], self.at_ns[which], log)

    def handed_over(self, receivers: Sequence[str]) -> list[tuple[int, Mail]]:
        """Return all of it with its times of arrival, and when the first of each item arrives [ns]."""
        mail, arrived_ms = self.mail, self.log["arrived_ms"]
        if isinstance(mail, Bundle):
            return [(self.next_ns, mail.arrived(self.places, arrived_ms))]
        each = zip(
            self.at_ns.tolist(), map(mail.__getitem__, self.places.tolist()), self.course.tolist(),
            arrived_ms.tolist(), strict=True,
        )  # fmt: skip
        return [
            (
                at_ns,
                Message(
                    message.sender, receivers[course], message.topic, message.values, message.sent_ms,
                    message.size_bytes, message.ttl_ms, message.priority, at_ms,
                ),
            )
            for at_ns, message, course, at_ms in each
        ]  # fmt: skip
