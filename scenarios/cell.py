"""What makes two cells of a sweep the same: the settings, the files they name, and the version that ran them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenarios.schema import Scenario

_NO_MATTER = ("pairing", "matrix", "expect", "title", "description")
"""Parts of a scenario that change nothing in a run of a given pairing."""
_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES, _SOURCES = ("sims", "controllers", "scenarios", "results"), (".py", ".json", ".csv")


@cache
def git_state() -> str:
    """Return the commit that gridseam runs from, ``-dirty`` where files differ from it; empty outside a checkout."""
    if not (_ROOT / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


@cache
def source_digest(root: Path = _ROOT) -> str:
    """Return the SHA-256 of gridseam's own code and data, which `git_state` tells only if they are committed."""
    into = hashlib.sha256()
    for package in _PACKAGES:
        for folder, inner, names in os.walk(root / package):
            inner[:] = sorted(d for d in inner if d not in ("__pycache__", "runs"))
            for name in sorted(n for n in names if n.endswith(_SOURCES)):
                path = Path(folder, name)
                into.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return into.hexdigest()


def cell_digest(scenario: Scenario, architecture: str, stage: int) -> str:
    """Return what identifies one cell of a sweep, SHA-256 as hexadecimal text.

    It covers every setting that bears on the run, the content of the files the scenario names, the pairing,
    and gridseam's own code: where it is equal, the run need not be done again.
    """
    data = {key: value for key, value in scenario.as_data().items() if key not in _NO_MATTER}
    into = hashlib.sha256()
    into.update(json.dumps([data, architecture, stage, version("gridseam"), source_digest()], sort_keys=True).encode())
    for name in sorted(set(_files(data))):
        path = scenario.folder / name
        if path.is_file():
            into.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return into.hexdigest()


def _files(data: Any) -> Iterator[str]:
    """Yield the texts that name a file beside the scenario, without the class or function in it."""
    if isinstance(data, str):
        if data.startswith(("./", "../", "/")):
            yield data.partition(":")[0]
    else:
        for part in data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else ():
            yield from _files(part)


def finished(scenario: Scenario, architecture: str, stage: int, path: Path) -> bool:
    """Tell whether `path` is the complete run of just this cell."""
    from results.runfile import Run, RunError

    if not path.is_file():
        return False
    try:
        with Run(path) as run:
            known = run.attrs.get("cell", "")
            return run.status == "complete" and known == cell_digest(scenario, architecture, stage)
    except RunError:
        return False
