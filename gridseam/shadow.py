"""Notice when a user's own file or folder hides one of ours, before it causes something puzzling."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

OURS = ("sims", "controllers", "scenarios", "results")
ROOT = Path(__file__).resolve().parent.parent


def check(root: Path = ROOT) -> None:
    """Make sure that `OURS` are found below `root`.

    A plain folder of the same name that holds no Python (such as `results/` with output in it) does no
    harm: our package is put before it.

    Raises
    ------
    ImportError
        A file, package or folder with Python code hides one of ours; names it and the remedy.
    """
    for name in OURS:
        spec = _spec(name)
        place = _place(spec) if spec else None
        if place is None or place == root / name:
            continue
        if spec is not None and spec.origin is None and not any(place.glob("*.py")):
            _bind(name, root)
            continue
        kind = "folder" if place.is_dir() else "file"
        raise ImportError(
            f"{place} hides gridseam's own package '{name}': rename that {kind}, or start Python from another "
            f"folder (gridseam uses the names {', '.join(OURS)})"
        )


def _spec(name: str) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded.__spec__
    return importlib.util.find_spec(name)


def _place(spec: ModuleSpec) -> Path | None:
    """Return the file or package folder that `spec` stands for; of several folders, the first."""
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None


def _bind(name: str, root: Path) -> None:
    spec = PathFinder.find_spec(name, [str(root)])
    if spec is None or spec.loader is None:
        raise ImportError(f"gridseam's own package '{name}' is missing below {root}; install gridseam again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
