"""A digest of what the checksums of a run file do not cover: its texts and its attributes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_INTERNAL = {"digest", "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid"}


_SOUND: set[tuple[Path, int, int, int]] = set()
"""Files whose texts are known to be sound in this process: path, inode, size, time of change."""


def vouch(path: Path) -> None:
    """Take a file as sound while it stays as it is: it has just been checked, or written, here or by a worker."""
    _SOUND.add(_mark(path))


def vouched(path: Path) -> bool:
    """Tell whether a file is still as it was when it was vouched for."""
    return _mark(path) in _SOUND


def _mark(path: Path) -> tuple[Path, int, int, int]:
    stat = path.stat()
    return path.resolve(), stat.st_ino, stat.st_size, stat.st_mtime_ns


def _feed(into: Any, name: str, value: Any) -> None:
    into.update(name.encode() + b"\0")
    array = np.asarray(value)
    if array.dtype.kind in "OU":
        texts = [item if isinstance(item, bytes) else str(item).encode() for item in array.ravel().tolist()]
        into.update(b"".join([b"%d:%b" % (len(text), text) for text in texts]))
    else:
        into.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())


def _attributes(into: Any, thing: h5py.Group | h5py.Dataset, name: str) -> None:
    for key in sorted(set(thing.attrs) - _INTERNAL):
        _feed(into, f"{name}@{key}", thing.attrs[key])


def digest(group: h5py.Group) -> str:
    """Return the SHA-256 of a group's attributes, its datasets' attributes and its text datasets.

    Fletcher-32 guards the numbers chunk by chunk; texts of variable length and attributes lie outside it.
    Subgroups have a digest of their own.
    """
    into = hashlib.sha256()
    _attributes(into, group, "")
    for name in sorted(group):
        thing = group[name]
        if isinstance(thing, h5py.Dataset):
            _attributes(into, thing, name)
            if h5py.check_string_dtype(thing.dtype):
                _feed(into, name, thing[()])
    return into.hexdigest()
