"""Measured or standard profiles: many series on one time axis, read from CSV and asked at any instant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_MIN
from sims.core.errors import Problem, ScenarioError, nearest

Interpolation = Literal["hold", "linear"]


@dataclass(frozen=True)
class Profiles:
    """Series of equal spacing; time 0 of a run is `start`.

    Parameters
    ----------
    names : tuple of str
        Name of each series.
    values : ndarray, [row, series]
        Shares of rated power, or whatever the column holds [1].
    first_ms : int
        Time of the first row relative to `start`, at most 0 [ms].
    spacing_ms : int
        From row to row [ms].
    start : datetime
        The instant at which a run begins, with its offset from UTC.
    interpolation : {"hold", "linear"}
        Between rows the earlier row holds, or a straight line joins both. The last row is valid for one
        further spacing either way.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    first_ms: int
    spacing_ms: int
    start: dt.datetime
    interpolation: Interpolation = "hold"

    @property
    def end_ms(self) -> int:
        """First instant after `start` that the profiles no longer cover [ms]."""
        return self.first_ms + self.spacing_ms * len(self.values)

    def column(self, name: str) -> int:
        """Return the place of the series `name`.

        Raises
        ------
        ScenarioError
            There is no such series; the nearest name is given.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise ScenarioError(f"profile '{name}' is not in the file{nearest(name, self.names)}") from None

    def at(self, now_ms: int) -> NDArray[np.float64]:
        """Return the value of every series at `now_ms` [ms after `start`], shape [series].

        Raises
        ------
        ScenarioError
            `now_ms` lies outside the profiles.
        """
        row, rest = divmod(now_ms - self.first_ms, self.spacing_ms)
        if not 0 <= row < len(self.values):
            raise ScenarioError(
                f"profiles cover {self.first_ms / 3.6e6:.2f} h to {self.end_ms / 3.6e6:.2f} h of the run, "
                f"asked at {now_ms / 3.6e6:.2f} h"
            )
        here: NDArray[np.float64] = self.values[row]
        if self.interpolation == "hold" or rest == 0 or row + 1 == len(self.values):
            return here
        ahead: NDArray[np.float64] = self.values[row + 1]
        return here + (ahead - here) * (rest / self.spacing_ms)

    def covering(self, until_ms: int) -> Profiles:
        """Return self if a run of `until_ms` [ms] is covered, or refuse.

        Raises
        ------
        ScenarioError
            The profiles end before the run does, or begin after it.
        """
        text = self.shortage(until_ms)
        if text:
            raise ScenarioError(text)
        return self

    def shortage(self, until_ms: int) -> str:
        """Return what a run of `until_ms` [ms] misses in the profiles, empty if it is covered."""
        if self.first_ms <= 0 and self.end_ms >= until_ms:
            return ""
        return (
            f"profiles cover {self.first_ms / 3.6e6:.2f} h to {self.end_ms / 3.6e6:.2f} h from the start "
            f"{self.start.isoformat()}, the run needs 0 h to {until_ms / 3.6e6:.2f} h: "
            "shorten the run, start it elsewhere or give longer profiles"
        )

    def joined(self, more: Mapping[str, NDArray[np.float64]]) -> Profiles:
        """Return these and further series on the same time axis; `more` is name -> values, [row]."""
        values = np.column_stack([self.values, *more.values()]) if more else self.values
        return replace(self, names=(*self.names, *more), values=values)

    @classmethod
    def read(
        cls, path: str | Path, *, start: dt.datetime | None = None, until_ms: int = 0,
        interpolation: Interpolation = "hold", timezone: str | None = None,
    ) -> Profiles:
        """Read a CSV file: a column ``time`` (ISO 8601), then one column a series.

        Parameters
        ----------
        path : path
        start : datetime, optional
            Where the run begins; the first row if left out. Without an offset it is read in `timezone`, or
            with the offset of the first row.
        until_ms : int
            Length of the run that the file has to cover [ms].
        interpolation : {"hold", "linear"}
        timezone : str, optional
            IANA name, needed where stamps carry no offset. The hour that repeats in autumn is told apart by
            its order in the file; an hour that does not exist in spring is refused.

        Raises
        ------
        ScenarioError
            With file and line: no such file, unreadable stamp or value, missing offset, gap, duplicate,
            uneven spacing, wrong number of columns; or the run is not covered.
        """
        file = Path(path)
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except OSError as err:
            raise ScenarioError([Problem(str(path), "", f"cannot be read: {err.strerror}")]) from err
        except UnicodeDecodeError:
            raise ScenarioError([Problem(str(path), "", "is not UTF-8; save the file as UTF-8")]) from None
        names = _header(file, lines)
        zone = ZoneInfo(timezone) if timezone else None
        body = [(n, line) for n, line in enumerate(lines[1:], start=2) if line.strip()]
        stamps = _Stamps(file, zone)
        utc_ms = np.array([stamps.utc_ms(n, line.split(",", 1)[0]) for n, line in body], dtype=np.int64)
        spacing = _spacing(file, utc_ms, [n for n, _ in body], stamps.texts)
        values = _values(file, body, len(names))
        first = stamps.first
        begin = first if start is None else start
        if begin.tzinfo is None:
            begin = begin.replace(tzinfo=zone or first.tzinfo)
        offset = int(utc_ms[0]) - round(begin.timestamp() * 1000)
        found = cls(names, values, offset, spacing, begin, interpolation)
        text = found.shortage(until_ms)
        if text:
            line = body[0][0] if found.first_ms > 0 else body[-1][0]
            raise ScenarioError([Problem(f"{file.name}:{line}", "time", text)])
        return found


def _refuse(file: Path, line: int, text: str) -> ScenarioError:
    return ScenarioError([Problem(f"{file.name}:{line}", "", text)])


def _header(file: Path, lines: list[str]) -> tuple[str, ...]:
    cells = [cell.strip() for cell in lines[0].split(",")] if lines else []
    if len(cells) < 2 or cells[0] != "time":
        raise _refuse(file, 1, "the header must be 'time' and at least one series, separated by commas")
    twice = {name for name in cells if cells.count(name) > 1 or not name}
    if twice:
        raise _refuse(file, 1, f"column names must be given and differ: {', '.join(sorted(twice)) or 'blank'}")
    if len([line for line in lines if line.strip()]) < 3:
        raise _refuse(file, len(lines), "needs at least two rows")
    return tuple(cells[1:])


class _Stamps:
    """Turns the stamps of one file, in their order, into UTC; remembers what it has seen."""

    def __init__(self, file: Path, zone: ZoneInfo | None) -> None:
        self.file, self.zone = file, zone
        self.texts: list[str] = []
        self._seen: set[dt.datetime] = set()

    def utc_ms(self, line: int, text: str) -> int:
        try:
            stamp = dt.datetime.fromisoformat(text.strip())
        except ValueError:
            raise _refuse(self.file, line, f"'{text}' is not a time such as 2016-07-18T00:15+02:00") from None
        if stamp.tzinfo is None:
            stamp = self._placed(line, stamp)
        if not self.texts:
            self.first = stamp
        self.texts.append(text.strip())
        return round(stamp.timestamp() * 1000)

    def _placed(self, line: int, naive: dt.datetime) -> dt.datetime:
        if self.zone is None:
            raise _refuse(self.file, line, f"'{naive}' has no offset from UTC: write one or give a time zone")
        stamp = naive.replace(tzinfo=self.zone, fold=int(naive in self._seen))
        self._seen.add(naive)
        back = stamp.astimezone(dt.UTC).astimezone(self.zone).replace(tzinfo=None)
        if back != naive:
            raise _refuse(self.file, line, f"'{naive}' does not exist in {self.zone.key} (clocks go forward)")
        return stamp


def _spacing(file: Path, utc_ms: NDArray[np.int64], lines: list[int], texts: list[str]) -> int:
    steps = np.diff(utc_ms)
    spacing = int(np.median(steps))
    wrong = np.flatnonzero((steps != spacing) | (steps <= 0))
    if len(wrong):
        k = int(wrong[0])
        step = int(steps[k])
        if step == 0:
            what = f"duplicate of line {lines[k]}"
        elif step < 0:
            what = f"lies before line {lines[k]}"
        elif spacing > 0 and step % spacing == 0:
            what = f"gap of {step // spacing - 1} rows after line {lines[k]}"
        else:
            what = f"{step / MS_PER_MIN:g} min after line {lines[k]}, where rows are {spacing / MS_PER_MIN:g} min apart"
        raise _refuse(file, lines[k + 1], f"'{texts[k + 1]}': {what}")
    return spacing


def _values(file: Path, body: Iterable[tuple[int, str]], width: int) -> NDArray[np.float64]:
    out = []
    for n, line in body:
        cells = line.split(",")[1:]
        if len(cells) != width:
            raise _refuse(file, n, f"{len(cells)} values for {width} series")
        try:
            out.append(np.array(cells, dtype=np.float64))
        except ValueError:
            bad = next(cell for cell in cells if not _is_number(cell))
            raise _refuse(file, n, f"'{bad.strip()}' is not a number") from None
        if not np.isfinite(out[-1]).all():
            raise _refuse(file, n, "a value is missing or not finite")
    return np.array(out)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
