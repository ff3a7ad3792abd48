"""The feeders behind one interface: what they can give by kind of source, and who is told to give how much of it."""

from __future__ import annotations

from controllers.distributed.area import column
from controllers.distributed.delivery import CUT, FALLING, RISING
from controllers.distributed.dispatch import Sources, priced
from controllers.distributed.sharing import Shares, by_merit
from sims.core.message import Message


class Feeders:
    """What the leading agents have told, and what they were told last.

    Parameters
    ----------
    step : float
        Of `sharing.stepped`.

    Attributes
    ----------
    sent_mw : float
        What all were told to give in sum.
    """

    def __init__(self, step: float) -> None:
        self.step = step
        self.capacity: dict[str, list[float]] = {}
        self.cuts: dict[str, list[float]] = {}
        self.orders: dict[str, int] = {}
        self.shares, self.cut_shares = Shares("share/p"), Shares("share/cut")
        self.sent_mw = 0.0

    def hear(self, message: Message) -> None:
        """Take what one can give (``capacity/p``) or hold back (``capacity/cut``)."""
        store = self.capacity if message.topic == "capacity/p" else self.cuts
        store[message.sender] = column(message.values["capacity"])
        self.orders[message.sender] = int(message.values.get("orders", 1))

    def by_kind(self) -> tuple[float, ...]:
        """Return what storage can give up and down, vehicles up, CHP and PV and wind down, all in magnitude [MW]."""
        given = map(sum, zip(*self.capacity.values(), strict=True)) if self.capacity else (0.0,) * 3
        held = map(sum, zip(*self.cuts.values(), strict=True)) if self.cuts else (0.0,) * 2
        return (*given, *held)

    def able_mw(self) -> tuple[float, float, float]:
        """Return what can be given up and down, and the generation that can be held back [MW]."""
        storage, charging, ev, chp, feed_in = self.by_kind()
        return storage + ev, charging, chp + feed_in

    def sources(self) -> Sources:
        """Return the same as sources with a cost."""
        return priced(*self.by_kind())

    def letters(self, sender: str, amount_mw: float, now_s: float) -> list[Message]:
        """Return the letters that make them give `amount_mw`: reserves, then generation held back."""
        up, down, cut = self.able_mw()
        given = min(max(amount_mw, -down), up)
        held, size = given - amount_mw, up if amount_mw >= 0 else down + cut
        moved = abs(amount_mw - self.sent_mw) > 0.01 * max(size, 1e-9)
        ended = amount_mw == 0 and self.sent_mw != 0
        if not (moved or ended or now_s >= min(self.shares.due_s, self.cut_shares.due_s)):
            return []
        self.sent_mw = amount_mw
        tiers = RISING if given >= 0 else FALLING
        parts, sizes = by_merit(given, self.capacity, self.orders, tiers, self.step)
        out = self.shares.letters(sender, now_s, parts, sizes)
        parts, sizes = by_merit(held, self.cuts, self.orders, CUT, self.step)
        return out + self.cut_shares.letters(sender, now_s, parts, sizes)
