"""What a scenario expects of its key figures: bounds, alone or against another pairing or a stored baseline."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from scenarios.base import NotNegative, Part, Real, Text
from scenarios.schema_operation import Architecture, Stage


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) or value is None else [value]


class Other(Part):
    """Another pairing; what is left out is that of the pairing judged."""

    architecture: Architecture | None = None
    """Its architecture."""
    stage: Stage | None = None
    """Its stage."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.architecture is None and self.stage is None:
            raise ValueError("names no other pairing: give architecture, stage, or both")
        return self


class Expectation(Part):
    """Bounds on one key figure.

    Without a reference they bound the value. With `than` or `baseline`, `max` and `min` bound value less
    reference, and the other bounds relate to the reference.
    """

    max: Real | None = None
    """Largest value, or largest difference to the reference."""
    min: Real | None = None
    """Smallest value, or smallest difference."""
    max_ratio: NotNegative | None = None
    """Largest value over reference."""
    min_ratio: NotNegative | None = None
    """Smallest value over reference."""
    within_percent: NotNegative | None = None
    """Largest deviation from the reference, in percent of it."""
    architecture: Annotated[tuple[Architecture, ...] | None, BeforeValidator(_listed)] = None
    """For which architectures; all of the matrix if not given."""
    stage: Annotated[tuple[Stage, ...] | None, BeforeValidator(_listed)] = None
    """For which stages; all of the matrix if not given."""
    than: Other | None = None
    """Reference: another pairing of the same comparison."""
    baseline: Text = ""
    """Reference: ./kpis.csv beside the scenario, as a comparison writes it."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        relative = (self.max_ratio, self.min_ratio, self.within_percent)
        if all(bound is None for bound in (self.max, self.min, *relative)):
            raise ValueError("has no bound: give max, min, max_ratio, min_ratio or within_percent")
        if self.than is not None and self.baseline:
            raise ValueError("has two references; give 'than' or 'baseline'")
        if self.than is None and not self.baseline and any(bound is not None for bound in relative):
            raise ValueError("a ratio needs a reference: give 'than' or 'baseline'")
        for low, high in ((self.min, self.max), (self.min_ratio, self.max_ratio)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"the smallest allowed, {low:g}, is above the largest, {high:g}")
        return self

    @property
    def words(self) -> str:
        """Return the bounds and the reference in a line."""
        given = [f"{name} {value:g}" for name, value in (
            ("max", self.max), ("min", self.min), ("max_ratio", self.max_ratio), ("min_ratio", self.min_ratio),
            ("within_percent", self.within_percent),
        ) if value is not None]  # fmt: skip
        if self.than is not None:
            named = (self.than.architecture, self.than.stage and f"stage {self.than.stage}")
            given.append(f"than {' '.join(str(n) for n in named if n)}")
        return " ".join([*given, f"than {self.baseline}"] if self.baseline else given)


Expectations = Annotated[tuple[Expectation, ...], BeforeValidator(_listed), Field(min_length=1)]
"""One expectation, or a list of them."""
