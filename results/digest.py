"""A digest of what the checksums of a run file do not cover: its texts and its attributes."""

from __future__ import annotations

import hashlib
from typing import Any

import h5py
import numpy as np

_INTERNAL = {"digest", "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid"}


def _feed(into: Any, name: str, value: Any) -> None:
    into.update(name.encode() + b"\0")
    array = np.asarray(value)
    if array.dtype.kind in "OU":
        texts = [item if isinstance(item, bytes) else str(item).encode() for item in array.ravel().tolist()]
        into.update(b"".join(b"%d:%b" % (len(text), text) for text in texts))
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
