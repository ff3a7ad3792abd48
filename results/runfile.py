"""The run file while it is read: one Run, its kinds as datasets, its events, its key figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from results.attributes import plain
from results.digest import digest, vouch, vouched
from results.growing import open_growing
from results.layout import EMPTY, FORMAT, FORMAT_VERSION, STATUS, UNNAMED
from sims.core.errors import GridseamError, nearest

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]
T = TypeVar("T")
_TRIES, _PAUSE_S = 20, 0.005
"""How often, and how far apart, what seems damaged is read in a file that is being written."""


class RunError(GridseamError):
    """A run file cannot be read; names the file and what is wrong with it."""


class Run:
    """Reads one run file, finished, aborted, or still being written.

    ``run["bus"]`` is an xarray.Dataset, read lazily; `values` and `blocks` give plain arrays. Rows count
    up to the length of the time axis, which the writer extends last.

    Parameters
    ----------
    path : str or Path
        The run file; with `cut_short`, also one whose end is missing: what stood there is refused when it is read.

    Raises
    ------
    RunError
        There is no such file, it is no gridseam run, it is cut short, or its texts are damaged. Damaged
        numbers are refused when they are read.
    """

    def __init__(self, path: str | Path, *, cut_short: bool = False) -> None:
        self.path = Path(path)
        self._file = self._open(cut_short)
        try:
            self._check_origin()
        except BaseException:
            self._file.close()
            raise
        self.attrs: Mapping[str, Any] = {k: plain(v) for k, v in self._file.attrs.items()}
        self.provenance: Mapping[str, Any] = {
            k: plain(v) for k, v in self._file.get("provenance", self._file).attrs.items() if k != "digest"
        }
        self._groups = {n: g for n, g in self._file.items() if isinstance(g, h5py.Group)}
        marks = {n: next((m for m in ("time", "event") if m in g), "") for n, g in self._groups.items()}
        self.kinds: tuple[str, ...] = tuple(n for n, mark in marks.items() if mark == "time")
        self.tables: tuple[str, ...] = tuple(n for n, mark in marks.items() if mark == "event")
        self._kept: dict[str, Any] = {}
        self._length = {n: int(self._groups[n][mark].shape[0]) for n, mark in marks.items() if mark}

    def _open(self, cut_short: bool) -> h5py.File:
        if self.path.is_dir():
            raise RunError(f"{self.path}: is a folder; name a run file in it")
        if not self.path.is_file():
            raise RunError(f"{self.path}: no such run file")
        if not h5py.is_hdf5(self.path):
            raise RunError(f"{self.path}: not a gridseam run file (no HDF5 in it)")
        try:
            return h5py.File(self.path, "r")
        except (OSError, RuntimeError) as err:
            if "truncated" in str(err) and not cut_short:
                raise RunError(f"{self.path}: the file is cut short ({err}); copy it again or rerun") from err
            try:  # being written, or left behind by a killed process
                return open_growing(self.path)
            except (OSError, RuntimeError):
                raise RunError(f"{self.path}: cannot be opened ({err})") from err

    def _check_origin(self) -> None:
        try:
            form = plain(self._file.attrs.get("format", b""))
            version = int(self._file.attrs.get("format_version", 0))
            if form != FORMAT:
                raise RunError(f"{self.path}: an HDF5 file, but not a gridseam run (format is '{form}')")
            if version > FORMAT_VERSION:
                known = f"this gridseam reads up to {FORMAT_VERSION}; use a newer one"
                raise RunError(f"{self.path}: format version {version}; {known}")
            if vouched(self.path):
                return
            for name in ("/", *(n for n, g in self._file.items() if isinstance(g, h5py.Group))):
                group = self._file[name]
                if plain(group.attrs.get("digest", b"")) != digest(group):
                    raise RunError(f"{self.path}: names or attributes in group '{name}' are damaged")
            if self.status == "complete":
                vouch(self.path)
        except (OSError, KeyError, RuntimeError, UnicodeDecodeError, ValueError) as err:
            raise RunError(f"{self.path}: the file is damaged ({err})") from err

    @property
    def file(self) -> h5py.File:
        """The HDF5 file underneath."""
        return self._file

    def close(self) -> None:
        """Close the file; datasets not loaded yet become unreadable."""
        self._file.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a kind, or ``kind/quantity``."""
        return isinstance(name, str) and name in self._file

    def __getitem__(self, name: str) -> xr.Dataset:
        """Return a kind or an event table as a lazy dataset; event texts stay codes (see `events`)."""
        import h5netcdf
        import xarray as xr
        from xarray.backends import H5NetCDFStore

        self._group(name)
        store = H5NetCDFStore(h5netcdf.File(self._file, "r", decode_vlen_strings=True), group=name)
        data = xr.open_dataset(store)
        dim = "time" if name in self.kinds else "event"
        return data.isel({dim: slice(0, self._length[name])}) if name in self._length else data

    def _group(self, name: str) -> h5py.Group:
        if name not in self._groups:
            hint = f"{nearest(name, self._groups)}; it has {', '.join(self._groups)}"
            raise RunError(f"{self.path}: no '{name}' in this run{hint}")
        return self._groups[name]

    def _rows(self, name: str) -> int:
        self._group(name)
        return self._length[name]

    def columns(self, kind: str) -> list[str]:
        """Return the names of everything that stands in a group."""
        return list(self._group(kind))

    def about(self, kind: str, column: str) -> dict[str, Any]:
        """Return the attributes of a column that are plain values: units, long_name, ..."""
        attrs = self.dataset(kind, column).attrs
        return {k: plain(attrs[k]) for k in ("units", "long_name", "standard_name", "comment", "source") if k in attrs}

    def dataset(self, kind: str, column: str) -> h5py.Dataset:
        """Return a column as it lies in the file, nothing read yet."""
        group = self._group(kind)
        if column not in group:
            raise RunError(f"{self.path}: '{kind}' has no '{column}'{nearest(column, group)}")
        return group[column]

    def _read(self, kind: str, column: str, part: Any) -> Any:
        for _ in range(_TRIES):
            try:
                return self.dataset(kind, column)[part]
            except OSError as err:
                failed = err
            if self.status != "running":
                break
            time.sleep(_PAUSE_S)  # its writer may just have been writing this chunk again, with further rows
        raise RunError(f"{self.path}: {kind}/{column} is damaged ({failed})") from failed

    def values(self, kind: str, quantity: str) -> NDArray[Any]:
        """Return a quantity over all time, shape (time, labels)."""
        found: NDArray[Any] = self._read(kind, quantity, slice(0, self._rows(kind)))
        return found

    def blocks(self, kind: str, quantity: str, rows: int = 1024) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield (rows, values) piece by piece, so that a quantity larger than the memory can be summed."""
        for start in range(0, self._rows(kind), rows):
            part = slice(start, min(start + rows, self._rows(kind)))
            yield part, self._read(kind, quantity, part)

    def once(self, key: str, work: Callable[[], T]) -> T:
        """Return what `work` gives, doing it only the first time `key` is asked for."""
        if key not in self._kept:
            self._kept[key] = work()
        found: T = self._kept[key]
        return found

    def part(self, kind: str, quantity: str, rows: slice) -> NDArray[Any]:
        """Return some rows of a quantity, shape (rows, labels)."""
        stop = self._rows(kind)
        found: NDArray[Any] = self._read(kind, quantity, slice(rows.start or 0, min(rows.stop or stop, stop)))
        return found

    def static(self, kind: str, column: str) -> NDArray[Any]:
        """Return a column that does not change, shape (labels,); texts as str objects."""
        data = self.dataset(kind, column)
        if h5py.check_string_dtype(data.dtype):
            return np.asarray(data.asstr()[()], dtype=object)
        return np.asarray(self._read(kind, column, ()))

    def labels(self, kind: str) -> list[str]:
        """Return the names of the things of a kind."""
        return [str(x) for x in self.static(kind, kind)]

    def group_attrs(self, kind: str) -> dict[str, Any]:
        """Return the attributes of a kind, such as ``v_max_pu``."""
        return {k: plain(v) for k, v in self._group(kind).attrs.items() if k != "digest"}

    def has(self, kind: str, *quantities: str) -> bool:
        """Tell whether the run holds a kind with all these columns and at least one row."""
        return self._length.get(kind, 0) > 0 and all(q in self._groups[kind] for q in quantities)

    def seconds(self, kind: str) -> Floats:
        """Return the times of the rows of a kind [s since the start]."""
        return np.asarray(self._read(kind, "time", slice(None)), dtype=float)

    def spans_s(self, kind: str) -> Floats:
        """Return how long each row stands [s]: until the next row, the last one for the kind's own pace."""
        t_s = self.seconds(kind)
        return np.diff(t_s, append=t_s[-1:] + self._group(kind).attrs["every_ms"] / 1000.0)

    def column(self, table: str, column: str) -> NDArray[Any]:
        """Return a column of an event table as it is stored: numbers, or codes."""
        found: NDArray[Any] = self._read(table, column, slice(0, self._rows(table)))
        return found

    def names(self, table: str, column: str) -> list[str]:
        """Return the texts that the codes 0, 1, ... of a column stand for."""
        group = self._group(table)
        return [str(x) for x in group[f"{column}_name"].asstr()[()]] if f"{column}_name" in group else []

    def notes(self, table: str, column: str, note: str) -> dict[str, str]:
        """Return the note on each text of a coded column, such as the ``role`` of each ``actor``."""
        name = f"{column}_{note}"
        if name not in self._group(table):
            return {}
        return dict(zip(self.names(table, column), map(str, self.static(table, name)), strict=True))

    def texts(self, table: str, column: str) -> NDArray[np.object_]:
        """Return a coded column as texts; what was in no code table comes from events.jsonl."""
        codes = self.column(table, column)
        lookup = np.array([*self.names(table, column), "", ""], dtype=object)  # -2: none, -1: unnamed
        known = codes < len(lookup) - 2
        out: NDArray[np.object_] = lookup[np.where(known, codes, EMPTY)]
        out[~known] = [f"code {c}" for c in codes[~known]]  # a table that grew during the run
        if (codes == UNNAMED).any():
            out[codes == UNNAMED] = "?"
            for line in self._free_texts():
                if line["table"] == table and line["column"] == column and line["event"] < len(out):
                    out[line["event"]] = line["text"]
        return out

    def numbered(self, table: str, column: str) -> tuple[list[str], NDArray[np.int64]]:
        """Return the texts that occur in a coded column, sorted, and which of them each event carries."""
        return self.once(f"{table}/{column}", partial(self._numbered, table, column))

    def _numbered(self, table: str, column: str) -> tuple[list[str], NDArray[np.int64]]:
        codes, names = self.column(table, column), [*self.names(table, column), ""]
        if len(codes) == 0 or codes.max() >= len(names) - 1 or (codes == UNNAMED).any():
            texts, index = np.unique(self.texts(table, column).astype(str), return_inverse=True)
            return texts.tolist(), index.astype(np.int64)
        codes = np.where(codes < 0, len(names) - 1, codes)
        occur = sorted({names[code] for code in np.flatnonzero(np.bincount(codes))})
        place = {name: k for k, name in enumerate(occur)}
        return occur, np.array([place.get(name, -1) for name in names], np.int64)[codes]

    def is_one_of(self, table: str, column: str, *wanted: str) -> NDArray[np.bool_]:
        """Tell of every event whether its coded text is one of `wanted`; an empty text is ``""``."""
        return self.once(f"{table}/{column} in {wanted}", partial(self._is_one_of, table, column, wanted))

    def _is_one_of(self, table: str, column: str, wanted: tuple[str, ...]) -> NDArray[np.bool_]:
        codes, texts = self.column(table, column), {EMPTY: "", **dict(enumerate(self.names(table, column)))}
        found = np.isin(codes, [code for code, name in texts.items() if name in wanted])
        if not set(wanted) <= set(texts.values()) and (codes == UNNAMED).any():
            found |= np.isin(self.texts(table, column).astype(str), wanted)
        return found

    def _free_texts(self) -> Iterator[dict[str, Any]]:
        path = self.path.with_suffix(".events.jsonl")
        if path.is_file():
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    if line.endswith("\n"):  # the last line of a killed process may be half a line
                        yield json.loads(line)

    def events(self, table: str) -> xr.Dataset:
        """Return an event table with its codes turned into texts."""
        data = self[table].load()
        for column in [c for c in data.data_vars if self.is_coded(table, str(c))]:
            about = {"long_name": data[column].attrs.get("long_name", "")}
            data[column] = ("event", self.texts(table, str(column)), about)
        return data.drop_dims([d for d in data.dims if d != "event"])

    def is_coded(self, table: str, column: str) -> bool:
        """Tell whether a column of an event table holds codes of texts."""
        return "events.jsonl" in self.about(table, column).get("comment", "")

    @property
    def actions(self) -> xr.Dataset:
        """Every act and refused act: t_ms, actor, duty, asset, quantity, refused, value, count."""
        return self.events("actions")

    @property
    def messages(self) -> xr.Dataset:
        """Every message: sender, receiver, topic, sent_ms, arrived_ms, size_bytes, hops, fate."""
        return self.events("messages")

    @property
    def alarms(self) -> xr.Dataset:
        """Every alarm: t_ms, source, kind, text, value."""
        return self.events("alarms")

    @property
    def status(self) -> str:
        """``running`` (or killed while running), ``complete`` or ``aborted``."""
        return STATUS[int(self._file["status"][()])]

    @property
    def kpis(self) -> dict[str, float]:
        """The key figures that stand in the file; empty where none were written."""
        if "kpi" not in self._file:
            return {}
        names, values = self.static("kpi", "kpi"), self.static("kpi", "value")
        written = np.isfinite(values).any()
        return dict(zip(map(str, names), map(float, values), strict=True)) if written else {}

    @property
    def kpi_definitions(self) -> str:
        """Fingerprint of the definitions that the key figures in the file were computed by; empty where unknown."""
        return str(plain(self._file["kpi"].attrs.get("definitions", b""))) if "kpi" in self._file else ""

    def check(self) -> None:
        """Read everything once.

        Raises
        ------
        RunError
            A checksum does not match, naming the first column that is damaged.
        """
        for name in (*self.kinds, *self.tables, "kpi"):
            for column, data in self._file.get(name, {}).items():
                for start in range(0, max(data.shape[0], 1), 4096):
                    self._read(name, column, slice(start, start + 4096))
