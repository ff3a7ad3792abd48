import datetime as dt
from importlib.resources import files

import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der.profiles import Profiles

QUARTER = 900_000


def write(path, stamps, values=None):
    values = values or [(k, -k) for k in range(len(stamps))]
    rows = [f"{s},{a},{b}" for s, (a, b) in zip(stamps, values, strict=True)]
    path.write_text("time,one,two\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def local_quarters(day, hours, timezone_hours):
    """All quarter hours of a day of 23, 24 or 25 hours, as wall-clock stamps without offset."""
    return [f"{day}T{h:02d}:{m:02d}" for h in timezone_hours for m in (0, 15, 30, 45)][: hours * 4]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "p.csv"


def test_hold_and_linear(file):
    write(file, [f"2016-07-18T0{h}:00+02:00" for h in range(4)])
    held, drawn = (Profiles.read(file, interpolation=i) for i in ("hold", "linear"))
    assert held.at(5_400_000).tolist() == [1.0, -1.0]
    assert drawn.at(5_400_000).tolist() == [1.5, -1.5]
    assert drawn.at(4 * 3_600_000 - 1).tolist() == [3.0, -3.0]
    assert held.end_ms == 4 * 3_600_000


def test_a_run_may_start_inside(file):
    write(file, [f"2016-07-18T0{h}:00+02:00" for h in range(4)])
    start = dt.datetime.fromisoformat("2016-07-18T00:00:00+00:00")
    profiles = Profiles.read(file, start=start, until_ms=2 * 3_600_000)
    assert profiles.at(0)[0] == 2.0
    with pytest.raises(ScenarioError, match=r"needs 0 h to 3.00 h"):
        Profiles.read(file, start=start, until_ms=3 * 3_600_000)


def test_shorter_than_the_run_is_refused_and_outside_too(file):
    write(file, ["2016-07-18T00:00+02:00", "2016-07-18T00:15+02:00"])
    with pytest.raises(ScenarioError, match=r"cover 0.00 h to 0.50 h .* needs 0 h to 1.00 h"):
        Profiles.read(file, until_ms=3_600_000)
    with pytest.raises(ScenarioError, match=r"asked at 0.50 h"):
        Profiles.read(file).at(1_800_000)
    with pytest.raises(ScenarioError, match=r"asked at -0.00 h"):
        Profiles.read(file).at(-1)


def test_the_day_of_23_hours(file):
    stamps = local_quarters("2016-03-27", 23, [h for h in range(24) if h != 2])
    profiles = Profiles.read(write(file, stamps), timezone="Europe/Berlin")
    assert len(profiles.values) == 92
    assert profiles.end_ms == 23 * 3_600_000
    assert profiles.at(2 * 3_600_000)[0] == 8.0  # 03:00 summer time is two hours after midnight


def test_the_day_of_25_hours(file):
    stamps = local_quarters("2016-10-30", 25, [0, 1, 2, 2, *range(3, 24)])
    profiles = Profiles.read(write(file, stamps), timezone="Europe/Berlin")
    assert len(profiles.values) == 100
    assert profiles.end_ms == 25 * 3_600_000
    assert profiles.at(4 * 3_600_000)[0] == 16.0  # 03:00 winter time


def test_written_offsets_do_the_same(file):
    stamps = ["2016-10-30T02:30+02:00", "2016-10-30T02:45+02:00", "2016-10-30T02:00+01:00", "2016-10-30T02:15+01:00"]
    assert Profiles.read(write(file, stamps)).spacing_ms == QUARTER


def test_an_hour_that_does_not_exist(file):
    write(file, ["2016-03-27T01:45", "2016-03-27T02:00", "2016-03-27T02:15"])
    with pytest.raises(ScenarioError, match=r"p.csv:3: .*does not exist in Europe/Berlin"):
        Profiles.read(file, timezone="Europe/Berlin")


@pytest.mark.parametrize(("minutes", "text"), [
    ((0, 15, 45, 60), r"p.csv:4: .*gap of 1 rows after line 3"),
    ((0, 15, 15, 30), r"p.csv:4: .*duplicate of line 3"),
    ((0, 15, 30, 20), r"p.csv:5: .*lies before line 4"),
    ((0, 15, 30, 50), r"p.csv:5: .*20 min after line 4, where rows are 15 min apart"),
])
def test_uneven_axes_name_file_and_line(file, minutes, text):
    write(file, [f"2016-07-18T{m // 60:02d}:{m % 60:02d}+02:00" for m in minutes])
    with pytest.raises(ScenarioError, match=text):
        Profiles.read(file)


@pytest.mark.parametrize(("body", "text"), [
    ("2016-07-18T00:00+02:00,1,2\nnoon,1,2\n", r"p.csv:3: 'noon' is not a time"),
    ("2016-07-18T00:00+02:00,1,2\n2016-07-18T00:15+02:00,1\n", r"p.csv:3: 1 values for 2 series"),
    ("2016-07-18T00:00+02:00,1,x\n2016-07-18T00:15+02:00,1,2\n", r"p.csv:2: 'x' is not a number"),
    ("2016-07-18T00:00+02:00,1,nan\n2016-07-18T00:15+02:00,1,2\n", r"p.csv:2: a value is missing"),
    ("2016-07-18T00:00+02:00,1,\n2016-07-18T00:15+02:00,1,2\n", r"p.csv:2: '' is not a number"),
    ("2016-07-18T00:00,1,2\n2016-07-18T00:15,1,2\n", r"p.csv:2: .*no offset from UTC"),
    ("2016-07-18T00:00+02:00,1,2\n", "at least two rows"),
])
def test_bad_rows_name_file_and_line(file, body, text):
    file.write_text("time,one,two\n" + body, encoding="utf-8")
    with pytest.raises(ScenarioError, match=text):
        Profiles.read(file)


def test_bad_headers_and_missing_files(file):
    file.write_text("when,one\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"p.csv:1: the header must be 'time'"):
        Profiles.read(file)
    file.write_text("time,one,one\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match="must be given and differ: one"):
        Profiles.read(file)
    with pytest.raises(ScenarioError, match="cannot be read: No such file"):
        Profiles.read(file.parent / "no.csv")


def test_unknown_series_names_the_nearest(file):
    write(file, ["2016-07-18T00:00+02:00", "2016-07-18T00:15+02:00"])
    with pytest.raises(ScenarioError, match="did you mean two"):
        Profiles.read(file).column("tow")


@pytest.mark.parametrize("week", ["summer_2016-07-18", "winter_2016-12-05"])
def test_the_weeks_that_come_with_gridseam(week):
    profiles = Profiles.read(str(files("scenarios") / "data" / "profiles" / f"{week}.csv"), until_ms=7 * 86_400_000)
    assert profiles.values.shape[0] == 672
    pv = profiles.values[:, [profiles.column(f"PV{k}_p") for k in range(1, 9)]].mean(axis=1).reshape(7, 96)
    wind = profiles.values[:, [profiles.column(f"WP{k}_p") for k in range(2, 11)]].mean()
    hour = pv.mean(axis=0).argmax() / 4
    if week.startswith("summer"):
        assert pv.max() > 0.5
        assert 12.0 <= hour <= 14.5  # solar noon is near 13:20 local summer time
    else:
        assert pv.max() < 0.25
        assert wind > 0.7
    active = [k for k, name in enumerate(profiles.names) if name.endswith("_p")]
    assert profiles.values[:, active].min() >= -1e-4
    assert profiles.values[:, active].max() <= 1


def test_profiles_shorter_than_the_run_name_file_line_and_field(tmp_path):
    path = tmp_path / "short.csv"
    path.write_text("time,H0_p\n2016-07-18T00:00+02:00,1\n2016-07-18T00:15+02:00,1\n")
    says = r"short\.csv:3 time: profiles cover 0\.00 h to 0\.50 h .* needs 0 h to 1\.00 h"
    with pytest.raises(ScenarioError, match=says):
        Profiles.read(path, until_ms=3_600_000)


def test_further_series_join_on_the_same_axis(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("time,H0_p\n2016-07-18T00:00+02:00,1\n2016-07-18T00:15+02:00,2\n")
    both = Profiles.read(path, interpolation="linear").joined({"sun_p": np.array([0.0, 1.0])})
    assert both.names == ("H0_p", "sun_p")
    assert both.at(450_000).tolist() == pytest.approx([1.5, 0.5])
