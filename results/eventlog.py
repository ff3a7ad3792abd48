"""The rows of one event table on their way into the run file: texts become codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from results.attributes import column_of, labels_of, set_attributes
from results.block import Block
from results.layout import EMPTY, UNNAMED, EventTable
from sims.core.errors import ModelError, nearest

CHUNK, BATCH = 4096, 16384
"""Rows in a chunk, and rows kept in memory: the last chunk of a batch is written once more with the next one."""


class EventLog:
    """The rows of one event table, coded."""

    def __init__(self, group: h5py.Group, table: EventTable) -> None:
        self.table = table
        self.codes: dict[str, dict[str, int]] = {}
        self.event = group.create_dataset(
            "event", (0,), "i8", maxshape=(None,), chunks=(CHUNK,), fletcher32=True
        )
        self.event.make_scale("event")
        set_attributes(self.event, {"long_name": "number of the event"})
        self.data: dict[str, h5py.Dataset] = {}
        self._blocks: dict[str, Block] = {}
        self.rows: dict[str, list[NDArray[Any]]] = {}
        self._dtype: dict[str, np.dtype[Any]] = {}
        for q in table.columns:
            coded = q.name in table.code_tables
            dtype = "i4" if coded else q.dtype
            column = group.create_dataset(
                q.name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), fletcher32=True
            )
            column.dims[0].attach_scale(self.event)
            set_attributes(column, {"long_name": q.long_name, "units": "" if coded else q.units})
            if coded:
                self._code_table(group, column, q.name, table.code_tables[q.name])
            self.data[q.name], self.rows[q.name], self._dtype[q.name] = column, [], column.dtype
            self._blocks[q.name] = Block(column)
        self._numbers = Block(self.event)
        self.pending = self.total = 0

    def _code_table(self, group: h5py.Group, column: h5py.Dataset, name: str, names: Sequence[str]) -> None:
        self.codes[name] = {text: code for code, text in enumerate(names)}
        set_attributes(column, {"comment": f"-1: text in events.jsonl, -2: no text; else see {name}_name"})
        if names:
            texts = labels_of(group, f"{name}_name", names)
            set_attributes(texts, {"long_name": f"texts of the codes in {name}"})
            for (of, note), values in self.table.notes.items():
                if of == name:
                    column_of(group, f"{name}_{note}", values, texts)
            meanings = " ".join("_".join(str(n).split()) or "none" for n in names)
            if len(meanings) < 30_000:  # HDF5 keeps attributes below 64 KB in the object's own header
                set_attributes(column, {
                    "flag_values": np.arange(len(names), dtype="i4"), "flag_meanings": meanings,
                })  # fmt: skip

    def put(self, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Buffer the rows; return what could not be coded, a line of events.jsonl each."""
        name = self.table.name
        for given in columns:
            if given not in self.data:
                hint = nearest(given, self.data)
                raise ModelError("recorder", 0, f"event table '{name}' has no column '{given}'{hint}")
        missing = sorted(set(self.data) - set(columns))
        sizes = {len(v) if type(v) is list else np.size(v) for v in columns.values()}
        if missing or len(sizes) != 1:
            lack = f"lacks {', '.join(missing)}" if missing else f"has columns of lengths {sorted(sizes)}"
            raise ModelError("recorder", 0, f"event table '{name}' {lack}")
        n = sizes.pop()
        unnamed: list[dict[str, Any]] = []
        encoded: dict[str, NDArray[Any]] = {}
        for column in self.data:
            given = columns[column]
            texts: Sequence[Any] | None = None
            if column in self.codes and type(given) is list and given and type(given[0]) is str:
                texts = given  # as they are: numpy's own texts cost two copies
            else:
                values = np.atleast_1d(np.asarray(given))
                if values.dtype.kind in "UOS":
                    if column not in self.codes:
                        raise ModelError("recorder", 0, f"{name}.{column} takes numbers, not '{values.ravel()[0]}'")
                    texts = list(map(str, values.tolist()))
            if texts is not None:
                find = self.codes[column].get
                values = np.array([find(text, UNNAMED if text else EMPTY) for text in texts], dtype="i4")
                for k in np.flatnonzero(values == UNNAMED).tolist():
                    row = self.total + self.pending + k
                    unnamed.append({"table": name, "event": row, "column": column, "text": str(texts[k])})
            encoded[column] = values.astype(self._dtype[column])
        for column, values in encoded.items():
            self.rows[column].append(values)
        self.pending += n
        return unnamed

    def pending_bytes(self) -> int:
        """Return how many bytes the next `write_rows` adds to the file."""
        return self.pending * int(8 + sum(d.dtype.itemsize for d in self.data.values()))

    def write_rows(self) -> None:
        """Write the columns of the rows that are not yet in the file."""
        if self.pending:
            for name, block in self._blocks.items():
                self._extend(block, np.concatenate(self.rows[name]))

    def commit(self) -> None:
        """Write the numbers of those rows: from then on they count."""
        if self.pending:
            self._extend(self._numbers, np.arange(self.total, self.total + self.pending))
            self.total, self.pending = self.total + self.pending, 0
            for rows in self.rows.values():
                rows.clear()

    def _extend(self, block: Block, values: NDArray[Any]) -> None:
        """Write values behind those that are in the file, chunk by chunk."""
        done = 0
        while done < len(values):
            first, filled = divmod(self.total + done, CHUNK)
            part = values[done : done + CHUNK - filled]
            block.put(slice(filled, filled + len(part)), part)
            block.write(first * CHUNK, filled + len(part))
            done += len(part)
