"""The human channel: what goes by phone or crew takes minutes, not milliseconds."""

from __future__ import annotations

from sims.comms.link import LinkSpec
from sims.comms.technology import technology


def phone(
    a: str, b: str, *, median_min: float = 5.0, p95_min: float | None = None, name: str = ""
) -> LinkSpec:
    """Return a link on which `a` and `b` call each other: lognormal delay, median [min].

    `p95_min` keeps the preset's spread (three times the median) where it is not given. Calls do not
    overtake each other.
    """
    return _human("phone", a, b, median_min, p95_min, name)


def crew(
    a: str, b: str, *, median_min: float = 45.0, p95_min: float | None = None, name: str = ""
) -> LinkSpec:
    """Return a link on which a crew carries out at `b` what `a` orders: driving time, median [min]."""
    return _human("crew", a, b, median_min, p95_min, name)


def _human(preset: str, a: str, b: str, median_min: float, p95_min: float | None, name: str) -> LinkSpec:
    overrides = {"median_ms": median_min * 60_000.0}
    if p95_min is not None:
        overrides["p95_ms"] = p95_min * 60_000.0
    row = technology(preset, f"{preset} between {a} and {b}", **overrides)
    return LinkSpec(a, b, row, name=name or f"{preset}:{a}--{b}")
