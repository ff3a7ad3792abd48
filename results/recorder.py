"""The recorder: takes what the simulators hold at each step of the grid and writes it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results import goals
from results.estimates import Assessor
from results.taps import Tap, Taps
from results.writer import RunWriter
from sims.core.clock import is_tick, next_tick
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.core.orders import Action
from sims.core.ports import Inputs, Ports, Step, items

__all__ = ["Recorder", "RunWriter", "Tap"]

_ALARM = ("t_ms", "source", "kind", "text", "value")
_EVENT_PORTS = ("actions", "alarms", "reports")
_KEPT = {"actions": "actions", "alarms": "alarms", "reports": "goals"}
"""Event port -> the table its events go into."""
_NEWS = ("acts", "log", "fine")
"""State ports that hold what is new at a grid tick: acts carried out, messages settled, rows between two ticks."""
WITNESSED = "started_by"
"""Attribute of kinds that somebody else writes: simulators in processes of their own, see `results.witness`."""
FINE = "_fine"
"""Ending of kinds whose rows come in batches with times of their own, while something moves fast."""


class Recorder:
    """Writes rows of state at their own pace, and events as they come.

    Stands outside the groups that iterate within an instant, so that it sees settled values only; should
    it be stepped twice at one instant, the later values count.

    Parameters
    ----------
    writer : RunWriter
        Where to; the caller closes it.
    taps : sequence of Tap
        What state to take from where.
    hears : sequence of str
        Which event ports are connected: ``actions`` (lists of Action), ``alarms`` (mappings, or tuples of
        t_ms, source, kind, text and optionally value), ``reports`` (messages of sites to their logbook, of which
        goals and states go into the table ``goals``). What simulators write at each grid tick under ``acts``
        (tuples of Action) and ``log`` (message columns) is taken once a tick.
    step_ms : int
        The grid tick.
    assessor : Assessor, optional
        Hears the estimates that sites report and fills the kind ``estimate``.
    progress : callable, optional
        Called with the time [ms] after each step of the grid.

    Raises
    ------
    ModelError
        A tap names a kind, quantity or label that is not in the run file, or an array has the wrong length.
    """

    def __init__(
        self, writer: RunWriter, taps: Sequence[Tap], *, step_ms: int = 60_000, hears: Sequence[str] = _EVENT_PORTS,
        assessor: Assessor | None = None, progress: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self.writer, self.progress, self._assessor = writer, progress, assessor
        self.taps = [t for t in taps if t.kind not in writer.empty]
        self._check()
        self.ports = Ports(
            reads=(*dict.fromkeys(t.port for t in self.taps), *_NEWS),
            hears=tuple(p for p in hears if _KEPT[p] in writer.events or (p == "reports" and assessor)),
        )
        paces: dict[int, dict[str, tuple[Sequence[str], int]]] = {}
        for kind, series in writer.series.items():
            if not kind.endswith(FINE) and WITNESSED not in series.kind.attrs:
                paces.setdefault(series.kind.every_ms, {})[kind] = list(series.data), len(series.kind.labels)
        self._paces = {every_ms: Taps(kinds, self.taps) for every_ms, kinds in paces.items()}
        self._rows: dict[str, Mapping[str, Any] | NDArray[Any]] = {}
        self._rows_ms = self._news_ms = -1
        self._step_ms = step_ms

    def _check(self) -> None:
        for tap in self.taps:
            where = f"tap of port '{tap.port}'"
            series = self.writer.series.get(tap.kind)
            if series is None:
                raise ModelError("recorder", 0, f"{where}: no kind '{tap.kind}' in the run file")
            if tap.quantity not in series.data:
                raise ModelError("recorder", 0, f"{where}: no quantity '{tap.quantity}' in kind '{tap.kind}'")
            for source, index in tap.sources.items():
                n = len(series.kind.labels)
                if index is not None and np.size(index) and (np.min(index) < 0 or np.max(index) >= n):
                    raise ModelError(
                        "recorder", 0, f"{where}: indices of '{source}' leave the {n} labels of '{tap.kind}'"
                    )

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        """Take the rows that are due and, at a grid tick, its news; step next at the next tick."""
        if now_ms != self._rows_ms:
            self._write_rows()
        self._hear(items(inputs, "reports"), now_ms)
        due = [taps for every_ms, taps in self._paces.items() if is_tick(now_ms, every_ms)]
        if due:
            self._rows = {}
            for taps in due:
                self._rows |= taps.take(now_ms, inputs)
            if self._assessor is not None and "estimate" in self._rows and "bus" in inputs:
                self._rows["estimate"] = self._assessor.errors(now_ms, inputs["bus"])
            self._rows_ms = now_ms
        self._write_events(now_ms, inputs)
        if is_tick(now_ms, self._step_ms) and now_ms != self._news_ms:
            self._news_ms = now_ms
            self._write_actions(items(inputs, "acts"))
            for columns in inputs.get("log", {}).values():
                self._write_messages(columns)
            self._write_fine(items(inputs, "fine"))
            if self.progress is not None:
                self.progress(now_ms)
        return Step(min(next_tick(now_ms, every_ms) for every_ms in (self._step_ms, *self._paces)))

    def _hear(self, reports: Sequence[Message], now_ms: int) -> None:
        if not reports:
            return
        if self._assessor is not None:
            self._assessor.hear(reports, now_ms)
        if "goals" in self.writer.events and (told := goals.rows(reports, now_ms))["t_ms"]:
            self.writer.append_events("goals", told)

    def _write_rows(self) -> None:
        if self._rows:
            self.writer.append_rows(self._rows_ms, self._rows)
            self._rows = {}

    def _write_events(self, now_ms: int, inputs: Inputs) -> None:
        self._write_actions(items(inputs, "actions"))
        alarms = [_alarm(now_ms, item) for item in items(inputs, "alarms")]
        if alarms and "alarms" in self.ports.hears:
            self.writer.append_events("alarms", {c: [a[c] for a in alarms] for c in _ALARM})

    def _write_actions(self, actions: Sequence[Action]) -> None:
        if actions and "actions" in self.writer.events:
            columns = map(list, zip(*actions, strict=True))
            self.writer.append_events("actions", dict(zip(Action._fields, columns, strict=True)))

    def _write_messages(self, columns: Mapping[str, Any]) -> None:
        if len(columns["sent_ms"]) and "messages" in self.writer.events:
            self.writer.append_events("messages", columns)

    def _write_fine(self, rows: Sequence[tuple[int, Mapping[str, Mapping[str, Any]]]]) -> None:
        for t_ms, kinds in rows:
            for kind, values in kinds.items():
                if kind in self.writer.series:
                    wanted = self.writer.series[kind].data
                    self.writer.append(kind, t_ms, {name: row for name, row in values.items() if name in wanted})

    def finish(
        self, log: Mapping[str, Any] | None = None,
        fine: Sequence[tuple[int, Mapping[str, Mapping[str, Any]]]] = (), acts: Sequence[Action] = (),
    ) -> None:
        """Hand the last rows, and messages, fine rows and acts settled since, to the writer; before closing it."""
        self._write_rows()
        self._rows_ms = -1
        self._write_actions(acts)
        self._write_fine(fine)
        if log is not None:
            self._write_messages(log)

    def get_state(self) -> dict[str, Any]:
        """Return the row that is not yet handed to the writer, and the estimates in force."""
        return {
            "rows": deepcopy(self._rows),
            "rows_ms": self._rows_ms, "news_ms": self._news_ms,
            "estimates": self._assessor.get_state() if self._assessor is not None else None,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, with a writer that holds what was handed to it before."""
        self._rows = dict(state["rows"])
        self._rows_ms, self._news_ms = state["rows_ms"], state["news_ms"]
        if self._assessor is not None:
            self._assessor.set_state(state["estimates"])


def _alarm(now_ms: int, item: Any) -> dict[str, Any]:
    given = dict(item) if isinstance(item, Mapping) else dict(zip(_ALARM, item, strict=False))
    return {"t_ms": now_ms, "source": "", "kind": "", "text": "", "value": np.nan} | given
