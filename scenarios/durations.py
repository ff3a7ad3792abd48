"""Durations and times of day as people write them, as integer milliseconds in the program."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sims.core.clock import MS_PER_H, MS_PER_MIN, MS_PER_S

_UNITS = {"ms": 1, "s": MS_PER_S, "min": MS_PER_MIN, "h": MS_PER_H, "d": 24 * MS_PER_H}
_LONGEST_MS = 366 * _UNITS["d"]
_PART = r"\d{1,12}(?:\.\d{1,6})?\s*(?:ms|s|min|h|d)"
_WHOLE = re.compile(rf"{_PART}(?:\s*{_PART})*")
_SPLIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_CLOCK = re.compile(r"(?:(\d{1,3})\s*d\s+)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?")
_HINT = "write a number and its unit, such as 100 ms, 60 s, 15 min, 24 h or 7 d"


def parse_duration(value: Any) -> int:
    """Return the milliseconds of ``60 s``, ``15 min``, ``1 h 30 min``, ``7 d``.

    Raises
    ------
    ValueError
        No unit, an unknown one, a fraction of a millisecond, or more than 366 days.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"is not a duration: {_HINT}")
    if not isinstance(value, str):
        raise ValueError(f"{value} has no unit: {_HINT}")
    text = value.strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"'{value[:40]}' is not a duration: {_HINT}")
    total = sum((Decimal(n) * _UNITS[u] for n, u in _SPLIT.findall(text)), Decimal(0))
    if total != int(total):
        raise ValueError(f"'{value}' is finer than one millisecond")
    if total > _LONGEST_MS:
        raise ValueError(f"'{value}' is longer than 366 d")
    return int(total)


def format_duration(t_ms: int) -> str:
    """Return `t_ms` [ms] in the largest unit that states it as a whole number."""
    for unit, size in reversed(_UNITS.items()):
        if t_ms % size == 0 and (t_ms or unit == "s"):
            return f"{t_ms // size} {unit}"
    raise AssertionError("every whole number is a multiple of 1 ms")


def _positive(value: Any) -> int:
    t_ms = parse_duration(value)
    if t_ms <= 0:
        raise ValueError("must be longer than 0 s")
    return t_ms


_FORM = WithJsonSchema({"type": "string", "pattern": f"^{_WHOLE.pattern}$", "examples": ["60 s", "15 min", "24 h"]})
_TEXT = PlainSerializer(format_duration, return_type=str, when_used="json")

Duration = Annotated[int, BeforeValidator(_positive), _TEXT, _FORM]
"""A span of time longer than nothing [ms]."""

Delay = Annotated[int, BeforeValidator(parse_duration), _TEXT, _FORM]
"""A span of time that may be nothing [ms]."""


@dataclass(frozen=True)
class Moment:
    """An instant of a run: a time of day on the run's first calendar day or `day` days later.

    Written ``15:00``, ``15:00:30`` or ``1d 06:00``; a duration such as ``90 min`` counts from the start.

    Parameters
    ----------
    text : str
        As written.
    clock_ms : int
        Since midnight of the first day, or since the start if `relative` [ms].
    """

    text: str
    clock_ms: int
    relative: bool = False

    @classmethod
    def parse(cls, value: Any) -> Moment:
        """Return the moment that `value` states.

        Raises
        ------
        ValueError
            Neither a time of day nor a duration with a unit.
        """
        hint = "write a time of day such as \"15:00\" or \"1d 06:00\", or a time since the start such as 90 min"
        if isinstance(value, Moment):
            return value
        if not isinstance(value, str):
            raise ValueError(f"{value} is not a time: {hint}")
        found = _CLOCK.fullmatch(value.strip())
        if found is None:
            try:
                return cls(value.strip(), parse_duration(value), relative=True)
            except ValueError:
                raise ValueError(f"'{value[:40]}' is not a time: {hint}") from None
        day, hour, minute, second = (int(part or 0) for part in found.groups()[:4])
        thousandths = int((found[5] or "").ljust(3, "0"))
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError(f"'{value}' is no time of day: hours go to 23, minutes and seconds to 59")
        clock_ms = day * _UNITS["d"] + hour * MS_PER_H + minute * MS_PER_MIN + second * MS_PER_S + thousandths
        return cls(value.strip(), clock_ms)

    def since(self, start: dt.datetime) -> int:
        """Return the time after `start` [ms], negative where it lies before; `start`'s offset from UTC holds on."""
        if self.relative:
            return self.clock_ms
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return self.clock_ms - round((start - midnight).total_seconds() * MS_PER_S)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema(when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "examples": ["15:00", "1d 06:00", "90 min"]}


def _start(value: Any) -> Any:
    hint = 'write it as "2016-07-20T00:00:00+02:00"'
    if isinstance(value, dt.datetime):
        found = value
    elif isinstance(value, str):
        try:
            found = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"'{value[:40]}' is no date and time: {hint}") from None
    else:
        raise ValueError(f"{value} is no date and time: {hint}")
    if found.tzinfo is None:
        raise ValueError(f"'{value}' has no offset from UTC: {hint}")
    return found


Instant = Annotated[dt.datetime, BeforeValidator(_start), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A date and time with its offset from UTC."""
