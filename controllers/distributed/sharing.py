"""A quantity shared out over the tree of areas, in steps so that few letters move it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from controllers.distributed.area import Area, column
from sims.core.message import Message


class Shares:
    """The parts of an amount that others were told last; only news travels.

    A part is told when it has moved by more than `dead` of its receiver's capacity, when it begins or ends,
    and again after `RENEW_S`, so that a lost letter is mended. What a receiver was told holds until then.
    """

    RENEW_S = 1800.0

    def __init__(self, topic: str, dead: float = 0.01) -> None:
        self.topic, self.dead = topic, dead
        self.told: dict[str, tuple[float, float]] = {}

    def letters(
        self, sender: str, now_s: float, parts: Mapping[str, float], capacities: Mapping[str, float]
    ) -> list[Message]:
        """Return the letters that bring the receivers to `parts`."""
        out = []
        for name, part in parts.items():
            told, told_s = self.told.get(name, (0.0, math.inf))
            moved = abs(part - told) > self.dead * abs(capacities[name]) or (part == 0.0) != (told == 0.0)
            if not moved and now_s - told_s < self.RENEW_S:
                continue
            if part == told == 0.0:
                continue
            self.told[name] = part, now_s
            out.append(Message(sender, name, self.topic, {"amount": part, "as_of_s": now_s}, size_bytes=56))
        return out

    @property
    def in_force(self) -> bool:
        """Tell whether anybody was told a part that is not zero."""
        return any(part for part, _ in self.told.values())

    @property
    def due_s(self) -> float:
        """When a part has to be told again."""
        return min((s + self.RENEW_S for part, s in self.told.values() if part), default=math.inf)


class ShareTree:
    """One agent's place in the sharing: capacities are summed upwards, amounts are split downwards.

    Each agent knows its own capacity and the sums its children told it. It tells its parent (the leading
    agent: the interface's agent) the sum when a number has moved by more than `dead` of the largest, or after
    `REFRESH_S`; with it goes the number of orders it would take. Who gives most per order comes first.

    Parameters
    ----------
    what : str
        ``q``, ``p``, ``droop``: mail travels as ``capacity/what`` and ``share/what``.
    width : int
        Numbers that make up a capacity (one, or one for each direction and kind of source).
    orders : int
        Orders that moving all of the own capacity takes.
    step : float
        Of `stepped`; 0 splits pro rata.
    dead : float
    above : str
        Whom the leading agent tells; the interface's agent if left out.
    """

    REFRESH_S = 3600.0

    def __init__(
        self, area: Area, what: str, width: int = 1, *, orders: int = 1, step: float = 0.0, dead: float = 0.08,
        above: str = "",
    ) -> None:
        self.capacity_topic, self.share_topic = f"capacity/{what}", f"share/{what}"
        self.parent = area.parent if area.parent is not None else (above or area.feeder.interface)
        self.below: dict[str, list[float]] = {name: [0.0] * width for name in area.children}
        self.own = [0.0] * width
        self.own_orders, self.orders_below = orders, dict.fromkeys(area.children, 1)
        self.step, self.dead = step, dead
        self.told: list[float] = []
        self.told_s = -math.inf
        self.shares = Shares(self.share_topic, dead=0.02)
        self.amount, self.amount_s = 0.0, -math.inf

    def hear(self, message: Message) -> None:
        """Take a child's sum."""
        if message.sender in self.below:
            self.below[message.sender] = column(message.values["capacity"])
            self.orders_below[message.sender] = int(message.values.get("orders", 1))

    def take(self, message: Message) -> bool:
        """Take the parent's share; False for one that a newer letter has overtaken."""
        as_of_s = float(message.values.get("as_of_s", message.sent_ms / 1000))
        if message.sender != self.parent or as_of_s < self.amount_s:
            return False
        self.amount, self.amount_s = float(message.values["amount"]), as_of_s
        return True

    @property
    def total(self) -> list[float]:
        """Own capacity and that of everything below."""
        if not self.below:
            return list(self.own)
        return list(map(sum, zip(self.own, *self.below.values(), strict=True)))

    def announce(self, sender: str, now_s: float) -> list[Message]:
        """Return the letter to the parent where there is something new to tell."""
        sums = self.total
        if not self.told:
            if not any(sums):
                return []
        elif now_s - self.told_s < self.REFRESH_S:
            dead = self.dead * max(map(abs, self.told)) + 1e-9
            for new, old in zip(sums, self.told, strict=True):
                if abs(new - old) > dead:
                    break
            else:
                return []
        self.told, self.told_s = sums, now_s
        orders = self.own_orders + sum(self.orders_below.values())
        values = {"capacity": np.array(sums), "orders": orders}
        return [Message(sender, self.parent, self.capacity_topic, values, size_bytes=60)]

    @property
    def quiet_s(self) -> float:
        """Until when there is neither a sum nor a part to tell, as long as no number moves [s]."""
        sums = self.total
        if not self.told:
            return -math.inf if any(sums) else self.shares.due_s
        dead = self.dead * max(map(abs, self.told)) + 1e-9
        moved = any(abs(new - old) > dead for new, old in zip(sums, self.told, strict=True))
        return -math.inf if moved else min(self.told_s + self.REFRESH_S, self.shares.due_s)

    def split(
        self, sender: str, now_s: float, tiers: Sequence[int] = (0,), least: float = 0.0
    ) -> tuple[float, list[Message]]:
        """Return the own part of the amount in force and the letters with the children's parts.

        Parameters
        ----------
        tiers : sequence of int
            Which of the capacities the split follows, the cheapest first.
        least : float
            What is given here even if less is asked from above, where amounts have one sign.
        """
        amount = max(self.amount, least) if least else self.amount
        if not amount and not self.shares.in_force:
            return 0.0, []
        capacities = {**self.below, sender: self.own}
        orders = {**self.orders_below, sender: self.own_orders}
        parts, sizes = by_merit(amount, capacities, orders, tiers, self.step)
        own = parts.pop(sender)
        return own, self.shares.letters(sender, now_s, parts, sizes)


def by_grain(sizes: Mapping[str, float], orders: Mapping[str, int]) -> dict[str, float]:
    """Return `sizes`, those that give most per order first."""
    return dict(sorted(sizes.items(), key=lambda item: (-round(item[1] / max(orders.get(item[0], 1), 1), 6), item[0])))


def shared_out(amount: float, sizes: Mapping[str, float], step: float) -> dict[str, float]:
    """Return the part of each, by `stepped`, or pro rata where `step` is 0."""
    parts = stepped(amount, list(sizes.values()), step) if step else split_pro_rata(amount, list(sizes.values()))
    return dict(zip(sizes, parts, strict=True))


def by_merit(
    amount: float, capacities: Mapping[str, Sequence[float]], orders: Mapping[str, int], tiers: Sequence[int],
    step: float,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the part of each and its size: nobody's second tier is touched while anybody's first has room.

    Parameters
    ----------
    capacities, orders : mapping of name
        What each can give by column, and the orders that moving all of it takes.
    tiers : sequence of int
        Columns, the cheapest first; what exceeds all of them stays with the last.
    step : float
        Of `stepped`; 0 splits pro rata.
    """
    parts: dict[str, float] = {}
    for tier in tiers:
        sizes = by_grain({name: size[tier] for name, size in capacities.items()}, orders)
        whole = sum(sizes.values())
        given = amount if tier == tiers[-1] else min(max(amount, -whole), whole)
        for name, part in shared_out(given, sizes, step).items():
            parts[name] = parts.get(name, 0.0) + part
        amount -= given
    return parts, {name: sum(capacities[name][tier] for tier in tiers) for name in parts}


def split_pro_rata(amount: float, capacities: Sequence[float]) -> list[float]:
    """Return `amount` in parts proportional to `capacities`, zeros where there is none."""
    total = sum(capacities)
    return [amount * c / total if total > 0 else 0.0 for c in capacities]


def stepped(amount: float, capacities: Sequence[float], step: float) -> list[float]:
    """Return `amount` in parts whose utilisations differ by at most one `step`, few of which move with it.

    All are taken to the same multiple of `step` of their capacities; what is left fills one after the other
    by one step more. A small change of the amount so moves one part, where pro rata moves all.
    """
    total = sum(capacities)
    if total <= 0:
        return [0.0] * len(capacities)
    size = min(abs(amount), total)
    level = min(math.floor(size / (step * total) + 1e-9) * step, 1.0)
    left = max(size - level * total, 0.0)
    parts = []
    for capacity in capacities:
        more = min(left, min(step, 1.0 - level) * capacity)
        left -= more
        parts.append(math.copysign(level * capacity + more, amount) if level * capacity + more > 1e-9 else 0.0)
    return parts
