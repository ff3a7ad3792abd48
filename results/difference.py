"""Where two runs part: which number differs first, in which simulator, at what time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.runfile import Run
from results.tables import BLOCK, clock_of, event_table, quantities
from sims.core.errors import GridseamError

CAUSES = ("comms", "controllers", "der", "distribution", "transmission", "recorder")
"""Order in which a step hands values on; of differences at one instant the earlier is named first."""
_TELLING = ("scenario", "variant", "architecture", "stage", "seed", "start")


@dataclass(frozen=True)
class Difference:
    """One column in which two runs differ, at the first place where they do.

    Parameters
    ----------
    t_s : float
        When, in seconds since the start.
    simulator : str
        Whose result it is, with the DSO where there is one simulator for each.
    column : str
        ``bus.vm_pu``, ``actions.value``, ...
    label : str
        The thing, or ``row 17`` of an event table.
    a, b : str
        What stands there in either run.
    count : int
        How many values of the column differ.
    largest : float
        Largest absolute difference; NaN where texts or gaps differ.
    """

    t_s: float
    simulator: str
    column: str
    label: str
    a: str
    b: str
    count: int
    largest: float

    def __str__(self) -> str:
        size = "" if np.isnan(self.largest) else f", by at most {self.largest:.3g}"
        many = f"{self.count} values differ{size}" if self.count > 1 else "this value alone differs"
        return (
            f"at {self.t_s:.3f} s in {self.simulator}: {self.column} of {self.label} is {self.a} and {self.b} ({many})"
        )


@dataclass(frozen=True)
class Differences:
    """How two runs differ.

    Parameters
    ----------
    settings : tuple of str
        Settings of the scenario that differ, ``seed: 1 and 2``.
    structure : tuple of str
        What only one of them holds.
    columns : tuple of Difference
        Columns of numbers and events that differ, the earliest first.
    """

    settings: tuple[str, ...]
    structure: tuple[str, ...]
    columns: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Tell whether the runs hold the same settings, things and numbers."""
        return not (self.settings or self.structure or self.columns)


def diff(a: str | Path | Run, b: str | Path | Run, rtol: float = 0.0, atol: float = 0.0) -> Differences:
    """Compare two runs; provenance (machine, versions, wall times) does not count.

    Parameters
    ----------
    a, b : path or Run
        The runs.
    rtol, atol : float
        Numbers within ``atol + rtol * abs(a)`` of each other count as equal; gaps equal gaps.

    Raises
    ------
    GridseamError
        A run cannot be read, or a tolerance is negative.
    """
    if not (rtol >= 0 and atol >= 0):
        raise GridseamError(f"tolerances must not be negative: rtol {rtol}, atol {atol}")
    if not isinstance(a, Run):
        with Run(a) as opened:
            return diff(opened, b, rtol, atol)
    if not isinstance(b, Run):
        with Run(b) as opened:
            return diff(a, opened, rtol, atol)
    structure: list[str] = []
    found: list[Difference] = []
    groups = {*a.kinds, *a.tables}, {*b.kinds, *b.tables}
    structure += _only(groups[0], groups[1], "")
    for name in [n for n in (*a.kinds, *a.tables) if n in groups[1]]:
        if name in a.kinds and name in b.kinds:
            found += _kind(a, b, name, rtol, atol, structure)
        else:
            found += _events(a, b, name, rtol, atol, structure)
    if a.status != b.status:
        structure.append(f"one is {a.status}, the other {b.status}")
    found.sort(key=lambda d: (d.t_s, _rank(d.simulator), d.column))
    return Differences(tuple(_settings(a, b)), tuple(structure), tuple(found))


def _rank(simulator: str) -> int:
    word = simulator.partition(" ")[0]
    return CAUSES.index(word) if word in CAUSES else len(CAUSES)


def _only(a: set[str], b: set[str], of: str) -> Iterator[str]:
    for which, names in (("first", a - b), ("second", b - a)):
        if names:
            shown = ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            yield f"only in the {which}: {of}{shown}"


def _settings(a: Run, b: Run) -> Iterator[str]:
    for key in _TELLING:
        left, right = a.attrs.get(key, ""), b.attrs.get(key, "")
        if left != right:
            yield f"{key}: {left} and {right}"
    left, right = (json.loads(run.attrs.get("scenario_json", "{}")) for run in (a, b))
    yield from _unlike(left, right, "")


def _unlike(a: Any, b: Any, path: str) -> Iterator[str]:
    """Yield where two pieces of a scenario differ, by dotted key; what a pairing replaces does not count."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys((*a, *b)):
            if path or key not in ("pairing", "matrix", "seed", "expect"):
                yield from _unlike(a.get(key), b.get(key), f"{path}.{key}" if path else key)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _unlike(x, y, f"{path}.{i}")
    elif a != b:
        yield f"{path}: {_short(a)} and {_short(b)}"


def _short(value: Any) -> str:
    text = "not set" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unequal(x: NDArray[Any], y: NDArray[Any], rtol: float, atol: float) -> NDArray[np.bool_]:
    if x.dtype.kind not in "fiu":
        return np.asarray(x.astype(str) != y.astype(str))
    with np.errstate(invalid="ignore"):
        close = np.abs(x - y) <= atol + rtol * np.abs(x)
    return np.asarray(~(close | (x == y) | (np.isnan(x) & np.isnan(y))), dtype=bool)


def _kind(a: Run, b: Run, kind: str, rtol: float, atol: float, structure: list[str]) -> Iterator[Difference]:
    labels, columns = (tuple(map(f, (a, b))) for f in (lambda r: r.labels(kind), lambda r: quantities(r, kind)))
    structure += _only(set(labels[0]), set(labels[1]), f"{kind} ")
    structure += _only(set(columns[0]), set(columns[1]), f"{kind}.")
    place = {x: i for i, x in enumerate(labels[1])}
    shared = [(i, place[x]) for i, x in enumerate(labels[0]) if x in place]
    if not shared:
        return
    left, right = (np.array(side) for side in zip(*shared, strict=True))
    times = [run.seconds(kind) for run in (a, b)]
    rows = min(map(len, times))
    apart = np.flatnonzero(times[0][:rows] != times[1][:rows])
    rows = int(apart[0]) if apart.size else rows
    if len({len(t) for t in times} | {rows}) > 1:
        structure.append(f"rows of {kind}: {len(times[0])} and {len(times[1])}, at equal times only the first {rows}")
    for quantity in [q for q in columns[0] if q in columns[1]]:
        first: tuple[int, int] | None = None
        count, largest = 0, np.nan
        for start in range(0, rows, BLOCK):
            part = slice(start, min(start + BLOCK, rows))
            x, y = a.part(kind, quantity, part)[:, left], b.part(kind, quantity, part)[:, right]
            differs = _unequal(x, y, rtol, atol)
            if differs.any():
                row, column = (int(k) for k in np.argwhere(differs)[0])
                first = first or (start + row, column)
                count += int(differs.sum())
                sizes = np.abs(x.astype(float) - y.astype(float))[differs]
                largest = np.fmax(largest, np.fmax.reduce(sizes, initial=np.nan))
        if first is not None:
            row, column = first
            at = (slice(row, row + 1), int(left[column]), int(right[column]))
            values = a.part(kind, quantity, at[0])[0, at[1]], b.part(kind, quantity, at[0])[0, at[2]]
            yield Difference(
                float(times[0][row]), _simulator(a, kind, quantity, at[1]), f"{kind}.{quantity}", labels[0][at[1]],
                _shown(values[0]), _shown(values[1]), count, float(largest),
            )  # fmt: skip


def _shown(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "a gap" if np.isnan(value) else str(value)
    return str(value) if str(value) else "nothing"


def _simulator(run: Run, kind: str, quantity: str, label: int) -> str:
    """Return whose result a quantity is: the simulator, and the DSO where each has one."""
    source = str(run.about(kind, quantity).get("source", kind))
    if source != "distribution":
        return source
    if "dso" in run.columns(kind):
        return f"{source} {run.static(kind, 'dso')[label]}"
    if "feeder" in run.columns(kind) and "feeder" in run and "dso" in run.columns("feeder"):
        of = dict(zip(run.labels("feeder"), run.static("feeder", "dso"), strict=True))
        return f"{source} {of.get(str(run.static(kind, 'feeder')[label]), '')}".strip()
    return source


def _events(a: Run, b: Run, table: str, rtol: float, atol: float, structure: list[str]) -> Iterator[Difference]:
    """Yield the first event in which two tables part; what comes after it is shifted and says nothing."""
    sides = [event_table(run, table) for run in (a, b)]
    columns = [c for c in sides[0].columns if c in sides[1].columns]
    structure += _only(set(sides[0].columns), set(sides[1].columns), f"{table}.")
    values = [dict(zip(s.columns, next(s.blocks()), strict=True)) for s in sides]
    rows = min(s.rows for s in sides)
    differs = {c: _unequal(values[0][c][:rows], values[1][c][:rows], rtol, atol) for c in columns}
    at_row = np.flatnonzero(np.any([*differs.values(), np.zeros(rows, bool)], axis=0))
    clock = clock_of(a, table)
    if at_row.size:
        row = int(at_row[0])
        column = next(c for c in columns if differs[c][row])
        told = [str(v[column][row]) or "nothing" for v in values]
        t_ms = min(float(v[clock][row]) for v in values) if clock else np.nan
        count, label = int(at_row.size), f"row {row}"
    elif sides[0].rows != sides[1].rows:
        more = values[0] if sides[0].rows > rows else values[1]
        row, column, count = rows, columns[0], abs(sides[0].rows - sides[1].rows)
        t_ms, label = float(more[clock][row]) if clock else np.nan, f"row {row}"
        told = [str(v[column][row]) if len(v[column]) > row else "no further event" for v in values]
    else:
        return
    acted = next((v for v in values if len(v[columns[0]]) > row), values[0])
    who = ({"messages": "comms"} | dict.fromkeys(("actions", "alarms", "goals"), "controllers")).get(table, table)
    name = next((str(acted[c][row]) for c in ("actor", "source", "sender") if c in acted), "")
    yield Difference(t_ms / 1000, f"{who} {name}".strip(), f"{table}.{column}", label, told[0], told[1], count, np.nan)
