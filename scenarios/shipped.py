"""What the package brings along and a scenario names: transmission tables, profile weeks, scenarios."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

HERE = Path(__file__).parent
LIBRARY = HERE / "library"
_TRANSMISSION = HERE / "data" / "transmission"
_PROFILES = HERE / "data" / "profiles"


def transmission_names() -> tuple[str, ...]:
    """Return the names of the shipped transmission tables."""
    return tuple(sorted(p.stem for p in _TRANSMISSION.glob("*.json")))


def profile_names() -> tuple[str, ...]:
    """Return the names of the shipped weeks: files are called ``<name>_<first day>.csv``."""
    return tuple(sorted(p.stem.split("_", 1)[0] for p in _PROFILES.glob("*.csv")))


def library_names() -> tuple[str, ...]:
    """Return the names of the shipped scenarios."""
    return tuple(sorted(p.stem for p in LIBRARY.glob("*.yaml")))


def _beside(name: str, folder: Path | None) -> Path | None:
    if not name.startswith(("./", "../", "/")):
        return None
    return (folder or Path()) / name


def transmission_path(name: str, folder: Path | None = None) -> Path:
    """Return the file of a transmission table; a name that starts with ``./`` lies in `folder`."""
    return _beside(name, folder) or _TRANSMISSION / f"{name}.json"


def profile_path(name: str, folder: Path | None = None) -> Path:
    """Return the file of a week of profiles; a name that starts with ``./`` lies in `folder`."""
    beside = _beside(name, folder)
    if beside is not None:
        return beside
    found = sorted(_PROFILES.glob(f"{name}_*.csv"))
    return found[0] if found else _PROFILES / f"{name}.csv"


@dataclass(frozen=True)
class TransmissionOutline:
    """As much of a transmission table as a scenario refers to.

    Parameters
    ----------
    cell_of_bus : mapping of int to int
        Bus number -> cell number.
    generators : tuple of str
        Their names.
    branches : frozenset of frozenset of int
        Pairs of buses that a branch joins.
    """

    cell_of_bus: Mapping[int, int]
    generators: tuple[str, ...]
    branches: frozenset[frozenset[int]]


def transmission_outline(path: Path) -> TransmissionOutline:
    """Return buses, cells and generators of the table at `path`.

    Raises
    ------
    ValueError
        The file is no transmission table.
    """
    try:
        return _transmission_outline(path.resolve(), path.stat().st_mtime_ns)
    except OSError as err:
        raise ValueError(f"{path.name} cannot be read: {err.strerror}") from err


@lru_cache(maxsize=16)
def _transmission_outline(path: Path, changed_ns: int) -> TransmissionOutline:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        cells = {int(bus["id"]): int(bus["cell"]) for bus in table["bus"]}
        names = tuple(str(machine["name"]) for machine in table["machine"])
        pairs = frozenset(frozenset({int(row["from"]), int(row["to"])}) for row in table["branch"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise ValueError(f"{path.name} is no transmission table ({type(err).__name__}: {err})") from err
    return TransmissionOutline(MappingProxyType(cells), names, pairs)


@dataclass(frozen=True)
class ProfileOutline:
    """The series of a profile file and the time they cover; `first` and `end` are None if it states no offset."""

    series: frozenset[str]
    first: dt.datetime | None
    end: dt.datetime | None


def profile_outline(path: Path) -> ProfileOutline:
    """Return the names (without ``_p`` and ``_q``) and the span of the profiles at `path`.

    Raises
    ------
    ValueError
        The file is no table of profiles.
    """
    try:
        return _profile_outline(path.resolve(), path.stat().st_mtime_ns)
    except OSError as err:
        raise ValueError(f"{path.name} cannot be read: {err.strerror}") from err


@lru_cache(maxsize=16)
def _profile_outline(path: Path, changed_ns: int) -> ProfileOutline:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines)
            header = next(rows, [])
            stamps = [row[0] for row in rows if row]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ValueError(f"{path.name} is no table of profiles ({type(err).__name__}: {err})") from err
    if len(header) < 2 or len(stamps) < 2:
        raise ValueError(f"{path.name} is no table of profiles: it needs a time column, series and two rows")
    series = frozenset(name.removesuffix("_p").removesuffix("_q") for name in header[1:])
    try:
        first, second, last = (dt.datetime.fromisoformat(s) for s in (stamps[0], stamps[1], stamps[-1]))
    except ValueError:
        return ProfileOutline(series, None, None)
    if first.tzinfo is None or last.tzinfo is None or second.tzinfo is None:
        return ProfileOutline(series, None, None)
    return ProfileOutline(series, first, last + (second - first))

