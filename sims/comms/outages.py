"""What fails, and when: by schedule or by chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from sims.core.errors import Problem, nearest

Kind = Literal["link", "node"]


@dataclass(frozen=True, slots=True)
class Outage:
    """A link or node is down from `start_ms` up to `end_ms`.

    With `loses_in_flight`, what is on the link when it fails is lost; otherwise it still gets through.
    """

    name: str
    start_ms: int
    end_ms: int
    kind: Kind = "link"
    loses_in_flight: bool = True


@dataclass(frozen=True, slots=True)
class RandomOutage:
    """A link or node fails after exponential times of mean `mtbf_ms` and is back after mean `mttr_ms`.

    The alternating renewal process starts in its steady state, so that its availability
    mtbf / (mtbf + mttr) holds from the first instant on.
    """

    name: str
    mtbf_ms: float
    mttr_ms: float
    kind: Kind = "link"
    loses_in_flight: bool = True

    @classmethod
    def of(cls, name: str, availability: float, mttr_ms: float, kind: Kind = "link") -> RandomOutage:
        """Return the process of a given `availability` (above 0, below 1) and mean repair time."""
        return cls(name, mttr_ms * availability / (1.0 - availability), mttr_ms, kind)

    @property
    def availability(self) -> float:
        """Expected share of time that the thing is up."""
        return self.mtbf_ms / (self.mtbf_ms + self.mttr_ms)

    def starts_down(self, rng: np.random.Generator) -> bool:
        """Draw whether it is down at the start."""
        return bool(rng.random() >= self.availability)

    def draw_ns(self, rng: np.random.Generator, *, down: bool) -> int:
        """Draw how long it stays down, or up [ns], at least 1."""
        mean_ms = self.mttr_ms if down else self.mtbf_ms
        return max(1, round(rng.exponential(mean_ms) * 1e6))


def outage_problems(
    outages: Sequence[Outage | RandomOutage], links: Collection[str], nodes: Collection[str]
) -> list[Problem]:
    """Return what is wrong with `outages`: unknown things, empty spans, spans of one thing that overlap."""
    found = []
    spans: dict[tuple[str, str], list[Outage]] = defaultdict(list)
    for outage in outages:
        where = f"outage of {outage.kind} {outage.name}"
        known = links if outage.kind == "link" else nodes
        if outage.name not in known:
            text = f"there is no such {outage.kind}{nearest(outage.name, known)}"
            found.append(Problem(where, "name", text))
        if isinstance(outage, RandomOutage):
            found.extend(
                Problem(where, field, f"{getattr(outage, field)} must be above 0 and finite")
                for field in ("mtbf_ms", "mttr_ms")
                if not 0.0 < getattr(outage, field) < float("inf")
            )
        elif not 0 <= outage.start_ms < outage.end_ms:
            span = f"{outage.start_ms} to {outage.end_ms} ms"
            text = f"{span} is no span of time; start at 0 or later, end after it"
            found.append(Problem(where, "start_ms", text))
        else:
            spans[outage.kind, outage.name].append(outage)
    for (kind, name), rows in spans.items():
        rows.sort(key=lambda row: row.start_ms)
        for first, second in pairwise(rows):
            if second.start_ms < first.end_ms:
                text = (
                    f"{second.start_ms}-{second.end_ms} ms overlaps {first.start_ms}-{first.end_ms} ms; "
                    "join them or move one"
                )
                found.append(Problem(f"outage of {kind} {name}", "start_ms", text))
    return found
