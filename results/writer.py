"""The run file while it is written: netCDF-4/CF, readable after a crash."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from results.attributes import column_of, labels_of, set_attributes
from results.digest import digest
from results.eventlog import BATCH, EventLog
from results.layout import FORMAT, FORMAT_VERSION, STATUS, EventTable, Kind
from results.series import Series
from sims.core.errors import ModelError, nearest

FORM = ("v110", "v110")
"""The oldest form of HDF5 that can be read while it is written: newer ones shut out h5web, MATLAB and Octave."""
_SPARE_BYTES = 32 << 20
_FLUSH_SHARE, _MOST_PAUSES = 1 / 300, 6
"""Most that flushing may take of the time: parts of chunks written and written again cost as much as whole ones."""


def _reason(err: Exception) -> str:
    """Return what the system said, without HDF5's account of its own insides."""
    found = re.search(r"error message = '([^']*)'", str(err))
    return found[1] if found else str(err)


def _utc(start_iso: str) -> str:
    try:
        start = datetime.fromisoformat(start_iso)
    except ValueError as err:
        raise ModelError("recorder", 0, f"start '{start_iso}' is no ISO 8601 time ({err})") from err
    return (start.astimezone(UTC) if start.tzinfo else start).strftime("%Y-%m-%d %H:%M:%S")


class RunWriter:
    """Writes one run file, block by block; whatever was flushed survives a killed process.

    Every object is created first; then HDF5's single-writer mode keeps the file readable at any time.
    The time axis is written last and is the mark of what counts. The same inputs give byte-identical
    datasets and attributes, save those of ``/provenance``: no clock reading reaches the content.

    Parameters
    ----------
    path : str or Path
        Becomes the run file; free text of events goes beside it, as ``<stem>.events.jsonl``.
    attrs : mapping
        Attributes of the run (title, scenario, architecture, stage, seed, ...); a mapping under
        ``provenance`` (versions, host, times) becomes the attributes of ``/provenance``.
    start_iso : str
        Start of the run, ISO 8601; taken as UTC where no offset is given.
    kinds, events
        What will be recorded.
    kpis : sequence of (name, unit, definition)
        Places for key figures, filled at the end.
    flush_s : float
        Longest time between flushes [s]; up to six times as long where they would take more than 1/300 of it.
    until_ms : int, optional
        Planned length of the run [ms]; chunks are sized by it, which keeps files of short runs small.

    Raises
    ------
    ModelError
        The folder cannot be written, the disk is nearly full, or a row does not fit what was declared.
    """

    def __init__(
        self, path: str | Path, *, attrs: Mapping[str, Any], start_iso: str, kinds: Sequence[Kind],
        events: Sequence[EventTable] = (), kpis: Sequence[tuple[str, str, str]] = (), flush_s: float = 5.0,
        until_ms: int | None = None,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self.text_path = self.path.with_suffix(".events.jsonl")
        self._flush_s = self._pause_s = flush_s
        self._t_ms = 0
        self._lost = False
        self._text: IO[str] | None = None
        since = _utc(start_iso)
        self.empty = frozenset(k.name for k in kinds if not len(k.labels))
        kinds = [k for k in kinds if len(k.labels)]
        names = [k.name for k in kinds] + [e.name for e in events] + ["kpi", "status", "provenance"]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ModelError("recorder", 0, f"two groups of the run file are named {', '.join(twice)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.text_path.unlink(missing_ok=True)
            self._check_space(0)
            self._file = h5py.File(self.path, "w", libver=FORM)
        except OSError as err:
            raise ModelError("recorder", 0, f"cannot write {self.path}: {err}") from err
        f = self._file
        self.series = {k.name: Series(f.create_group(k.name), k, since, until_ms) for k in kinds}
        self.events = {e.name: EventLog(f.create_group(e.name), e) for e in events}
        self._status = f.create_dataset("status", data=np.int8(0))
        set_attributes(self._status, {
            "flag_values": np.arange(len(STATUS), dtype="i1"), "flag_meanings": " ".join(STATUS),
        })  # fmt: skip
        if kpis:
            self._kpi_places(f.create_group("kpi"), kpis)
        self._root(f, attrs, start_iso)
        f.swmr_mode = True
        self._last_flush = time.monotonic()

    def _root(self, f: h5py.File, attrs: Mapping[str, Any], start_iso: str) -> None:
        own = {k: v for k, v in attrs.items() if k != "provenance"}
        set_attributes(f, {
            "Conventions": "CF-1.11", "title": "gridseam run", "history": "written by gridseam",
            "format": FORMAT, "format_version": FORMAT_VERSION, "NX_class": "NXroot", "start": start_iso,
            "default": next(iter(self.series), ""), **own,
        })  # fmt: skip
        set_attributes(f.create_group("provenance"), dict(attrs.get("provenance", {})))
        for group in (f, *(g for g in f.values() if isinstance(g, h5py.Group))):
            group.attrs["digest"] = np.bytes_(digest(group))

    def _kpi_places(self, group: h5py.Group, kpis: Sequence[tuple[str, str, str]]) -> None:
        scale = labels_of(group, "kpi", [k[0] for k in kpis])
        column_of(group, "unit", [k[1] for k in kpis], scale)
        column_of(group, "definition", [k[2] for k in kpis], scale)
        n = len(kpis)
        for name, data in {
            "value": np.full(n, np.nan), "limit": np.full(n, np.nan), "passed": np.full(n, -1, dtype="i1"),
        }.items():  # fmt: skip
            column = group.create_dataset(name, data=data, chunks=(n,), fletcher32=True)
            column.dims[0].attach_scale(scale)

    def append(self, kind: str, t_ms: int, values: Mapping[str, Any] | NDArray[Any]) -> None:
        """Add the row of `kind` at `t_ms` [ms].

        `values` names what is known, quantity -> array, shape (labels,), and what is left out is NaN; or it is an array
        of all quantities in their order, shape (quantities, labels).
        """
        self.append_rows(t_ms, {kind: values})

    def append_rows(self, t_ms: int, rows: Mapping[str, Mapping[str, Any] | NDArray[Any]]) -> None:
        """Add a row to each of several kinds at `t_ms` [ms], as `append` does; blocks it fills are written together."""
        self._t_ms = max(self._t_ms, t_ms)
        full: list[Series] = []
        for kind, values in rows.items():
            if kind in self.empty:
                continue
            if kind not in self.series:
                raise ModelError("recorder", t_ms, f"no kind '{kind}'{nearest(kind, self.series)}")
            series = self.series[kind]
            series.put(t_ms, values)
            if series.full():
                full.append(series)
        if full:
            self._write(full)
        self._flush_if_due()

    def append_events(self, table: str, columns: Mapping[str, Any]) -> None:
        """Add rows to an event table: column -> array of numbers, codes or texts, all of one length."""
        if table not in self.events:
            raise ModelError("recorder", self._t_ms, f"no event table '{table}'{nearest(table, self.events)}")
        events = self.events[table]
        unnamed = events.put(columns)
        self.append_texts(unnamed)
        if events.pending >= BATCH:
            self._write([events])
        self._flush_if_due()

    def append_texts(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Add lines to the free texts of events, beside those that uncoded texts make by themselves."""
        if lines and self._text is None:
            self._text = self.text_path.open("w", encoding="utf-8", newline="\n")
        if self._text is not None:
            self._text.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < needed + _SPARE_BYTES:
            # HDF5 does not survive a full disk: stop while the file is still whole.
            raise ModelError(
                "recorder", self._t_ms,
                f"{free / 1e6:.0f} MB free in {self.path.parent}, {(needed + _SPARE_BYTES) / 1e6:.0f} MB "
                "needed for the next rows; free some space or write elsewhere (what was written is kept)",
            )  # fmt: skip

    def _write(self, parts: Sequence[Series | EventLog]) -> None:
        self._check_space(sum(p.pending_bytes() for p in parts))
        try:
            for part in parts:
                part.write_rows()
            self._file.flush()
            for part in parts:
                part.commit()
            self._file.flush()
        except (OSError, RuntimeError) as err:
            self._let_go()
            raise ModelError(
                "recorder", self._t_ms,
                f"cannot write {self.path} any further: {_reason(err)}; free some space or write elsewhere, "
                "and `gridseam repair` it (what was flushed is kept)",
            ) from err

    def _let_go(self) -> None:
        """Leave the file as it is: HDF5 would crash the process if it could not write on closing either."""
        self._lost = True
        with suppress(OSError, RuntimeError, ValueError):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self._file.id.get_vfd_handle())
            os.close(nowhere)

    def _flush_if_due(self) -> None:
        if time.monotonic() - self._last_flush > self._pause_s:
            self.flush()

    def flush(self) -> None:
        """Bring everything appended so far into the file."""
        began = time.monotonic()
        self._write([*self.series.values(), *self.events.values()])
        if self._text is not None:
            self._text.flush()
        self._last_flush = time.monotonic()
        worth_s = (self._last_flush - began) / _FLUSH_SHARE
        self._pause_s = min(max(self._flush_s, worth_s), _MOST_PAUSES * self._flush_s)

    def move_to(self, path: str | Path) -> None:
        """Let the file, open as it is, take the place of `path`, and its texts that of the texts there."""
        self.flush()
        target = Path(path)
        self.path.replace(target)
        texts = target.with_suffix(".events.jsonl")
        if self._text is not None:
            self.text_path.replace(texts)
        else:
            texts.unlink(missing_ok=True)
        self.path, self.text_path = target, texts

    def close(self, status: str = "complete", kpis: Mapping[str, float] | None = None) -> None:
        """Flush, note how the run ended and the key figures, and close; closing twice does nothing."""
        if status not in STATUS:
            raise ModelError("recorder", self._t_ms, f"status '{status}' is not one of {', '.join(STATUS)}")
        if not self._file:
            return
        try:
            if self._lost:
                return
            self._status[()] = STATUS.index("aborted")  # stands if what follows fails
            self.flush()
            if kpis:
                fill_kpis(self._file, kpis, {})
            self._status[()] = STATUS.index(status)
        finally:
            with suppress(OSError, RuntimeError) if self._lost else nullcontext():
                self._file.close()
            if self._text is not None:
                self._text.close()

    def discard(self) -> None:
        """Close and remove the file and its text, as if the run had never been begun."""
        if self._file:
            self._file.close()
        if self._text is not None:
            self._text.close()
        self.path.unlink(missing_ok=True)
        self.text_path.unlink(missing_ok=True)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close("complete")
        else:
            try:
                self.close("aborted")
            except ModelError:  # the first error is the one to be told
                return


def fill_kpis(file: h5py.File, values: Mapping[str, float], limits: Mapping[str, tuple[float, bool]]) -> None:
    """Write key figures into the places made for them; `limits` gives (limit, passed) by name."""
    if "kpi" not in file:
        raise ModelError("recorder", 0, "the run file was created without places for KPIs")
    group = file["kpi"]
    names = [n.decode() for n in group["kpi"][()]]
    for name in values:
        if name not in names:
            raise ModelError("recorder", 0, f"no place for KPI '{name}'{nearest(name, names)}")
    old = group["value"][()]
    group["value"][...] = [values.get(n, v) for n, v in zip(names, old, strict=True)]
    if limits:
        group["limit"][...] = [limits.get(n, (np.nan, False))[0] for n in names]
        group["passed"][...] = [int(limits[n][1]) if n in limits else -1 for n in names]


def write_kpis(
    path: str | Path, values: Mapping[str, float], limits: Mapping[str, tuple[float, bool]] | None = None,
    definitions: str = "",
) -> None:  # fmt: skip
    """Write key figures into a finished run file, over the numbers that stood in their places.

    `definitions` is the fingerprint of what they were computed by; whoever reads them later may rely on it.
    """
    try:
        with h5py.File(path, "r+") as file:
            fill_kpis(file, values, limits or {})
            if definitions:
                group = file["kpi"]
                set_attributes(group, {"definitions": definitions})
                group.attrs["digest"] = np.bytes_(digest(group))
    except OSError as err:
        raise ModelError("recorder", 0, f"cannot write KPIs into {path}: {err}") from err


def write_provenance(path: str | Path, values: Mapping[str, Any]) -> None:
    """Add what is only known when a run is over (wall times) to a finished run file's ``/provenance``."""
    try:
        with h5py.File(path, "r+") as file:
            group = file["provenance"]
            set_attributes(group, dict(values))
            group.attrs["digest"] = np.bytes_(digest(group))
    except OSError as err:
        raise ModelError("recorder", 0, f"cannot write provenance into {path}: {err}") from err
