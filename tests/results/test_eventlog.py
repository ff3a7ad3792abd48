from pathlib import Path

import h5py
import numpy as np
import pytest

from results.eventlog import BATCH, EventLog
from results.layout import EventTable, Quantity
from sims.core.errors import ModelError

TABLE = EventTable(
    "marks", [Quantity("t_ms", "ms", "time", dtype="i8"), Quantity("who", "1", "who")], {"who": ["north dso", "tso"]}
)


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(h5py.File(tmp_path / "e.h5", "w", libver="latest").create_group("marks"), TABLE)


def test_known_texts_become_codes_and_others_are_handed_back(log: EventLog) -> None:
    assert log.put({"t_ms": [1, 2], "who": ["tso", "north dso"]}) == []
    left = log.put({"t_ms": [3, 4], "who": ["", "crew"]})
    assert left == [{"table": "marks", "event": 3, "column": "who", "text": "crew"}]
    log.write_rows()
    assert log.event.shape == (0,)  # not yet committed
    log.commit()
    np.testing.assert_array_equal(log.event, [0, 1, 2, 3])
    np.testing.assert_array_equal(log.data["who"], [1, 0, -2, -1])


def test_codes_are_explained_in_the_file(log: EventLog) -> None:
    about = log.data["who"].attrs
    assert about["flag_meanings"] == b"north_dso tso"  # blanks part the meanings in CF
    assert list(about["flag_values"]) == [0, 1]
    assert list(log.event.parent["who_name"].asstr()[()]) == ["north dso", "tso"]


def test_a_refused_batch_leaves_nothing_behind(log: EventLog) -> None:
    with pytest.raises(Exception, match="takes numbers"):
        log.put({"who": ["tso"], "t_ms": ["noon"]})
    log.put({"t_ms": [9], "who": [1]})
    log.write_rows()
    log.commit()
    np.testing.assert_array_equal(log.data["t_ms"], [9])


@pytest.mark.parametrize("t_ms", [[1, "noon"], [1, None], [1, 2**70]])
def test_what_is_no_number_among_numbers_is_named(log: EventLog, t_ms: list[object]) -> None:
    with pytest.raises(ModelError, match=r"marks\.t_ms takes numbers"):
        log.put({"t_ms": t_ms, "who": ["tso", "tso"]})
    assert log.pending == 0


def test_more_rows_than_room_are_kept(log: EventLog) -> None:
    first, more = 10, 3 * BATCH
    log.put({"t_ms": np.arange(first), "who": ["tso"] * first})
    log.put({"t_ms": np.arange(first, first + more), "who": ["north dso"] * more})
    log.write_rows()
    log.commit()
    np.testing.assert_array_equal(log.data["t_ms"], np.arange(first + more))
    np.testing.assert_array_equal(log.data["who"], [1] * first + [0] * more)


def test_a_long_table_of_names_fits(tmp_path: Path) -> None:
    names = [f"feeder {i}" for i in range(20_000)]
    table = EventTable("marks", TABLE.columns, {"who": names})
    log = EventLog(h5py.File(tmp_path / "e.h5", "w", libver="latest").create_group("marks"), table)
    assert log.put({"t_ms": [0], "who": ["feeder 19999"]}) == []
    assert "flag_meanings" not in log.data["who"].attrs
