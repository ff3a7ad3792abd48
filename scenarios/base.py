"""What every part of a scenario has in common: frozen, unknown keys refused, numbers that are numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Part(BaseModel):
    """A part of a scenario. Keys in the file have no unit for times, because the value states it (``60 s``);
    the attributes are integer milliseconds and say so (``step_ms``).
    """  # noqa: D205

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, protected_namespaces=(),
        defer_build=True,
    )  # fmt: skip


Real = Annotated[float, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Percent = Annotated[float, Field(strict=True, ge=0, le=100)]
Count = Annotated[int, Field(strict=True, ge=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
"""A letter, then letters, digits, ``_`` and ``-``; at most 64."""
Text = Annotated[str, StringConstraints(max_length=10_000)]
Series = Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], Field(min_length=1)]
"""Names of profile series, at least one."""
