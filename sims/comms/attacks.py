"""What somebody on a link does to the messages that pass; derive from `Attack` to add another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sims.core.errors import Problem, nearest
from sims.core.message import Message

Touched = Sequence[tuple[float, Message]]
"""What goes on instead of a message: (extra delay [ms], message). Empty: dropped; the first takes the
message's place, further ones are copies that the attacker adds."""


class Attack:
    """Stands on a link from `start_ms` up to `end_ms`.

    Parameters
    ----------
    link : str
        The link's name (both directions) or one direction of it (``a--b:a>b``).
    topic : str
        Only messages whose topic starts so are touched; all by default.
    """

    def __init__(self, link: str, start_ms: int, end_ms: int, *, topic: str = "") -> None:
        self.link, self.start_ms, self.end_ms, self.topic = link, start_ms, end_ms, topic

    def touch(self, message: Message, now_ms: float, rng: np.random.Generator) -> Touched:
        """Return what goes on in place of `message` (see `Touched`); untouched by default."""
        return [(0.0, message)]

    def inject(self, rate_bit_s: int, rng: np.random.Generator) -> tuple[float, Message] | None:
        """Return (gap [ms], packet) of the next packet of the attacker's own, or None: no such packets."""
        return None

    def get_state(self) -> dict[str, Any]:
        """Return what the attack remembers; nothing by default."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""

    def problems(self) -> list[Problem]:
        """Return what makes this attack impossible."""
        if 0 <= self.start_ms < self.end_ms:
            return []
        text = f"{self.start_ms} to {self.end_ms} ms is no span of time; start at 0 or later, end after it"
        return [Problem(f"{type(self).__name__} on {self.link}", "start_ms", text)]


class Drop(Attack):
    """Swallows messages with `probability`."""

    def __init__(
        self, link: str, start_ms: int, end_ms: int, *, probability: float = 1.0, topic: str = ""
    ) -> None:
        super().__init__(link, start_ms, end_ms, topic=topic)
        self.probability = probability

    def touch(self, message: Message, now_ms: float, rng: np.random.Generator) -> Touched:
        """Return nothing, or the message."""
        return [] if rng.random() < self.probability else [(0.0, message)]

    def problems(self) -> list[Problem]:
        """Refuse what is no probability."""
        found = super().problems()
        if not 0.0 <= self.probability <= 1.0:
            text = f"{self.probability} is not within 0..1"
            found.append(Problem(f"Drop on {self.link}", "probability", text))
        return found


class Delay(Attack):
    """Holds every message back by `delay_ms`."""

    def __init__(self, link: str, start_ms: int, end_ms: int, *, delay_ms: float, topic: str = "") -> None:
        super().__init__(link, start_ms, end_ms, topic=topic)
        self.delay_ms = delay_ms

    def touch(self, message: Message, now_ms: float, rng: np.random.Generator) -> Touched:
        """Return the message, later."""
        return [(self.delay_ms, message)]

    def problems(self) -> list[Problem]:
        """Refuse a delay into the past."""
        found = super().problems()
        if not self.delay_ms >= 0.0:
            found.append(Problem(f"{type(self).__name__} on {self.link}", "delay_ms", "must be >= 0"))
        return found


class Replay(Delay):
    """Lets messages pass and sends each a second time, `delay_ms` later."""

    def touch(self, message: Message, now_ms: float, rng: np.random.Generator) -> Touched:
        """Return the message and its late copy."""
        return [(0.0, message), (self.delay_ms, message)]


class Tamper(Attack):
    """Falsifies what messages say: adds `bias` to values, then puts `replacement` in their place.

    Names that a message does not carry are left alone; a bias meets numbers and arrays only.
    """

    def __init__(
        self, link: str, start_ms: int, end_ms: int, *, bias: Mapping[str, float] | None = None,
        replacement: Mapping[str, Any] | None = None, topic: str = "",
    ) -> None:  # fmt: skip
        super().__init__(link, start_ms, end_ms, topic=topic)
        self.bias, self.replacement = dict(bias or {}), dict(replacement or {})

    def touch(self, message: Message, now_ms: float, rng: np.random.Generator) -> Touched:
        """Return the message with false values."""
        values = dict(message.values)
        for name in self.bias.keys() & values.keys():
            if isinstance(values[name], str):
                continue
            false = values[name] + self.bias[name]
            if isinstance(false, np.ndarray):
                false.flags.writeable = False
            values[name] = false
        values.update({name: value for name, value in self.replacement.items() if name in values})
        return [(0.0, replace(message, values=values))]


class Flood(Attack):
    """Fills the link with noise at `load` times its rate, in packets of `size_bytes`, as a Poisson stream."""

    def __init__(
        self, link: str, start_ms: int, end_ms: int, *, load: float = 1.5, size_bytes: int = 1000,
        priority: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(link, start_ms, end_ms)
        self.load, self.size_bytes, self.priority = load, size_bytes, priority

    def inject(self, rate_bit_s: int, rng: np.random.Generator) -> tuple[float, Message] | None:
        """Return the next packet of noise."""
        mean_ms = self.size_bytes * 8000.0 / (rate_bit_s * self.load)
        noise = Message("", "", "flood", size_bytes=self.size_bytes, priority=self.priority)
        return float(rng.exponential(mean_ms)), noise

    def problems(self) -> list[Problem]:
        """Refuse a flood without packets."""
        found = super().problems()
        if not (self.load > 0.0 and self.size_bytes > 0):
            found.append(Problem(f"Flood on {self.link}", "load", "load and size_bytes must be above 0"))
        return found


def attack_problems(
    attacks: Sequence[Attack], links: Collection[str], unlimited: Collection[str]
) -> list[Problem]:
    """Return what is wrong with `attacks`; `unlimited` are the links that nothing can fill."""
    found: list[Problem] = []
    for attack in attacks:
        where = f"{type(attack).__name__} on {attack.link}"
        if attack.link not in links:
            found.append(Problem(where, "link", f"there is no such link{nearest(attack.link, links)}"))
        if isinstance(attack, Flood) and attack.link in unlimited:
            found.append(Problem(where, "link", "has no rate limit, so nothing can flood it; give it a rate"))
        found.extend(attack.problems())
    return found
