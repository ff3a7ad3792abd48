"""A part of a sweep, for job arrays: every n-th cell, so that the costly ones are spread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sims.core.errors import Problem, ScenarioError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """Return the shard that ``i/n`` means.

        Raises
        ------
        ScenarioError
            `text` has another form, or i is not between 1 and n.
        """
        match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ScenarioError([Problem(f"--shard {text}", "", "write it as i/n with i from 1 to n, such as 2/8")])
        return cls(int(match[1]), int(match[2]))

    def of_these(self, items: Sequence[T]) -> list[T]:
        """Return every `of`-th item, beginning with the `number`-th."""
        return list(items[self.number - 1 :: self.of])
