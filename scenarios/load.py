"""From a YAML file to a checked scenario: every fault found is reported, with file and line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from scenarios import document, shipped
from scenarios.document import Document, Path_, dotted
from scenarios.faults import keys_of, problems
from scenarios.inside import fault as outside
from scenarios.schema import Scenario
from sims.core.errors import Problem, ScenarioError, nearest

SHORT = {"architecture": "pairing.architecture", "stage": "pairing.stage"}
"""Short keys of overrides."""
EXTENDS = "extends"
"""Key of a scenario that changes another: a shipped name, or ./file.yaml beside it."""
_OF_ITS_OWN = ("name", "title", "description", "expect", "variants")


def find(name: str | Path) -> Path:
    """Return the file that `name` means: a path, or the name of a shipped scenario.

    Raises
    ------
    ScenarioError
        There is no such file or scenario; names the nearest.
    """
    path = Path(name)
    with suppress(OSError, ValueError):  # no name that a file can have
        if path.exists():
            return path
    if path.parent == Path():
        shelf = shipped.LIBRARY / f"{path.name.removesuffix('.yaml')}.yaml"
        if shelf.stem in shipped.library_names():
            return shelf
    names = shipped.library_names()
    hint = nearest(path.name.removesuffix(".yaml"), names) or f"; shipped are {', '.join(names)}"
    raise ScenarioError([Problem(str(name), "", f"there is no such file{hint}")])


def load(
    path: str | Path, variant: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Scenario:
    """Return the checked scenario at `path`.

    Parameters
    ----------
    path : str or Path
        A YAML file, or the name of a shipped scenario (``three_cells``).
    variant : str, optional
        One of the file's variants, merged over it.
    overrides : mapping of str to object
        Dotted key -> value, applied last: ``{"time.duration": "2 h", "dsos.dso_1.cell": 2}``. Entries of
        lists are named by position (from 0) or by their `name`. ``architecture`` and ``stage`` are short for
        those of `pairing`.

    Raises
    ------
    ScenarioError
        Every problem of the file at once, each with its line.
    """
    file = find(path)
    return build(_whole(file), file.parent, variant, overrides or {})


def _whole(file: Path, seen: tuple[Path, ...] = ()) -> Document:
    """Return the document in `file`, merged over the one that it extends.

    From the one below come neither title, description, expectations nor variants: they are about that scenario.
    """
    doc = document.read(file)
    if not isinstance(doc.data, dict) or EXTENDS not in doc.data:
        return doc
    where, named = doc.places.get((EXTENDS,), file.name), doc.data.pop(EXTENDS)
    if not isinstance(named, str):
        raise ScenarioError([Problem(where, EXTENDS, "names a shipped scenario or a ./file.yaml")])
    if named.startswith((".", "/", "~")) and (text := outside(named, file.parent)):
        raise ScenarioError([Problem(where, EXTENDS, text)])
    try:
        below = find(file.parent / named if named.startswith(("./", "../")) else named)
    except ScenarioError as err:
        raise ScenarioError([Problem(where, EXTENDS, f"'{named}': {err.problems[0].text}")]) from None
    if below.resolve() in (file.resolve(), *seen):
        raise ScenarioError([Problem(where, EXTENDS, f"'{named}' extends this scenario itself")])
    base = _whole(below, (*seen, file.resolve()))
    if not isinstance(base.data, dict):
        return base
    for key in _OF_ITS_OWN:
        base.data.pop(key, None)
        for old in [p for p in base.places if p[:1] == (key,)]:
            del base.places[old]
    base.places[()] = doc.places.get((), file.name)
    document.merge(base, doc.data, (), doc.places)
    base.problems.extend(doc.problems)
    return base


def variants(path: str | Path) -> tuple[str, ...]:
    """Return the names of the variants in the file at `path`."""
    doc = _whole(find(path))
    named = doc.data.get("variants") if isinstance(doc.data, dict) else None
    return tuple(named) if isinstance(named, dict) else ()


def changed(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """Return `scenario` with `overrides` applied and checked, as in `load`; itself where there are none."""
    if not overrides:
        return scenario
    doc = Document(scenario.as_data(), {(): f"scenario {scenario.name}"})
    return build(doc, scenario.folder, None, overrides, named=scenario.variant)


def build(
    doc: Document, folder: Path, variant: str | None, overrides: Mapping[str, Any], *, named: str = ""
) -> Scenario:
    """Return the scenario in `doc`; see `load`. `named` is the variant it already is."""
    found = list(doc.problems)
    if not isinstance(doc.data, dict):
        where = doc.places.get((), "scenario")
        raise ScenarioError([Problem(where, "", "a scenario is a mapping of keys such as name, time and dsos")])
    if variant is not None:
        found += _apply_variant(doc, variant)
    for key, value in overrides.items():
        found += _override(doc, key, value)
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(doc.data, context={"folder": folder, "variant": variant or named})
    except ValidationError as err:
        doubled = {(p.where, p.field) for p in found}
        found += [
            p for p in problems(err, Scenario, doc.data, doc.places) if (p.where, p.field) not in doubled
        ]
    if found or scenario is None:
        raise ScenarioError(found)
    return scenario


def _apply_variant(doc: Document, variant: str) -> list[Problem]:
    named = doc.data.get("variants")
    known = list(named) if isinstance(named, dict) else []
    if variant not in known:
        where = doc.places.get(("variants",), doc.places.get((), "scenario"))
        text = f"there is no variant '{variant}'; there are {', '.join(known)}" if known else (
            f"there is no variant '{variant}': the scenario has none"
        )
        return [Problem(where, "variants", f"{text}{nearest(variant, known)}")]
    at: Path_ = ("variants", variant)
    change = named[variant]
    if not isinstance(change, dict):
        return [Problem(doc.places[at], dotted(at), "a variant is a mapping of the keys it changes")]
    if "variants" in change:
        return [Problem(doc.places[(*at, "variants")], dotted((*at, "variants")), "a variant has no variants")]
    document.merge(doc, change, at, dict(doc.places))
    return []


def _override(doc: Document, key: str, value: Any) -> list[Problem]:
    """Set one dotted key in place; returns what is wrong with the key."""
    shown = f"-x {key}={value}"
    path = _resolve(doc.data, SHORT.get(key, key))
    if isinstance(path, str):
        return [Problem(shown, "", path)]
    here = doc.data
    for part in path[:-1]:
        here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
    if not isinstance(here, dict | list):
        return [Problem(shown, "", f"{dotted(path[:-1])} is a single value; it has no '{path[-1]}'")]
    here[path[-1]] = value  # type: ignore[index]
    for old in [p for p in doc.places if p[: len(path)] == path]:
        del doc.places[old]
    doc.places[path] = shown
    return []


def _resolve(data: Any, key: str) -> Path_ | str:
    """Return the path that a dotted key names, or what is wrong with it."""
    parts = key.split(".")
    if not all(parts):
        return f"'{key}' is not a dotted key such as time.duration"
    path: list[str | int] = []
    for position, part in enumerate(parts):
        if isinstance(data, list):
            index = _entry(data, part)
            if index is None:
                names = [e["name"] for e in data if isinstance(e, dict) and "name" in e]
                known = ", ".join(map(str, names)) or f"0 to {len(data) - 1}"
                return f"{dotted(path)} has no entry '{part}'; it has {known}{nearest(part, names)}"
            path.append(index)
            data = data[index]
            continue
        if data is not None and not isinstance(data, dict):
            return f"{dotted(path)} is a single value; it has no '{part}'"
        known_keys = keys_of(Scenario, tuple(path))
        if known_keys and part not in known_keys:
            return f"'{part}' is not known in {dotted(path) or 'a scenario'}{nearest(part, known_keys)}"
        path.append(part)
        data = data.get(part) if isinstance(data, dict) else None
        if data is None and position + 1 < len(parts) and not keys_of(Scenario, tuple(path)):
            return f"'{dotted(path)}' has no '{parts[position + 1]}'"
    return tuple(path)


def _entry(data: list[Any], part: str) -> int | None:
    for index, entry in enumerate(data):
        if isinstance(entry, dict) and entry.get("name") == part:
            return index
    return int(part) if part.isdigit() and int(part) < len(data) else None
