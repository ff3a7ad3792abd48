"""The rows of one kind of thing on their way into the run file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from results.attributes import column_of, labels_of, set_attributes
from results.layout import Kind
from sims.core.errors import ModelError, nearest

BLOCK = 256
"""Most rows kept in memory, and in a chunk: whole chunks are written once, at disk speed."""


class Series:
    """The rows of one kind: a block in memory, the rest in the file."""

    def __init__(self, group: h5py.Group, kind: Kind, since: str, until_ms: int | None = None) -> None:
        self.kind = kind
        rows = BLOCK if until_ms is None else max(1, -(-until_ms // kind.every_ms))
        self.rows = -(-rows // -(-rows // BLOCK))  # equal blocks: no chunk is left half empty
        n = len(kind.labels)
        set_attributes(group, {
            "NX_class": "NXdata", "signal": kind.quantities[0].name if kind.quantities else "time",
            "axes": ["time", "."], "every_ms": kind.every_ms, **kind.attrs,
        })  # fmt: skip
        self.time = group.create_dataset(
            "time", (0,), "f8", maxshape=(None,), chunks=(4096,), fletcher32=True, fillvalue=np.nan
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
        self.block: dict[str, NDArray[Any]] = {}
        for q in kind.quantities:
            data = group.create_dataset(
                q.name, (0, n), q.dtype, maxshape=(None, n), chunks=(self.rows, min(n, BLOCK)), fletcher32=True,
                fillvalue=np.nan,
            )  # fmt: skip
            set_attributes(data, {
                "units": q.units, "long_name": q.long_name, "standard_name": q.standard_name, "source": q.source,
            })  # fmt: skip
            data.attrs["_FillValue"] = np.array([np.nan], dtype=q.dtype)
            data.dims[0].attach_scale(self.time)
            data.dims[1].attach_scale(scale)
            self.data[q.name] = data
            self.block[q.name] = np.full((self.rows, n), np.nan, dtype=q.dtype)
        self.block_time = np.zeros(self.rows)
        self.first = self.filled = self.written = 0
        self.last_ms = -1

    def full(self) -> bool:
        """Tell whether the block has no room for a further row."""
        return self.filled == self.rows

    def pending_bytes(self) -> int:
        """Return how many bytes the next `write_rows` adds to the file."""
        per_row = 8 + sum(b.itemsize * b.shape[1] for b in self.block.values())
        return (self.filled - self.written) * int(per_row)

    def put(self, t_ms: int, values: Mapping[str, Any]) -> None:
        """Keep a row in the block; refuse what does not fit the kind."""
        for name in values:
            if name not in self.data:
                hint = nearest(name, self.data)
                raise ModelError("recorder", t_ms, f"kind '{self.kind.name}' has no quantity '{name}'{hint}")
        if t_ms <= self.last_ms:
            last = f"the row at {self.last_ms / 1000:.3f} s is already written"
            raise ModelError("recorder", t_ms, f"kind '{self.kind.name}': {last}; rows go forward in time")
        row, n = self.filled, len(self.kind.labels)
        for name, block in self.block.items():
            value = values.get(name, np.nan)
            if np.ndim(value) and np.shape(value) != (n,):
                got = f"{self.kind.name}.{name} got shape {np.shape(value)}"
                raise ModelError("recorder", t_ms, f"{got}; it has {n} labels")
            block[row] = value
        self.block_time[row] = t_ms / 1000.0
        self.last_ms = t_ms
        self.filled += 1

    def write_rows(self) -> None:
        """Write the quantities of the rows that are not yet in the file."""
        if self.filled > self.written:
            a, b = self.first + self.written, self.first + self.filled
            for name, data in self.data.items():
                data.resize(b, axis=0)
                data[a:b] = self.block[name][self.written : self.filled]

    def commit(self) -> None:
        """Write the times of those rows: from then on they count."""
        if self.filled > self.written:
            a, b = self.first + self.written, self.first + self.filled
            self.time.resize(b, axis=0)
            self.time[a:b] = self.block_time[self.written : self.filled]
            self.written = self.filled
        if self.full():
            self.first += self.rows
            self.filled = self.written = 0
