"""The same run file in less room: compressed, closed, still a run that every reader opens."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from results.runfile import Run
from results.tables import chosen

_SCALES = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates"}
"""Attributes that tie dimensions to datasets; written anew."""
_STANDING = ("kpi", "provenance", "status")


def repack(run: Run, target: Path, only: Sequence[str] = ()) -> None:
    """Write the run file again, compressed (deflate 4 with shuffle) and with checksums.

    The new file is a gridseam run and plain netCDF-4 without the single-writer mode; nothing is lost save
    the kinds and tables that `only` does not name.
    """
    keep = {*chosen(run, only), *_STANDING}
    target.unlink(missing_ok=True)
    with h5py.File(target, "w") as new:
        _copy_attributes(run.file, new)
        for name in [n for n in run.file if n in keep]:
            thing = run.file[name]
            if isinstance(thing, h5py.Dataset):
                run.file.copy(thing, new, name)
            else:
                _copy_group(run, name, thing, new.create_group(name))
    beside, there = run.path.with_suffix(".events.jsonl"), target.with_suffix(".events.jsonl")
    if beside.is_file() and beside.resolve() != there.resolve():
        shutil.copyfile(beside, there)


def _copy_attributes(source: Any, new: Any) -> None:
    for key in source.attrs:
        if key not in _SCALES:
            new.attrs[key] = source.attrs[key]


def _copy_group(run: Run, name: str, source: h5py.Group, new: h5py.Group) -> None:
    _copy_attributes(source, new)
    mark = "time" if name in run.kinds else "event" if name in run.tables else ""
    rows = len(run.values(name, mark)) if mark else 0
    for column, old in source.items():
        grows = bool(mark) and old.maxshape[0] is None  # beyond the mark there may be rows that do not count
        shape = (rows, *old.shape[1:]) if grows else old.shape
        if h5py.check_string_dtype(old.dtype) is not None:
            made = new.create_dataset(column, data=old[()], dtype=old.dtype)
        else:
            packed = {"compression": 4, "shuffle": True, "fletcher32": True} if np.prod(shape) else {}
            chunks = tuple(max(1, min(c, s)) for c, s in zip(old.chunks or shape, shape, strict=True))
            made = new.create_dataset(
                column, shape, old.dtype, chunks=chunks if packed else None, fillvalue=old.fillvalue, **packed
            )
            for start in range(0, shape[0] if shape else 0, 4096):
                made[start : start + 4096] = old[start : min(start + 4096, shape[0])]
        _copy_attributes(old, made)
        if old.is_scale:
            made.make_scale(column)
    for column, old in source.items():
        for axis, dimension in enumerate(old.dims):
            for scale in dimension.values():
                if not old.is_scale:
                    new[column].dims[axis].attach_scale(new[scale.name.rpartition("/")[2]])
