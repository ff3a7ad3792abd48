"""What every part of a scenario has in common: frozen, unknown keys refused, numbers that are numbers."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return the text below each attribute, by the name of its class."""
    body = ast.parse(inspect.getsource(sys.modules[module])).body
    return {part.name: dict(_described(part.body)) for part in body if isinstance(part, ast.ClassDef)}


def _described(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                yield field.target.id, inspect.cleandoc(text)


class Part(BaseModel):
    """A part of a scenario. Keys in the file have no unit for times, because the value states it (``60 s``);
    the attributes are integer milliseconds and say so (``step_ms``). The text below an attribute becomes its
    description in the JSON schema, read when that is asked for: pydantic would read it out of the source at each start.
    """  # noqa: D205

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=(),
        defer_build=True,
    )  # fmt: skip

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> dict[str, Any]:
        """Describe each key by the text below its attribute."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for part in cls.__mro__[: cls.__mro__.index(Part)]:
            for name, text in _docstrings(part.__module__).get(part.__name__, {}).items():
                properties[cls.model_fields[name].alias or name].setdefault("description", text)
        return schema


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
