import datetime as dt
import importlib.util
from pathlib import Path

import pytest

import scenarios
from sims.der.profiles import Profiles


@pytest.fixture(scope="module")
def extract():
    path = Path(scenarios.__file__).parent / "data" / "profiles" / "extract.py"
    spec = importlib.util.spec_from_file_location("extract", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def source(folder, extract, first, hours):
    """Write tables as SimBench has them: local stamps without offset, the hour in October twice."""
    stamps = []
    at = dt.datetime.combine(first, dt.time(), extract.BERLIN)
    for k in range(hours * 4):
        local = (at.astimezone(dt.UTC) + k * dt.timedelta(minutes=15)).astimezone(extract.BERLIN)
        stamps.append(local.strftime("%d.%m.%Y %H:%M"))
    loads = [f"{name}_{part}load" for name in extract.LOADS for part in ("p", "q")]
    for file, columns in (("LoadProfile.csv", loads), ("RESProfile.csv", list(extract.SOURCES))):
        rows = [";".join(["time", *columns])]
        rows += [";".join([stamp, *[str(k / 10_000)] * len(columns)]) for k, stamp in enumerate(stamps)]
        (folder / file).write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.parametrize(("monday", "hours"), [("2016-03-21", 167), ("2016-07-18", 168), ("2016-10-24", 169)])
def test_weeks_with_and_without_a_change_of_clocks(extract, tmp_path, monday, hours):
    day = dt.date.fromisoformat(monday)
    source(tmp_path, extract, day - dt.timedelta(days=1), 9 * 24)
    rows = extract.week(tmp_path, day)
    assert len(rows) == 1 + 4 * hours
    file = tmp_path / "week.csv"
    file.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    profiles = Profiles.read(file, until_ms=hours * 3_600_000)
    assert profiles.spacing_ms == 900_000
    assert profiles.values[:, 0].tolist() == pytest.approx([(96 + k) / 10_000 for k in range(4 * hours)])
    assert rows[1][0].startswith(f"{monday}T00:00+0")


def test_every_series_of_the_shipped_files_is_named_by_the_script(extract):
    for name, monday in extract.WEEKS.items():
        path = Path(extract.__file__).parent / f"{name}_{monday.isoformat()}.csv"
        expected = [f"{n}_{part}" for n in extract.LOADS for part in "pq"] + [f"{n}_p" for n in extract.SOURCES]
        assert list(Profiles.read(path).names) == expected
