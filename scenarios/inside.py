"""Which files a scenario may name: regular ones in its own folder, not too large to be what they are meant for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scenarios.schema_disturbances import OwnAttack

if TYPE_CHECKING:
    from scenarios.schema import Scenario

MAX_BYTES = 1_000_000_000
"""Largest file that a scenario may name; a year of minutes for a hundred series is half of it."""
_BESIDE = ("./", "../", "/", "~")
_REMEDY = "put the file beside the scenario and write ./name"


def fault(name: str, folder: Path) -> str:
    """Return why `name` is no file that a scenario in `folder` may read, empty where it is or is not there yet.

    Links are followed: what counts is where the file lies.
    """
    try:
        path = folder / name
        if Path(name).is_absolute() or name.startswith("~"):
            return f"'{_short(name)}' is an absolute path: {_REMEDY}"
        if not path.resolve().is_relative_to(folder.resolve()):
            return f"'{_short(name)}' leads out of the scenario's folder: {_REMEDY}"
        if path.exists() and not path.is_file():
            return f"'{_short(name)}' is no regular file"
        if path.is_file() and (size := path.stat().st_size) > MAX_BYTES:
            return f"'{_short(name)}' has {size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read"
    except (OSError, ValueError, RuntimeError) as err:
        return f"'{_short(name)}' is no file name ({getattr(err, 'strerror', None) or err}): {_REMEDY}"
    return ""


def escapes(s: Scenario) -> list[tuple[tuple[str | int, ...], str]]:
    """Return each field of `s` that names a file it may not read, with what is wrong."""
    return [(place, text) for place, name in _named(s) if (text := fault(name, s.folder))]


def _named(s: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every file that a scenario names, whether it is there or not."""
    for place, name in (
        (("profiles",), s.profiles), (("transmission", "grid"), s.transmission.grid), (("der", "rules"), s.der.rules),
    ):  # fmt: skip
        if name.startswith(_BESIDE):
            yield place, name
    if s.weather is not None:
        yield ("weather", "file"), s.weather.file
    if s.der.ev.sessions is not None:
        yield ("der", "ev", "sessions"), s.der.ev.sessions
    for d, dso in enumerate(s.dsos):
        for i, interface in enumerate(dso.interfaces):
            for g, entry in enumerate(interface.grids):
                if entry.grid.startswith(_BESIDE):
                    yield ("dsos", d, "interfaces", i, "grids", g, "grid"), entry.grid
    for index, own in enumerate(s.controllers):
        file = own.use.rpartition(":")[0]
        if file.endswith(".py"):
            yield ("controllers", index, "use"), file
    for index, event in enumerate(s.disturbances):
        if isinstance(event, OwnAttack) and (file := event.use.rpartition(":")[0]).endswith(".py"):
            yield ("disturbances", index, "use"), file
    for kpi, expected in s.expect.items():
        if ":" in kpi:
            yield ("expect", kpi), kpi.rpartition(":")[0]
        for number, one in enumerate(expected):
            if one.baseline:
                yield ("expect", kpi, number, "baseline"), one.baseline


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."
