"""What ``-x key=a,b`` asks for, as keys and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from scenarios.document import scalar
from sims.core.errors import Problem, ScenarioError

MOST = 10_000
"""Longest range that is taken for meant."""
_RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")


def axes(entries: Sequence[str] | None) -> dict[str, list[Any]]:
    """Return key -> values, read as YAML; commas inside brackets do not part; ``1..10`` counts up.

    Raises
    ------
    ScenarioError
        An entry is no ``key=value``, a key stands twice, or a range runs backwards or is too long.
    """
    found: dict[str, list[Any]] = {}
    for entry in entries or ():
        key, sign, text = entry.partition("=")
        if not sign or not key.strip():
            raise _refused(entry, "write it as key=value, such as -x time.duration='2 h'")
        if key.strip() in found:
            raise _refused(entry, f"'{key.strip()}' stands here twice")
        found[key.strip()] = [value for part in _split(text) for value in _values(entry, part.strip())]
    return found


def _refused(entry: str, text: str) -> ScenarioError:
    return ScenarioError([Problem(f"-x {entry}", "", text)])


def _values(entry: str, text: str) -> list[Any]:
    match = _RANGE.fullmatch(text)
    if not match:
        return [scalar(text)]
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < MOST:
        raise _refused(entry, f"the range {text} is to count up, and over less than {MOST} numbers")
    return list(range(first, last + 1))


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += sign
    return parts


def pairing(text: str) -> tuple[str, int]:
    """Return the pairing that ``local,1`` or ``local-1`` means.

    Raises
    ------
    ScenarioError
        `text` has another form.
    """
    match = re.fullmatch(r"\s*([a-z]+)\s*[,-]\s*(\d)\s*", text)
    if not match:
        raise ScenarioError([Problem(f"--baseline {text}", "", "write it as architecture,stage, such as local,1")])
    return match[1], int(match[2])


def folder_name(label: str) -> str:
    """Return `label` as the name of a folder."""
    return "".join(sign if sign.isalnum() or sign in "=.,_-" else "_" for sign in label)
