"""A quantity shared out over the tree of areas, pro rata of what each part can give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.distributed.area import Area
from sims.core.message import Message

Floats = NDArray[np.float64]


class ShareTree:
    """One agent's place in the sharing: capacities are summed upwards, amounts are split downwards.

    Each agent knows its own capacity and the sums its children told it. It tells its parent (the leading
    agent: the interface's agent) the sum when it has moved by more than two percent, or after a quarter-hour.

    Parameters
    ----------
    what : str
        ``q``, ``p``, ``droop``: mail travels as ``capacity/what`` and ``share/what``.
    width : int
        Numbers that make up a capacity (one, or two for up and down).
    """

    REFRESH_S = 900.0

    def __init__(self, area: Area, what: str, width: int = 1) -> None:
        self.capacity_topic, self.share_topic = f"capacity/{what}", f"share/{what}"
        self.parent = area.parent if area.parent is not None else area.feeder.interface
        self.below: dict[str, Floats] = {name: np.zeros(width) for name in area.children}
        self.own = np.zeros(width)
        self.told: Floats = np.full(width, np.nan)
        self.told_s = -math.inf

    def hear(self, message: Message) -> None:
        """Take a child's sum."""
        if message.sender in self.below:
            self.below[message.sender] = np.atleast_1d(np.asarray(message.values["capacity"], dtype=float))

    @property
    def total(self) -> Floats:
        """Own capacity and that of everything below."""
        total: Floats = self.own + sum(self.below.values(), np.zeros_like(self.own))
        return total

    def announce(self, sender: str, now_s: float) -> list[Message]:
        """Return the letter to the parent where there is something new to tell."""
        total = self.total
        same = np.all(np.abs(total - self.told) <= 0.02 * np.abs(self.told) + 1e-9)
        if same and now_s - self.told_s < self.REFRESH_S:
            return []
        self.told, self.told_s = total, now_s
        return [Message(sender, self.parent, self.capacity_topic, {"capacity": total}, size_bytes=56)]

    def split(self, sender: str, amount: float, side: int = 0) -> tuple[float, list[Message]]:
        """Return the own part of `amount` and the letters with the children's parts.

        Parameters
        ----------
        side : int
            Which of the capacities the split follows.
        """
        total = float(self.total[side])
        if total <= 0:
            return 0.0, []
        letters = [
            Message(sender, name, self.share_topic, {"amount": amount * float(c[side]) / total}, size_bytes=56)
            for name, c in self.below.items() if c[side] > 0
        ]
        return amount * float(self.own[side]) / total, letters


def split_pro_rata(amount: float, capacities: Sequence[float]) -> list[float]:
    """Return `amount` in parts proportional to `capacities`, zeros where there is none."""
    total = sum(capacities)
    return [amount * c / total if total > 0 else 0.0 for c in capacities]
