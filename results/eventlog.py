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
        self._codes: dict[str, dict[str, int]] = {}
        self.event = group.create_dataset(
            "event", (0,), "i8", maxshape=(None,), chunks=(CHUNK,), fletcher32=True
        )
        self.event.make_scale("event")
        set_attributes(self.event, {"long_name": "number of the event"})
        self.data: dict[str, h5py.Dataset] = {}
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
            self.data[q.name] = column
        by_type: dict[str, list[str]] = {}
        for name, column in self.data.items():
            by_type.setdefault(column.dtype.str, []).append(name)
        self._blocks = [Block([self.data[name] for name in names]) for names in by_type.values()]
        self._numbers = Block([self.event])
        self._waiting = [np.empty((len(names), 2 * BATCH), dtype) for dtype, names in by_type.items()]
        self._place = {name: (k, i) for k, names in enumerate(by_type.values()) for i, name in enumerate(names)}
        self.pending = self.total = 0

    def _code_table(self, group: h5py.Group, column: h5py.Dataset, name: str, names: Sequence[str]) -> None:
        self._codes[name] = {"": EMPTY} | {text: code for code, text in enumerate(names)}
        set_attributes(column, {"comment": f"-1: text in events.jsonl, -2: no text; else see {name}_name"})
        if names:
            texts = labels_of(group, f"{name}_name", names)
            set_attributes(texts, {"long_name": f"texts of the codes in {name}"})
            for (of, note), values in self.table.notes.items():
                if of == name:
                    column_of(group, f"{name}_{note}", values, texts)
            if sum(map(len, names)) + len(names) < 30_000:  # HDF5 keeps attributes below 64 KB in the object's header
                set_attributes(column, {
                    "flag_values": np.arange(len(names), dtype="i4"),
                    "flag_meanings": " ".join("_".join(str(n).split()) or "none" for n in names),
                })  # fmt: skip

    def put(self, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Buffer the rows; return what could not be coded, a line of events.jsonl each.

        Raises
        ------
        ModelError
            A column is missing, unknown, of another length than the others, or holds what is no number.
        """
        if columns.keys() != self.data.keys():
            raise ModelError("recorder", 0, f"event table '{self.table.name}' {self._unlike(columns)}")
        given = {name: _listed(values) for name, values in columns.items()}
        sizes = {len(values) for values in given.values()}
        if len(sizes) != 1:
            raise ModelError("recorder", 0, f"event table '{self.table.name}' has columns of lengths {sorted(sizes)}")
        n = sizes.pop()
        end = self.pending + n
        if end > self._waiting[0].shape[1]:
            more = (np.empty((len(rows), end), rows.dtype) for rows in self._waiting)
            self._waiting = [np.concatenate(both, axis=1) for both in zip(self._waiting, more, strict=True)]
        unnamed: list[dict[str, Any]] = []
        for column, values in given.items():
            texts = _texts(values)
            if texts is not None:
                values, left = self._coded(column, texts)
                unnamed += left
            block, place = self._place[column]
            try:
                self._waiting[block][place, self.pending : end] = values
            except (TypeError, ValueError, OverflowError) as err:
                raise ModelError("recorder", 0, f"{self.table.name}.{column} takes numbers: {err}") from err
        self.pending = end
        return unnamed

    def _unlike(self, columns: Mapping[str, Any]) -> str:
        """Return what is wrong with the names of columns."""
        other = next((name for name in columns if name not in self.data), None)
        if other is not None:
            return f"has no column '{other}'{nearest(other, self.data)}"
        return f"lacks {', '.join(sorted(self.data.keys() - columns.keys()))}"

    def _coded(self, column: str, texts: Sequence[str]) -> tuple[NDArray[np.int32], list[dict[str, Any]]]:
        """Return the code of each text, and the lines of those that have none."""
        known = self._codes.get(column)
        if known is None:
            raise ModelError("recorder", 0, f"{self.table.name}.{column} takes numbers, not '{texts[0]}'")
        try:
            return np.fromiter(map(known.__getitem__, texts), np.int32, len(texts)), []
        except KeyError:
            codes = np.array([known.get(text, UNNAMED) for text in texts], np.int32)
        first = self.total + self.pending
        return codes, [
            {"table": self.table.name, "event": first + k, "column": column, "text": str(texts[k])}
            for k in np.flatnonzero(codes == UNNAMED).tolist()
        ]  # fmt: skip

    def pending_bytes(self) -> int:
        """Return how many bytes the next `write_rows` adds to the file."""
        return self.pending * int(8 + sum(d.dtype.itemsize for d in self.data.values()))

    def write_rows(self) -> None:
        """Write the columns of the rows that are not yet in the file."""
        if self.pending:
            for block, rows in zip(self._blocks, self._waiting, strict=True):
                self._extend(block, rows[:, : self.pending])

    def commit(self) -> None:
        """Write the numbers of those rows: from then on they count."""
        if self.pending:
            self._extend(self._numbers, np.arange(self.total, self.total + self.pending)[None])
            self.total, self.pending = self.total + self.pending, 0

    def _extend(self, block: Block, values: NDArray[Any]) -> None:
        """Write values behind those that are in the file, chunk by chunk; shape (columns, rows)."""
        done, count = 0, values.shape[1]
        while done < count:
            first, filled = divmod(self.total + done, CHUNK)
            part = values[:, done : done + CHUNK - filled]
            block.put(slice(filled, filled + part.shape[1]), part)
            block.write(first * CHUNK, filled + part.shape[1])
            done += part.shape[1]


def _listed(values: Any) -> Sequence[Any] | NDArray[Any]:
    """Return values as they are where they have a length, else as an array of one."""
    if type(values) is list or (type(values) is np.ndarray and values.ndim == 1):
        return values
    return np.atleast_1d(np.asarray(values))


def _texts(values: Sequence[Any] | NDArray[Any]) -> Sequence[str] | None:
    """Return values that are texts as a list of them, None where they are numbers."""
    if type(values) is list:
        if not values or type(values[0]) is float or type(values[0]) is int:
            return None
        if type(values[0]) is str:
            return values  # as they are: numpy's own texts cost two copies
    found = np.asarray(values)
    return list(map(str, found.tolist())) if found.dtype.kind in "UOS" else None
