"""The state of models as bytes: a pickle that a careful reader takes apart.

A pickle may call what it names, so that this one is read by a reader that knows the plain containers, numpy's arrays
and generators, and the classes of the simulators and controllers, and nothing else; things that are there anyway
(grids, what sites believe) are named, not kept.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Mapping
from typing import Any

from sims.core.errors import GridseamError

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
