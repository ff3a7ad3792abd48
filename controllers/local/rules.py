"""Connection rules as data: which numbers the laws inside devices carry, read from TOML and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from controllers.local.ruleform import fault
from sims.core.errors import Problem, ScenarioError, nearest

FOLDER = Path(__file__).parent / "standards"
LAWS = ("cap", "cosphi", "qu", "pu", "pf_4105", "pf_4110", "pf_storage", "fcr", "fcr_v2g", "trips")
"""Laws that rules may set; one that they leave out is not carried by any device."""


@dataclass(frozen=True)
class Rules:
    """One set of connection rules.

    Parameters
    ----------
    name, title : str
    f0_hz : float
        Nominal frequency that the numbers are meant for.
    laws : mapping of str to mapping
        Law -> its numbers, `form` among them.
    """

    name: str
    title: str
    f0_hz: float
    laws: Mapping[str, Mapping[str, Any]]


def names() -> tuple[str, ...]:
    """Return the names of the rules that come along."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.toml")))


def read(name: str, folder: Path | None = None) -> Rules:
    """Return the rules called `name`, or those in ``./file.toml`` in `folder`.

    Raises
    ------
    ScenarioError
        No such rules, or numbers that cannot be: every one with file, line and field.
    """
    if name.startswith(("./", "../", "/")):
        return _read((folder or Path()) / name)
    if name not in names():
        raise ScenarioError(f"no connection rules '{name}'{nearest(name, names())}; known are {', '.join(names())}")
    return _read(FOLDER / f"{name}.toml")


@lru_cache(maxsize=16)
def _read(path: Path) -> Rules:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as err:
        raise ScenarioError([Problem(path.name, "", f"cannot be read: {err}")]) from err
    except tomllib.TOMLDecodeError as err:
        line = re.search(r"line (\d+)", str(err))
        where = f"{path.name}:{line[1]}" if line else path.name
        raise ScenarioError([Problem(where, "", f"is not TOML: {err}")]) from None
    problems: list[Problem] = []
    laws: dict[str, Mapping[str, Any]] = {}
    for key, value in data.items():
        if key in ("title", "f0_hz"):
            continue
        if key not in LAWS or not isinstance(value, dict):
            problems.append(Problem(_where(path, text, key, ""), key, f"is no law{nearest(key, LAWS)}"))
            continue
        found = fault(value)
        problems += [Problem(_where(path, text, key, field), f"{key}.{field}", what) for field, what in found]
        laws[key] = value
    f0_hz = data.get("f0_hz", 50.0)
    if not isinstance(f0_hz, (int, float)) or not 10 <= f0_hz <= 400:
        problems.append(Problem(_where(path, text, "", "f0_hz"), "f0_hz", "is no nominal frequency [Hz]"))
    if problems:
        raise ScenarioError(problems)
    return Rules(path.stem, str(data.get("title", path.stem)), float(f0_hz), laws)


def _where(path: Path, text: str, table: str, field: str) -> str:
    """Return ``file:line`` of a field, of its table where the field is missing."""
    here, start = not table, 1
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*\[\s*{re.escape(table)}\s*\]", line):
            here, start = True, number
        elif line.lstrip().startswith("["):
            here = False
        elif here and re.match(rf"\s*{re.escape(field)}\s*=", line):
            return f"{path.name}:{number}"
    return f"{path.name}:{start}"
