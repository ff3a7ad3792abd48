"""What stands in a run file: kinds of things with their quantities, and tables of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sims.core.errors import ModelError

FORMAT = "gridseam-run"
FORMAT_VERSION = 1
STATUS = ("running", "complete", "aborted")
"""Meaning of the numbers in ``/status``."""
UNNAMED, EMPTY = -1, -2
"""Codes of a text that is not in its column's table (it stands in events.jsonl), and of no text."""

_UNITS = {
    "kv": "kV", "pu": "1", "mw": "MW", "kw": "kW", "mvar": "Mvar", "mva": "MVA", "mwh": "MWh", "hz": "Hz",
    "km": "km", "ms": "ms", "s": "s", "percent": "percent", "lon": "degrees_east", "lat": "degrees_north",
}  # fmt: skip
_STANDARD = {"lon": "longitude", "lat": "latitude"}


def unit_of(name: str) -> str:
    """Return the CF unit that the last word of a column's name states, ``1`` where it states none."""
    return _UNITS.get(name.rsplit("_", 1)[-1].lower(), "1")


def standard_name_of(name: str) -> str:
    """Return the CF standard name of a static column, empty where CF has none."""
    return _STANDARD.get(name, "")


@dataclass(frozen=True)
class Quantity:
    """One recorded quantity: a column of numbers with its unit.

    Parameters
    ----------
    name : str
        As in ``run[kind][name]``, with the unit as last word (``p_mw``).
    units : str
        UDUNITS text (``MW``, ``1`` for per unit).
    long_name : str
        What it is, for axes and tables.
    standard_name : str
        CF standard name where CF has one.
    dtype : str
        numpy type; ``f4`` unless more digits are needed.
    source : str
        The simulator whose result it is (``distribution``, ``der``, ...); empty where it is not known.
    """

    name: str
    units: str
    long_name: str
    standard_name: str = ""
    dtype: str = "f4"
    source: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of thing (bus, line, feeder, ...): becomes a group with a time axis of its own.

    Parameters
    ----------
    labels : sequence of str
        Names of the things, unique, in the order of the arrays. A kind without things is left out.
    static : mapping of str to array, shape (labels,)
        What does not change in a run: numbers, or texts.
    every_ms : int
        Spacing of the rows [ms].
    attrs : mapping
        Attributes of the group, such as the operating band ``v_min_pu``, ``v_max_pu`` of the buses.

    Raises
    ------
    ModelError
        Names collide, or a static column has another length than the labels.
    """

    name: str
    labels: Sequence[str]
    quantities: Sequence[Quantity]
    static: Mapping[str, Any] = field(default_factory=dict)
    every_ms: int = 60_000
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ["time", "index", self.name, *(q.name for q in self.quantities), *self.static]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ModelError("recorder", 0, f"kind '{self.name}' has two columns named {', '.join(twice)}")
        if len(set(self.labels)) != len(self.labels):
            seen: set[str] = set()
            double = next(x for x in self.labels if x in seen or seen.add(x))  # type: ignore[func-returns-value]
            raise ModelError("recorder", 0, f"kind '{self.name}' has two things labelled '{double}'")
        for column, values in self.static.items():
            if np.shape(values) != (len(self.labels),):
                got = f"{self.name}.{column} has shape {np.shape(values)}"
                raise ModelError("recorder", 0, f"{got}, but there are {len(self.labels)} labels")
        if self.every_ms <= 0:
            raise ModelError("recorder", 0, f"kind '{self.name}': every {self.every_ms} ms must be positive")
        for q in self.quantities:
            if np.dtype(q.dtype).kind != "f":
                raise ModelError("recorder", 0, f"{self.name}.{q.name} is {q.dtype}; gaps need f4 or f8")


@dataclass(frozen=True)
class EventTable:
    """One table of events; texts are stored as codes into tables fixed at the start.

    Parameters
    ----------
    columns : sequence of Quantity
        In order; a column with a code table is stored as ``i4``.
    code_tables : mapping of column to sequence of str
        The texts that codes 0, 1, 2, ... stand for.
    notes : mapping of (column, note) to sequence of str
        A further text to each code, such as ``("actor", "role")``.
    """

    name: str
    columns: Sequence[Quantity]
    code_tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {c.name for c in self.columns}
        for column in self.code_tables:
            if column not in names:
                raise ModelError("recorder", 0, f"event table '{self.name}' has no column '{column}' to code")
        for (column, note), texts in self.notes.items():
            if len(texts) != len(self.code_tables.get(column, ())):
                what = f"'{note}' has {len(texts)} texts for {len(self.code_tables.get(column, ()))} codes"
                raise ModelError("recorder", 0, f"event table '{self.name}', column '{column}': {what}")


def _text(name: str, long_name: str) -> Quantity:
    return Quantity(name, "1", long_name, dtype="i4")


_T = Quantity("t_ms", "ms", "time since the start of the run", dtype="i8")


def action_table(
    code_tables: Mapping[str, Sequence[str]], roles: Mapping[str, str] | None = None
) -> EventTable:
    """Return ``/actions``: who did what, under which duty, on what; texts coded by `code_tables`.

    `code_tables` gives the known names of ``actor``, ``duty``, ``asset``, ``quantity`` and ``refused``
    (the rules that may refuse an act); what is missing there goes to events.jsonl. `roles` maps actors to
    their role (``dms``, ``tso``, ...).
    """
    texts = {
        "actor": "who acted", "duty": "under which duty", "asset": "on what", "quantity": "what was moved",
        "refused": "rule that forbade it",
    }  # fmt: skip
    columns = [_T, *(_text(n, long) for n, long in texts.items())]
    columns += [
        Quantity("value", "1", "new value, in the unit the quantity names", dtype="f8"),
        Quantity("count", "1", "devices addressed", dtype="i4"),
    ]
    tables = {n: tuple(code_tables.get(n, ())) for n in texts}
    named = [roles.get(a, a) for a in tables["actor"]] if roles else []
    notes = {("actor", "role"): named} if named else {}
    return EventTable("actions", columns, tables, notes)


def alarm_table(code_tables: Mapping[str, Sequence[str]]) -> EventTable:
    """Return ``/alarms``: when, from where (``source``), what sort (``kind``), and free ``text``."""
    texts = {"source": "who raised it", "kind": "what sort of alarm", "text": "what it says"}
    columns = [_T, *(_text(n, long) for n, long in texts.items())]
    columns.append(Quantity("value", "1", "value that raised it", dtype="f8"))
    return EventTable("alarms", columns, {n: tuple(code_tables.get(n, ())) for n in texts})


def goal_table(code_tables: Mapping[str, Sequence[str]]) -> EventTable:
    """Return ``/goals``: what sites aim at and how they stand, a row for each number they tell."""
    texts = {
        "source": "who told it", "duty": "under which duty", "about": "of which feeder, interface or cell",
        "quantity": "what, with its unit",
    }  # fmt: skip
    columns = [_T, *(_text(n, long) for n, long in texts.items())]
    columns.append(Quantity("value", "1", "value, in the unit the quantity names", dtype="f8"))
    return EventTable("goals", columns, {n: tuple(code_tables.get(n, ())) for n in texts})


def message_table(
    addresses: Sequence[str], topics: Sequence[str], fates: Sequence[str]
) -> EventTable:
    """Return ``/messages``: every message with its fate; `fates` names what the codes mean.

    Fates other than ``delivered``, ``duplicate``, ``replayed`` and ``in flight`` are causes of loss.
    """
    columns = [
        _text("sender", "from"), _text("receiver", "to"), _text("topic", "about what"),
        Quantity("sent_ms", "ms", "time of sending", dtype="f8"),
        Quantity("arrived_ms", "ms", "time of arrival, NaN where it never arrived", dtype="f8"),
        Quantity("size_bytes", "bytes", "size on the wire", dtype="i4"),
        Quantity("hops", "1", "links passed", dtype="i4"),
        _text("fate", "what became of it"),
    ]  # fmt: skip
    tables = {"sender": addresses, "receiver": addresses, "topic": topics, "fate": fates}
    return EventTable("messages", columns, tables)
