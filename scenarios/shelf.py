"""Keeps on disk what takes seconds to make and depends on its inputs and the code alone.

A thing is a tree of dataclasses, mappings, sequences, numbers, texts and arrays. It is kept as one file: a checksum
and an npz archive, which names no code and is read without pickle. What is damaged or foreign is ignored.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

FOLDER = "GRIDSEAM_CACHE"
"""Environment variable: the folder to keep things in; ``off`` keeps nothing."""

MOST_FILES = 64
_PACKAGES = ("sims", "scenarios", "controllers")
_VERSIONS = ("numpy", "scipy", "pandas", "pandapower")
_TREE = "tree"
_SUM_BYTES = 16


def kept(what: str, inputs: Iterable[str | bytes], make: Callable[[], T], kinds: Sequence[type]) -> T:
    """Return what `make` gives for `inputs`, from disk if it was made before.

    What is returned has gone through the form on disk in either case, so that a run cannot tell which it was.

    Parameters
    ----------
    what : str
        Name of the thing, the beginning of its file name.
    inputs : iterable of str or bytes
        All that the thing depends on besides the code: another input, another file.
    make : callable
        Makes the thing; not called where it is found.
    kinds : sequence of type
        Dataclasses that may stand in it. Fields that hold a function come back as None.
    """
    path = _place(what, inputs)
    if path is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            found: T = _unpacked(_whole(path.read_bytes()), kinds)
            return found
    data = _packed(make())
    if path is not None:
        with suppress(OSError):
            _write(path, _sum(data) + data)
    made: T = _unpacked(data, kinds)
    return made


def folder() -> Path | None:
    """Return where things are kept: a folder of the user's own that nobody else may write to, else None."""
    given = os.environ.get(FOLDER, "")
    if given.lower() in ("off", "0", "none"):
        return None
    at = Path(given) if given else _caches() / "gridseam"
    try:
        at.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = at.stat()
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None
    return at


def _caches() -> Path:
    """Return the user's cache folder as the platform has it."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if home and Path(home).is_absolute():
        return Path(home)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


@cache
def _code() -> bytes:
    """Return the fingerprint of the code that makes things: our sources and the versions of what they use."""
    found = hashlib.blake2b(" ".join([sys.byteorder, *(f"{name} {version(name)}" for name in _VERSIONS)]).encode())
    root = Path(__file__).resolve().parent.parent
    for path in sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0")
        found.update(path.read_bytes() + b"\0")
    return found.digest()


def _place(what: str, inputs: Iterable[str | bytes]) -> Path | None:
    at = folder()
    if at is None:
        return None
    key = hashlib.blake2b(_code(), digest_size=20)
    for item in inputs:
        data = item.encode() if isinstance(item, str) else item
        key.update(len(data).to_bytes(8, "big") + data)
    return at / f"{what}-{key.hexdigest()}.kept"


def _write(path: Path, data: bytes) -> None:
    """Put the file in its place at once and whole; the oldest make room."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    known = sorted(path.parent.glob("*.kept"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in known[MOST_FILES:]:
        old.unlink(missing_ok=True)


def _sum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_SUM_BYTES).digest()


def _whole(file: bytes) -> bytes:
    """Return what stands behind the checksum, or refuse what does not match it."""
    data = file[_SUM_BYTES:]
    if file[:_SUM_BYTES] != _sum(data):
        raise ValueError("damaged")
    return data


def _packed(thing: Any) -> bytes:
    arrays: dict[str, Any] = {}
    tree = json.dumps(_tree(thing, arrays))
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **{_TREE: np.array(tree)}, **arrays)
    return out.getvalue()


def _unpacked(data: bytes, kinds: Sequence[type]) -> Any:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        tree = json.loads(str(arrays[_TREE]))
        return _thing(tree, arrays, {kind.__name__: kind for kind in kinds})


def _tree(thing: Any, arrays: dict[str, Any]) -> Any:
    """Return `thing` as JSON knows it; what is no number or text becomes [mark, content]."""
    if isinstance(thing, np.ndarray):
        arrays[name := f"a{len(arrays)}"] = np.ascontiguousarray(thing)
        return ["array", name]
    if isinstance(thing, np.generic):
        return thing.item()
    if is_dataclass(thing) and not isinstance(thing, type):
        own = {f.name: _tree(getattr(thing, f.name), arrays) for f in fields(thing)}
        return [type(thing).__name__, own]
    if isinstance(thing, Mapping):
        return ["mapping", [[_tree(k, arrays), _tree(v, arrays)] for k, v in thing.items()]]
    if isinstance(thing, list | tuple):
        return ["tuple" if isinstance(thing, tuple) else "list", [_tree(item, arrays) for item in thing]]
    return None if callable(thing) else thing


def _thing(tree: Any, arrays: Mapping[str, Any], kinds: Mapping[str, type]) -> Any:
    if not isinstance(tree, list):
        return tree
    mark, content = tree
    if mark == "array":
        return arrays[content]
    if mark == "mapping":
        return {_thing(k, arrays, kinds): _thing(v, arrays, kinds) for k, v in content}
    if mark in ("tuple", "list"):
        found = [_thing(item, arrays, kinds) for item in content]
        return tuple(found) if mark == "tuple" else found
    return kinds[mark](**{name: _thing(item, arrays, kinds) for name, item in content.items()})
