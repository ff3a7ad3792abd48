import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.durations import Moment, format_duration, parse_duration

START = dt.datetime.fromisoformat("2016-07-20T14:30:00+02:00")


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("100 ms", 100), ("60 s", 60_000), ("60s", 60_000), ("0.5 s", 500), ("15 min", 900_000),
        ("24 h", 86_400_000), ("7 d", 604_800_000), ("1 h 30 min", 5_400_000), ("0 s", 0), ("1.5 h", 5_400_000),
        (" 4 s ", 4_000), ("0.1 s", 100),
    ],
)  # fmt: skip
def test_a_number_and_its_unit_give_milliseconds(text, t_ms):
    assert parse_duration(text) == t_ms


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (60, "60 has no unit"), (1.5, "1.5 has no unit"), ("60", "is not a duration"), ("60 sec", "is not a duration"),
        ("5 M", "is not a duration"), ("-5 s", "is not a duration"), ("", "is not a duration"),
        (None, "is not a duration"),
        (True, "is not a duration"), ([1], "is not a duration"), ("0.1 ms", "finer than one millisecond"),
        ("367 d", "longer than 366 d"), ("1e3 s", "is not a duration"), ("\u0665 s", None),
        ("1 h 30", "is not a duration"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(value, says):
    if says is None:  # a digit of another script: Decimal reads it, and so may we
        assert parse_duration(value) == 5_000
        return
    with pytest.raises(ValueError, match=says):
        parse_duration(value)


@given(st.integers(0, 366 * 86_400_000))
def test_what_is_written_is_read_back(t_ms):
    assert parse_duration(format_duration(t_ms)) == t_ms


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("14:30", 0), ("15:00", 30 * 60_000), ("15:00:30", 30 * 60_000 + 30_000), ("14:00", -30 * 60_000),
        ("1d 06:00", 15 * 3_600_000 + 30 * 60_000), ("90 min", 90 * 60_000), ("0d 16:00", 90 * 60_000),
    ],
)  # fmt: skip
def test_a_time_of_day_counts_from_the_start(text, t_ms):
    assert Moment.parse(text).since(START) == t_ms


@pytest.mark.parametrize("value", ["24:00", "12:60", "noon", 900, "1d", "15", "15:0", "d 15:00", None])
def test_a_wrong_time_is_refused_or_is_a_duration(value):
    if value == "1d":
        assert Moment.parse(value).since(START) == 86_400_000
        return
    with pytest.raises(ValueError, match="time"):
        Moment.parse(value)
