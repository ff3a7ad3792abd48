"""What waits to be sent: mail on its ways, in the order of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.core.bundle import Bundle
from sims.core.message import Message

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Post:
    """Messages, or all rows of a bundle.

    Parameters
    ----------
    mail : list of Message, or Bundle
    ways : list or ndarray of int, [packet]
        Number of each one's way.
    at_ns : list of int
        When each message is sent, rising; when the bundle is.
    """

    mail: list[Message] | Bundle
    ways: list[int] | Ints
    at_ns: list[int]

    def __len__(self) -> int:
        """Return the number of packets."""
        return len(self.mail)

    def took(self, later: Post) -> bool:
        """Take what is sent after it along, where both are messages; tell whether it did."""
        if isinstance(self.mail, Bundle) or isinstance(later.mail, Bundle):
            return False
        self.mail.extend(later.mail)
        self.ways.extend(later.ways)  # type: ignore[union-attr]
        self.at_ns.extend(later.at_ns)
        return True

    def parted(self, until_ns: int) -> tuple[Post, Post]:
        """Return what is sent before `until_ns`, and the rest; something is of each."""
        assert not isinstance(self.mail, Bundle), "a bundle is sent at one time"
        count = bisect_left(self.at_ns, until_ns)
        return (
            Post(self.mail[:count], self.ways[:count], self.at_ns[:count]),
            Post(self.mail[count:], self.ways[count:], self.at_ns[count:]),
        )

    def each(self) -> Iterator[tuple[Message, int, int]]:
        """Give each as a message, with its way and its time [ns]."""
        mail, at_ns = self.mail, self.at_ns
        if isinstance(mail, Bundle):
            mail, at_ns = mail.messages(), at_ns * len(mail)
        return zip(mail, (int(way) for way in self.ways), at_ns, strict=True)
