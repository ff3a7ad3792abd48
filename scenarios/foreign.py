"""What a pandapower JSON names besides numbers, read before pandapower is: a net may bring data, no code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

MAX_BYTES = 200_000_000
ALLOWED = re.compile(
    r"pandapower\.auxiliary|pandapower\.(control|characteristics|protection)\.[a-z_.]*|pandapower\.control"
    r"|pandas(\.core\.(frame|series|indexes\.[a-z]+))?|numpy|networkx(\.classes\.[a-z]+)?"
    r"|geopandas\.geodataframe|shapely(\.geometry(\.[a-z]+)?)?"
)
"""Modules of the things that pandapower writes into a net."""
BUILTINS = frozenset({"complex", "tuple", "set", "frozenset"})
_DEEPEST = 12
_CALLS = frozenset({"function", "method", "exec", "eval"})


def text_of(path: Path) -> str:
    """Return the content of a net that brings nothing but data.

    Raises
    ------
    ValueError
        It cannot be read, is no pandapower net, or names something that would be run.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ValueError(f"has {size / 1e6:.0f} MB; a net has at most {MAX_BYTES / 1e6:.0f} MB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as err:
        raise ValueError(f"cannot be read: {err.strerror}") from err
    except UnicodeDecodeError:
        raise ValueError("cannot be read as JSON: it is not UTF-8") from None
    return checked(text)


def checked(text: str) -> str:
    """Return `text` if it is a pandapower net that brings nothing but data; errors as in `text_of`."""
    try:
        data = json.loads(text)
        for what in _foreign(data, 0):
            raise ValueError(what)
    except json.JSONDecodeError as err:
        raise ValueError(f"cannot be read as JSON: {err}") from None
    except RecursionError:
        raise ValueError("cannot be read as JSON: it is nested too deep") from None
    if not isinstance(data, dict) or data.get("_class") != "pandapowerNet":
        raise ValueError("is no pandapower net; write it with pandapower.to_json")
    return text


def named_in(cell: object) -> Iterator[str]:
    """Yield what the JSON in a cell of a table names and may not."""
    if isinstance(cell, str):
        yield from _foreign(cell, 0)


def fault(path: Path) -> str:
    """Return why `text_of` refuses the file, empty where it does not."""
    try:
        status = path.stat()
    except OSError as err:
        return f"'{path.name}' cannot be read: {err.strerror}"
    return _fault(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _fault(path: Path, size: int, changed_ns: int) -> str:
    """Return what `fault` does, for a file of this size and age: it is asked once for each of a file's variants."""
    try:
        text_of(path)
    except ValueError as err:
        return f"'{path.name}' {err}"
    return ""


def _foreign(data: Any, depth: int) -> Iterator[str]:
    """Yield what is not allowed, in the JSON and in the JSON that stands in its texts."""
    if depth > _DEEPEST:
        yield "holds JSON in JSON too often for a pandapower net"
    elif isinstance(data, dict):
        if "_module" in data or "_class" in data:
            yield from _named(data.get("_module", ""), data.get("_class", ""))
        for part in data.values():
            yield from _foreign(part, depth)
    elif isinstance(data, list):
        for part in data:
            yield from _foreign(part, depth)
    elif isinstance(data, str) and data.lstrip()[:1] in ("{", "[", '"') and ("_module" in data or "\\" in data):
        try:
            inner = json.loads(data)
        except ValueError:
            return
        yield from _foreign(inner, depth + 1)


def _named(module: Any, kind: Any) -> Iterator[str]:
    if not isinstance(module, str) or not isinstance(kind, str):
        yield "names a module or class that is no text"
    elif kind in _CALLS:
        yield f"names a {kind} ('{module}'): a net brings data, no code"
    elif not (ALLOWED.fullmatch(module) or (module == "builtins" and kind in BUILTINS)):
        yield f"names the module '{module}', which no pandapower net needs"

