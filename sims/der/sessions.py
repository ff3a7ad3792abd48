"""When vehicles are plugged in and what they need: drawn from a seeded behaviour, or read from a CSV file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_H
from sims.core.errors import Problem, ScenarioError, nearest
from sims.der.fleet import DeviceTable

NEVER_MS = np.iinfo(np.int64).max // 4
_COLUMNS = ("device", "vehicle", "arrival", "departure", "energy_kwh", "v2g")


@dataclass(frozen=True)
class Behaviour:
    """How drivers charge at home. Hours are local; normal around the mean, cut off at three deviations.

    Energy (into the battery) is normal around `energy_kwh`, at least `energy_min_kwh`, at most three quarters
    of the battery, and never more than the stay allows. `daily_share` of the vehicles plug in on a given day.
    """

    arrival_h: float = 18.0
    arrival_sd_h: float = 2.0
    departure_h: float = 31.5
    departure_sd_h: float = 1.2
    energy_kwh: float = 9.0
    energy_sd_kwh: float = 2.5
    energy_min_kwh: float = 1.0
    battery_kwh: float = 60.0
    daily_share: float = 0.8
    eta_charge: float = 0.92


@dataclass(frozen=True)
class Sessions:
    """Stays of every vehicle, in order; entries that are not used arrive never.

    Attributes
    ----------
    cluster : ndarray of int, [vehicle]
        Position of the charging cluster among the EV devices, rising.
    arrival_ms, departure_ms : ndarray of int, [stay, vehicle]
        Relative to the start of the run [ms].
    energy_mwh : ndarray, [stay, vehicle]
        Energy wanted in the battery by departure [MWh].
    v2g : ndarray of bool, [vehicle]
        Able and allowed to feed back.
    battery_mwh : ndarray, [vehicle]
    """

    cluster: NDArray[np.int64]
    arrival_ms: NDArray[np.int64]
    departure_ms: NDArray[np.int64]
    energy_mwh: NDArray[np.float64]
    v2g: NDArray[np.bool_]
    battery_mwh: NDArray[np.float64]


def _days_ms(start: dt.datetime, days: int) -> NDArray[np.int64]:
    """Return local midnights around `start`, from the day before it [ms after start]; days may have 23 or 25 h."""
    first = start.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    out = [
        (first + dt.timedelta(days=k - 1)).replace(tzinfo=start.tzinfo).timestamp() - start.timestamp()
        for k in range(days)
    ]
    return np.round(np.array(out) * 1000).astype(np.int64)


def _wall(midnights_ms: NDArray[np.int64], hour: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the instants of local hours, counted from the midnight of each row's day [ms], [day, vehicle].

    Clocks change in the small hours: later hours of such a day lie an hour nearer to or farther from midnight.
    """
    carry = np.floor(hour / 24).astype(np.int64)
    day = np.arange(len(hour))[:, None] + carry
    rest_ms = np.round((hour - 24 * carry) * MS_PER_H).astype(np.int64)
    change_ms = np.diff(midnights_ms) - 24 * MS_PER_H
    at: NDArray[np.int64] = midnights_ms[day] + rest_ms + change_ms[day] * (rest_ms >= 3 * MS_PER_H)
    return at


def drawn(
    table: DeviceTable, *, seed: int, start: dt.datetime, until_ms: int, behaviour: Behaviour | None = None
) -> Sessions:
    """Return stays for all EV clusters of `table`, the same for the same seed whatever the other feeders do.

    Each feeder draws from ``SeedSequence([seed, crc32(feeder name), crc32("ev")])``, for its vehicles and one
    day after the other, so that a longer run begins with the same stays.
    """
    b = behaviour or Behaviour()
    index = table.of_kind("ev")
    vehicles = table.vehicles[index]
    cluster = np.repeat(np.arange(len(index)), vehicles)
    days = int(until_ms // (24 * MS_PER_H)) + 3
    midnights = _days_ms(start, days + 4)
    count = len(cluster)
    draws = np.empty((3, days, count))
    takes = np.empty((days, count))
    v2g = np.empty(count)
    feeder = table.feeder[index][cluster]
    for number in np.unique(feeder):
        here = np.flatnonzero(feeder == number)
        key = zlib.crc32(table.feeder_names[number].encode())
        rng = np.random.default_rng(np.random.SeedSequence([seed, key, zlib.crc32(b"ev")]))
        v2g[here] = rng.random(len(here))
        for day in range(days):
            draws[:, day, here] = np.clip(rng.standard_normal((3, len(here))), -3, 3)
            takes[day, here] = rng.random(len(here))
    plug_mw = table.plug_mw[index][cluster]
    arrival = _wall(midnights, b.arrival_h + b.arrival_sd_h * draws[0])
    departure = _wall(midnights, b.departure_h + b.departure_sd_h * draws[1])
    energy = np.clip(b.energy_kwh + b.energy_sd_kwh * draws[2], b.energy_min_kwh, 0.75 * b.battery_kwh)
    energy = np.minimum(energy / 1000, plug_mw * (departure - arrival) / MS_PER_H * b.eta_charge)
    stays = takes < b.daily_share
    return Sessions(
        cluster, *_packed(stays, arrival, departure, energy),
        v2g < table.v2g_share[index][cluster], np.full(count, b.battery_kwh / 1000),
    )


def _packed(
    stays: NDArray[np.bool_], arrival: NDArray[np.int64], departure: NDArray[np.int64], energy: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Move the stays that take place to the front, fill up with ones that never come, end with one such."""
    order = np.argsort(~stays, axis=0, kind="stable")
    here = np.take_along_axis(stays, order, axis=0)
    last = np.full((1, stays.shape[1]), NEVER_MS)
    arr = np.where(here, np.take_along_axis(arrival, order, axis=0), NEVER_MS)
    dep = np.where(here, np.take_along_axis(departure, order, axis=0), NEVER_MS)
    need = np.where(here, np.take_along_axis(energy, order, axis=0), 0.0)
    return np.vstack([arr, last]), np.vstack([dep, last]), np.vstack([need, np.zeros((1, stays.shape[1]))])


def read(path: str | Path, table: DeviceTable, *, start: dt.datetime, battery_kwh: float = 60.0) -> Sessions:
    """Read stays from a CSV file with the columns device, vehicle, arrival, departure, energy_kwh, v2g.

    Times are ISO 8601; without an offset they are local times of `start`'s zone. `v2g` is 0 or 1.

    Raises
    ------
    ScenarioError
        Every line at fault is listed: unknown device, unreadable entry, departure before arrival, negative
        energy, stays of one vehicle that overlap.
    """
    file = Path(path)
    index = table.of_kind("ev")
    place = {str(table.name[k]): n for n, k in enumerate(index)}
    problems: list[Problem] = []
    stays: dict[tuple[int, str], list[tuple[int, int, float, bool, int]]] = {}
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        what = "is not UTF-8; save the file as UTF-8" if isinstance(err, ValueError) else f"cannot be read: {err}"
        raise ScenarioError([Problem(file.name, "", what)]) from err
    with io.StringIO(text, newline="") as opened:
        rows = csv.DictReader(opened)
        missing = [c for c in _COLUMNS if c not in (rows.fieldnames or ())]
        if missing:
            raise ScenarioError([Problem(f"{file.name}:1", "", f"columns missing: {', '.join(missing)}")])
        for row in rows:
            where = f"{file.name}:{rows.line_num}"
            if row["device"] not in place:
                text = f"no EV device '{row['device']}'{nearest(row['device'] or '', place)}"
                problems.append(Problem(where, "device", text))
                continue
            try:
                arrival, departure = (_instant(row[c], start) for c in ("arrival", "departure"))
                energy = float(row["energy_kwh"]) / 1000
            except (TypeError, ValueError) as err:
                problems.append(Problem(where, "", str(err)))
                continue
            if departure <= arrival or not energy >= 0:
                problems.append(Problem(where, "", "departure must follow arrival, energy must be 0 or more"))
                continue
            entry = (arrival, departure, energy, row["v2g"].strip() in ("1", "true"), rows.line_num)
            stays.setdefault((place[row["device"]], row["vehicle"]), []).append(entry)
    for (_, vehicle), own in stays.items():
        own.sort()
        for before, after in itertools.pairwise(own):
            if after[0] < before[1]:
                text = f"vehicle '{vehicle}' arrives before it left (line {before[4]})"
                problems.append(Problem(f"{file.name}:{after[4]}", "arrival", text))
    if problems:
        raise ScenarioError(problems)
    keys = sorted(stays)
    depth = max((len(own) for own in stays.values()), default=0)
    taken = np.zeros((depth, len(keys)), dtype=bool)
    arr, dep = (np.zeros((depth, len(keys)), dtype=np.int64) for _ in range(2))
    need = np.zeros((depth, len(keys)))
    for column, key in enumerate(keys):
        for row_number, (a, d, e, _, _) in enumerate(stays[key]):
            taken[row_number, column] = True
            arr[row_number, column], dep[row_number, column], need[row_number, column] = a, d, e
    return Sessions(
        np.array([key[0] for key in keys], dtype=np.int64), *_packed(taken, arr, dep, need),
        np.array([any(s[3] for s in stays[key]) for key in keys], dtype=bool),
        np.full(len(keys), battery_kwh / 1000),
    )


def _instant(text: str, start: dt.datetime) -> int:
    stamp = dt.datetime.fromisoformat(text.strip())
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=start.tzinfo)
    return round((stamp.timestamp() - start.timestamp()) * 1000)


def zoned(start: dt.datetime, timezone: str = "Europe/Berlin") -> dt.datetime:
    """Return the same instant in a zone with its changes of clock, which a bare offset does not have."""
    return start.astimezone(ZoneInfo(timezone))
