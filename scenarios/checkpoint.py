"""Where a run can be taken up again: the state of every simulator, kept beside the run file while it is written.

The file is a checksum, a line of JSON that says what it belongs to, and the state as a pickle. A pickle may call
what it names, so that this one is read by a reader that knows the plain containers, numpy's arrays and generators,
and the classes of the simulators and controllers, and nothing else; things that a restart builds anyway (grids,
what sites believe) are named, not kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sims.core.errors import GridseamError

SUFFIX = ".checkpoint"
_MARK = b"gridseam checkpoint 1\n"
_SUM_BYTES = 32
_OWN = ("sims.", "controllers.", "results.estimates")
_USERS = "gridseam_user_"
_PLAIN = frozenset({
    ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "complex"), ("builtins", "bytearray"),
    ("builtins", "slice"), ("builtins", "range"), ("collections", "deque"), ("collections", "OrderedDict"),
    ("collections", "defaultdict"), ("collections", "Counter"), ("builtins", "list"), ("builtins", "dict"),
    ("builtins", "int"), ("builtins", "float"), ("types", "MappingProxyType"), ("datetime", "datetime"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"), ("numpy._core.numeric", "_frombuffer"),
    ("numpy.random._pickle", "__generator_ctor"), ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pcg64", "PCG64"), ("numpy.random.bit_generator", "SeedSequence"), ("copyreg", "_reconstructor"),
    ("builtins", "object"), ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
})  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """What stands in the file: which cell of which run it belongs to, how far it had come, and the state.

    Parameters
    ----------
    cell : str
        Digest of scenario, pairing and code; a restart of anything else is refused.
    folder : str
        Where the files lie that the scenario names.
    reached_ms : int
        All steps before are done.
    rows : mapping of str to int
        How many rows of each group of the run file, and bytes of free text, belong to it.
    state : bytes
        See `unpacked`.
    """

    cell: str
    folder: str
    reached_ms: int
    rows: Mapping[str, int]
    state: bytes

    def write(self, path: Path) -> None:
        """Put the checkpoint in its place, at once and whole; the one before is gone only then."""
        about = {"cell": self.cell, "folder": self.folder, "reached_ms": self.reached_ms, "rows": dict(self.rows)}
        head = json.dumps(about).encode()
        body = head + b"\n" + self.state
        part = path.with_suffix(f"{path.suffix}.part")
        try:
            with part.open("wb") as file:
                file.write(_MARK + hashlib.sha256(body).digest() + body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Return the checkpoint at `path`.

        Raises
        ------
        GridseamError
            There is none, or it is damaged.
        """
        try:
            data = path.read_bytes()
        except OSError as err:
            raise GridseamError(f"{path}: no checkpoint to continue from ({err.strerror}); run it anew") from err
        start = len(_MARK)
        found, body = data[start : start + _SUM_BYTES], data[start + _SUM_BYTES :]
        if not data.startswith(_MARK) or hashlib.sha256(body).digest() != found:
            raise GridseamError(f"{path}: the checkpoint is damaged; run it anew")
        head, _, state = body.partition(b"\n")
        about = json.loads(head)
        return cls(about["cell"], about["folder"], about["reached_ms"], about["rows"], state)


def place_of(run_file: Path) -> Path:
    """Return where the checkpoint of a run file lies."""
    return run_file.with_suffix(SUFFIX)


def packed(state: Any, fixed: Mapping[str, Any]) -> bytes:
    """Return `state` as bytes; the things in `fixed` go in by name."""
    names = {id(thing): name for name, thing in fixed.items()}
    out = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> str | None:
            return names.get(id(obj))

    Pickler(out, protocol=5).dump(state)
    return out.getvalue()


def unpacked(data: bytes, fixed: Mapping[str, Any]) -> Any:
    """Return what `packed` was given, with the things in `fixed` of this process in their places.

    Raises
    ------
    GridseamError
        The bytes name a thing or a class that no checkpoint needs.
    """
    try:
        return _Reader(io.BytesIO(data), fixed).load()
    except GridseamError:
        raise
    except Exception as err:
        raise GridseamError(f"the checkpoint cannot be read ({type(err).__name__}: {err}); run it anew") from err


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, fixed: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._fixed = fixed

    def persistent_load(self, pid: Any) -> Any:
        if pid not in self._fixed:
            raise GridseamError(f"the checkpoint names '{pid}', which this run does not have; run it anew")
        return self._fixed[pid]

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in _PLAIN:
            return super().find_class(module_name, global_name)
        known = module_name in sys.modules and module_name.startswith((*_OWN, _USERS))
        found = super().find_class(module_name, global_name) if known and "." not in global_name else None
        if not isinstance(found, type) or found.__module__ != module_name:
            raise GridseamError(f"the checkpoint names {module_name}.{global_name}, which no checkpoint needs")
        return found
