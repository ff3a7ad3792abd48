"""A YAML 1.2 file as plain data, with the line of every key and entry; hostile files are refused early."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sims.core.errors import Problem, ScenarioError

Path_ = tuple[str | int, ...]
"""Keys and positions that lead to a part of a document."""
MAX_BYTES = 5_000_000
MAX_DEPTH = 30
MAX_NODES = 20_000
MAX_DIGITS = 400
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


@dataclass
class Document:
    """Plain data and where it stands.

    Parameters
    ----------
    data : dict
        Mappings, lists, strings, numbers, booleans and None.
    places : mapping of path to str
        ``("time", "step")`` -> ``winter.yaml:7``.
    problems : list of Problem
        Doubled keys, keys that are no text, unknown tags.
    """

    data: Any
    places: dict[Path_, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(path: Path) -> Document:
    """Read the YAML file at `path`.

    Raises
    ------
    ScenarioError
        The file cannot be read or is no YAML; too large, too deep or too many values.
    """
    try:
        if path.is_dir():
            raise _refused(path.name, "is a folder, not a scenario file")
        if path.exists() and not path.is_file():
            raise _refused(path.name, "is no regular file; save the scenario as a file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _refused(path.name, f"has {size / 1e6:.0f} MB; a scenario has at most {MAX_BYTES / 1e6:.0f} MB")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _refused(str(path), "there is no such file") from None
    except (OSError, ValueError) as err:
        raise _refused(path.name, f"cannot be read: {getattr(err, 'strerror', None) or err}") from err
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise _refused(f"{path.name}:{line}", "is not UTF-8; save the file as UTF-8") from None
    return deepcopy(_kept(text, path.name))


@lru_cache(maxsize=64)
def _kept(text: str, name: str) -> Document:
    """Return what `parse` does; a file is read again for each of its variants, and parsed once."""
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """Return the document in `text`; `name` stands for the file in messages.

    Raises
    ------
    ScenarioError
        `text` is no YAML, is empty, or is made to exhaust the reader.
    """
    try:
        _scan(text, name)
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise _refused(where, f"is not YAML: {err.problem or err.context}") from None
    except YAMLError as err:
        raise _refused(name, f"is not YAML: {str(err).splitlines()[0]}") from None
    except (RecursionError, ValueError) as err:
        raise _refused(name, f"is not YAML that can be read: {type(err).__name__}") from None
    if root is None:
        raise _refused(name, "is empty; `gridseam list` names scenarios to start from")
    builder = _Builder(name)
    return Document(builder.build(root, (), 0), builder.places, builder.problems)


def scalar(text: str) -> Any:
    """Return what one value on a command line means, read as YAML; text that is no YAML stands for itself."""
    try:
        return parse(text, "value").data if text.strip() else ""
    except ScenarioError:
        return text


def _refused(where: str, text: str) -> ScenarioError:
    return ScenarioError([Problem(where, "", text)])


def _scan(text: str, name: str) -> None:
    """Walk the events, which needs no recursion, and stop before anything is built of a hostile file."""
    depth = 0
    for count, event in enumerate(YAML(typ="safe", pure=True).parse(text), start=1):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _refused(f"{name}:{event.start_mark.line + 1}", f"is nested deeper than {MAX_DEPTH} levels")
        if count > MAX_NODES:
            raise _refused(f"{name}:{event.start_mark.line + 1}", f"has more than {MAX_NODES} values")
        if isinstance(event, AliasEvent) and event.anchor is None:
            raise _refused(f"{name}:{event.start_mark.line + 1}", "has an alias without a name")


class _Builder:
    """Turns nodes into data; counts what aliases unfold to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Path_, str] = {}
        self.problems: list[Problem] = []
        self._count = 0

    def build(self, node: Node, path: Path_, depth: int) -> Any:
        self._count += 1
        where = f"{self.name}:{node.start_mark.line + 1}"
        if depth > MAX_DEPTH or self._count > MAX_NODES:
            raise _refused(where, "aliases unfold without end or to too many values; write the values out")
        self.places.setdefault(path, where)
        if not isinstance(node, ScalarNode) and str(node.tag) not in (f"{_TAG}map", f"{_TAG}seq"):
            self.problems.append(Problem(where, dotted(path), f"has the tag '{node.tag}'; write plain values"))
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node, path, where)

    def _mapping(self, node: MappingNode, path: Path_, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            where = f"{self.name}:{key_node.start_mark.line + 1}"
            if str(key_node.tag) == f"{_TAG}merge":
                merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                continue
            if not isinstance(key_node, ScalarNode):
                self.problems.append(Problem(where, dotted(path), "a key must be a word, not a list or mapping"))
                continue
            key = str(key_node.value)
            if key in out:
                before = self.places[(*path, key)].rpartition(":")[2]
                text = f"stands here twice, first in line {before}; remove one"
                self.problems.append(Problem(where, dotted((*path, key)), text))
                continue
            self.places[(*path, key)] = where
            out[key] = self.build(value_node, (*path, key), depth + 1)
        for source in merged:
            given = self.build(source, (*path, "<<"), depth + 1)
            for key, value in given.items() if isinstance(given, dict) else ():
                if key not in out:
                    out[key] = value
                    self._copy_places((*path, "<<", key), (*path, key))
        return out

    def _copy_places(self, source: Path_, target: Path_) -> None:
        size = len(source)
        for path in [p for p in self.places if p[:size] == source]:
            self.places.setdefault((*target, *path[size:]), self.places[path])

    def _scalar(self, node: Node, path: Path_, where: str) -> Any:
        tag, value = str(node.tag).removeprefix(_TAG), str(node.value)
        if tag in ("str", "timestamp"):
            return value
        if tag == "null":
            return None
        if tag == "bool":
            return value.lower() == "true"
        number = value.replace("_", "") if "_" in value.strip("_") else value
        if len(number) > MAX_DIGITS:
            self.problems.append(Problem(where, dotted(path), f"is a number of {len(number)} digits"))
            return 0
        if tag == "int":
            if _INT.fullmatch(number):
                return int(number)
            base = {"0o": 8, "0x": 16, "0b": 2}.get(number.lstrip("+-")[:2].lower())
            return int(number, base) if base else value
        if tag == "float":
            if _FLOAT.fullmatch(number):
                return float(number)
            if (word := value.lower().lstrip("+-")) in (".inf", ".nan"):
                return float(("-" if value.startswith("-") else "") + word[1:])
            return value
        self.problems.append(Problem(where, dotted(path), f"has the tag '{node.tag}'; write plain values"))
        return None


def dotted(path: Sequence[str | int]) -> str:
    """Return ``dsos.0.cell`` for a path."""
    return ".".join(str(part) for part in path)


def merge(base: Document, change: Mapping[str, Any], at: Path_, places: Mapping[Path_, str]) -> None:
    """Merge `change` into the document in place: mappings by key, everything else replaced.

    `at` is where the change stands in `places`, so that messages name its own lines.
    """
    _merge(base.data, change, base.places, places, at, ())


def _merge(
    into: dict[str, Any], change: Mapping[str, Any], places: dict[Path_, str], origin: Mapping[Path_, str],
    at: Path_, path: Path_,
) -> None:
    for key, value in change.items():
        here, there = (*path, key), (*at, key)
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value, places, origin, there, here)
            continue
        into[key] = _copy(value)
        for old in [p for p in places if p[: len(here)] == here]:
            del places[old]
        for new in [p for p in origin if p[: len(there)] == there]:
            places[(*here, *new[len(there) :])] = origin[new]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value
