"""From a reference to a controller class: ``./file.py:Class``, ``package.module:Class``, entry point."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import zlib
from pathlib import Path
from typing import Any

from controllers.contract import Controller, Site
from sims.core.errors import ControllerError, GridseamError, ScenarioError, nearest


def load_class(reference: str, beside: Path, what: str = "controller") -> Any:
    """Return the class that `reference` names.

    Parameters
    ----------
    reference : str
        ``./mine.py:Mine`` (a file, relative to `beside`), ``package.module:Class`` or the name of an
        entry point in the group ``gridseam.controllers``.
    beside : Path
        Folder of the scenario.
    what : str
        What it is called in messages.

    Raises
    ------
    ScenarioError
        The file, module or class does not exist or fails to load; names the nearest class there is.
    """
    said = f"{what} '{reference}'"
    if ":" not in reference:
        points = {p.name: p for p in importlib.metadata.entry_points(group="gridseam.controllers")}
        if reference not in points:
            known = nearest(reference, points) or " (write ./file.py:Class or package.module:Class)"
            raise ScenarioError(f"{said} is no entry point of gridseam.controllers{known}")
        return points[reference].load()
    place, _, name = reference.rpartition(":")
    module = _from_file(beside / place, said) if place.endswith(".py") else _from_package(place, said)
    if not hasattr(module, name):
        classes = [k for k, v in vars(module).items() if isinstance(v, type)]
        raise ScenarioError(f"{said}: there is no class '{name}'{nearest(name, classes)}")
    found = getattr(module, name)
    if not isinstance(found, type):
        raise ScenarioError(f"{said}: '{name}' is no class but a {type(found).__name__}")
    return found


def built(made: Any, site: Site) -> Controller:
    """Return the controller of the class `made` that sits at `site`.

    Raises
    ------
    ControllerError
        It cannot be built there, or is none.
    """
    name = getattr(made, "__name__", made)
    try:
        controller: Controller = made(site)
    except GridseamError:
        raise
    except (Exception, SystemExit) as err:
        raise ControllerError(site.name, 0, f"{name} cannot be built: {type(err).__name__}: {err}") from err
    urgent = getattr(controller, "urgent", None)
    if not isinstance(urgent, frozenset | set) or not all(isinstance(topic, str) for topic in urgent):
        raise ControllerError(
            site.name, 0, f"{name}.urgent is {urgent!r}; write urgent = frozenset() or name topics in it"
        )
    if not callable(getattr(controller, "decide", None)):
        raise ControllerError(site.name, 0, f"{name} has no method decide(now_s, inbox)")
    return controller


def _from_file(path: Path, said: str) -> Any:
    if not path.is_file():
        raise ScenarioError(f"{said}: there is no file {path.name} beside the scenario")
    key = f"gridseam_user_{zlib.crc32(str(path.resolve()).encode()):08x}_{path.stem}"
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise ScenarioError(f"{said}: {path.name} cannot be read as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except Exception as err:
        del sys.modules[key]
        raise ScenarioError(f"{said} fails to load: {type(err).__name__}: {err}") from err
    return module


def _from_package(place: str, said: str) -> Any:
    try:
        return importlib.import_module(place)
    except Exception as err:
        raise ScenarioError(f"{said} fails to load: {type(err).__name__}: {err}") from err
