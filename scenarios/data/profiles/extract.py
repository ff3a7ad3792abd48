"""Rebuild the profile files of this folder from the data set inside the `simbench` package.

Run as ``python -m scenarios.data.profiles.extract [folder]`` or as a plain script, with `simbench` installed
(``pip install gridseam[simbench]``). Values are copied, rounded to five decimals; only the time stamps
change: SimBench gives local time without offset, so the hour that repeats in October is told apart by its
order and written with its offset from UTC.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
DATA_SET = "1-complete_data-mixed-all-0-sw"
WEEKS = {"summer": dt.date(2016, 7, 18), "winter": dt.date(2016, 12, 5)}
"""Monday of each week: high clear-sky noons at moderate wind; high wind, short days and heating load."""

LOADS = (
    "H0-A", "H0-B", "H0-C", "H0-G", "H0-H", "H0-L",
    "G0-A", "G1-A", "G1-B", "G1-C", "G2-A", "G3-A", "G3-H", "G4-A", "G4-B", "G4-H", "G5-A", "G6-A",
    "L0-A", "L1-A", "L2-A", "BL-H", "WB-H",
    "lv_rural1", "lv_rural2", "lv_rural3", "lv_semiurb4", "lv_semiurb5", "lv_urban6",
    "mv_rural", "mv_semiurb", "mv_urban", "mv_comm",
    "HLS_A_3.7", "HLS_A_11.0", "HLS_A_22.0", "APLS_A_11.0", "APLS_A_22.0", "APLS_A_50.0",
    "Air_Parallel_1", "Air_Semi-Parallel_1", "Air_Alternative_1", "Soil_Alternative_1",
    "Air_Parallel_2", "Air_Semi-Parallel_2", "Air_Alternative_2", "Soil_Alternative_2",
)
SOURCES = (
    *(f"PV{i}" for i in range(1, 9)), *(f"WP{i}" for i in range(1, 13)),
    *(f"BM{i}" for i in range(1, 6)), "Hydro1", "Hydro2", "Hydro3",
)


def rows(path: Path) -> Iterator[tuple[dt.datetime, dict[str, str]]]:
    """Yield the rows of a SimBench profile table with their instants in UTC."""
    seen: set[dt.datetime] = set()
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter=";"):
            naive = dt.datetime.strptime(row.pop("time"), "%d.%m.%Y %H:%M")
            fold = int(naive in seen)
            seen.add(naive)
            yield naive.replace(tzinfo=BERLIN, fold=fold).astimezone(dt.UTC), row


def week(folder: Path, monday: dt.date) -> list[list[str]]:
    """Return header and rows of the seven days from `monday`, loads before sources."""
    names = [f"{name}_{part}" for name in LOADS for part in ("p", "q")]
    table: dict[dt.datetime, list[str]] = {}
    first = dt.datetime.combine(monday, dt.time(), BERLIN)
    last = dt.datetime.combine(monday + dt.timedelta(days=7), dt.time(), BERLIN)
    columns = [f"{name}_{part}load" for name in LOADS for part in ("p", "q")]
    for file, wanted in (("LoadProfile.csv", columns), ("RESProfile.csv", list(SOURCES))):
        for at, row in rows(folder / file):
            if first <= at < last:
                table.setdefault(at, []).extend(f"{float(row[c]):.5f}".rstrip("0").rstrip(".") for c in wanted)
    header = ["time", *names, *(f"{name}_p" for name in SOURCES)]
    stamps = {at: at.astimezone(BERLIN).isoformat(timespec="minutes") for at in sorted(table)}
    return [header, *([stamp, *table[at]] for at, stamp in stamps.items())]


def main() -> None:
    """Write one file a week into the folder given, or beside this script."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    found = importlib.util.find_spec("simbench")
    if found is None or found.origin is None:
        raise SystemExit("the package 'simbench' is not installed: pip install gridseam[simbench]")
    folder = Path(found.origin).parent / "networks" / DATA_SET
    for name, monday in WEEKS.items():
        path = target / f"{name}_{monday.isoformat()}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(week(folder, monday))
        sys.stdout.write(f"{path}: {sum(1 for _ in path.open(encoding='utf-8')) - 1} rows\n")


if __name__ == "__main__":
    main()
