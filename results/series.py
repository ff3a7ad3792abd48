"""The rows of one kind of thing on their way into the run file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from results.attributes import column_of, labels_of, set_attributes
from results.block import Block
from results.layout import Kind
from sims.core.errors import ModelError, nearest

_ROWS, _MOST_ROWS = 256, 1024
"""Rows kept in memory, and in a chunk; the more the longer the run."""
_CHUNK_BYTES = 512 << 10
_SIGNAL_BYTES, _LEAST_LABELS = 12 << 20, 8
"""What is read for one signal over the whole run, where that leaves a chunk this many labels."""


class Series:
    """The rows of one kind: a block in memory, the rest in the file."""

    def __init__(self, group: h5py.Group, kind: Kind, since: str, until_ms: int | None = None) -> None:
        self.kind = kind
        planned = _ROWS if until_ms is None else max(1, -(-until_ms // kind.every_ms))
        tallest = min(max(_CHUNK_BYTES // (4 * _width(planned, 4)), _ROWS), _MOST_ROWS)
        self.rows = _evenly(planned, tallest)
        n = len(kind.labels)
        set_attributes(group, {
            "NX_class": "NXdata", "signal": kind.quantities[0].name if kind.quantities else "time",
            "axes": ["time", "."], "every_ms": kind.every_ms, **kind.attrs,
        })  # fmt: skip
        self.time = group.create_dataset(
            "time", (0,), "f8", maxshape=(None,), chunks=(self.rows,), fletcher32=True, fillvalue=np.nan
        )
        set_attributes(self.time, {
            "units": f"seconds since {since}", "calendar": "standard", "axis": "T", "standard_name": "time",
            "long_name": "time (UTC)",
        })  # fmt: skip
        self.time.make_scale("time")
        scale = labels_of(group, kind.name, kind.labels)
        set_attributes(scale, {"cf_role": "timeseries_id", "long_name": f"name of the {kind.name}"})
        column_of(group, "index", np.arange(n, dtype="i4"), scale)
        for name, values in kind.static.items():
            column_of(group, name, values, scale)
        self.data: dict[str, h5py.Dataset] = {}
        for q in kind.quantities:
            width = _evenly(n, _width(planned, np.dtype(q.dtype).itemsize))
            data = group.create_dataset(
                q.name, (0, n), q.dtype, maxshape=(None, n), chunks=(self.rows, width), fletcher32=True,
                fillvalue=np.nan,
            )  # fmt: skip
            set_attributes(data, {
                "units": q.units, "long_name": q.long_name, "standard_name": q.standard_name, "source": q.source,
            })  # fmt: skip
            data.attrs["_FillValue"] = np.array([np.nan], dtype=q.dtype)
            data.dims[0].attach_scale(self.time)
            data.dims[1].attach_scale(scale)
            self.data[q.name] = data
        self._times = Block([self.time])
        self._blocks: list[tuple[Block, slice | NDArray[np.int_]]] = []  # with the places of their quantities
        self._places: list[tuple[str, Block, int]] = []
        types = np.array([data.dtype.str for data in self.data.values()])
        for dtype in dict.fromkeys(types.tolist()):
            mine = np.flatnonzero(types == dtype)
            names = [kind.quantities[k].name for k in mine.tolist()]
            block = Block([self.data[name] for name in names])
            self._blocks.append((block, slice(None) if len(mine) == len(types) else mine))
            self._places += [(name, block, k) for k, name in enumerate(names)]
        self._row_bytes: int = 8 + n * sum(d.dtype.itemsize for d in self.data.values())
        self.first = self.filled = self.written = 0
        self.last_ms = -1

    def full(self) -> bool:
        """Tell whether the block has no room for a further row."""
        return self.filled == self.rows

    def pending_bytes(self) -> int:
        """Return how many bytes the next `write_rows` adds to the file."""
        return (self.filled - self.written) * self._row_bytes

    def put(self, t_ms: int, values: Mapping[str, Any] | NDArray[Any]) -> None:
        """Keep a row in the block: quantity -> value, or the values of all quantities, shape (quantities, labels).

        What does not fit the kind is refused.
        """
        if t_ms <= self.last_ms:
            last = f"the row at {self.last_ms / 1000:.3f} s is already written"
            raise ModelError("recorder", t_ms, f"kind '{self.kind.name}': {last}; rows go forward in time")
        row = self.filled
        if isinstance(values, np.ndarray):
            n = len(self.kind.labels)
            if values.shape != (len(self.data), n):
                wanted = f"{len(self.data)} quantities of {n} labels"
                raise ModelError("recorder", t_ms, f"{self.kind.name} got shape {values.shape}; it has {wanted}")
            for block, which in self._blocks:
                block.put(row, values[which])
        else:
            self._put_named(t_ms, row, values)
        self._times.put(row, np.asarray(t_ms / 1000.0))
        self.last_ms = t_ms
        self.filled += 1

    def _put_named(self, t_ms: int, row: int, values: Mapping[str, Any]) -> None:
        if not values.keys() <= self.data.keys():
            name = next(name for name in values if name not in self.data)
            hint = nearest(name, self.data)
            raise ModelError("recorder", t_ms, f"kind '{self.kind.name}' has no quantity '{name}'{hint}")
        n = len(self.kind.labels)
        for name, block, k in self._places:
            value = np.asarray(values.get(name, np.nan))
            if value.ndim and value.shape != (n,):
                got = f"{self.kind.name}.{name} got shape {value.shape}"
                raise ModelError("recorder", t_ms, f"{got}; it has {n} labels")
            block.put(row, value, k)

    def write_rows(self) -> None:
        """Write the quantities of the rows that are not yet in the file."""
        if self.filled > self.written:
            for block, _ in self._blocks:
                block.write(self.first, self.filled)

    def commit(self) -> None:
        """Write the times of those rows: from then on they count."""
        if self.filled > self.written:
            self._times.write(self.first, self.filled)
            self.written = self.filled
        if self.full():
            self.first += self.rows
            self.filled = self.written = 0


def _width(rows: int, item_bytes: int) -> int:
    """Return the most labels that go into one chunk of a run of so many rows."""
    fits = max(_SIGNAL_BYTES // (rows * item_bytes), _LEAST_LABELS)
    return min(fits, _CHUNK_BYTES // (_ROWS * item_bytes))


def _evenly(count: int, most: int) -> int:
    """Return the size of equal parts, none above `most`: no chunk is left half empty."""
    return -(-count // -(-count // most))
