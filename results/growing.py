"""Opens a run file that is being written, or that a killed process has left behind."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import h5py

ATTEMPTS = 27
"""How often HDF5 reads metadata whose checksum is wrong: each pause is twice as long as the last, from 1 ns, so that it
gives up after a quarter of a second. The 100 that it takes by itself never end where a file is damaged for good."""


def open_growing(path: Path) -> h5py.File:
    """Return the file, opened as a single writer's reader; OSError or RuntimeError where that cannot be."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    limit = getattr(ctypes.CDLL(h5py.h5p.__file__), "H5Pset_metadata_read_attempts", None)  # h5py does not offer it
    if limit is not None:
        limit.argtypes = [ctypes.c_int64, ctypes.c_uint]
        limit(access.id, ATTEMPTS)
    how = h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ
    return h5py.File(h5py.h5f.open(os.fsencode(path), how, access))
