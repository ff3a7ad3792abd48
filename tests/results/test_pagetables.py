from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from results import pagetables
from results.runfile import Run
from sims.core.orders import Action


def test_who_holds_and_who_acted(day_run: Callable[..., Path]) -> None:
    with Run(day_run("centralized", 2)) as run:
        table = pagetables.holders(run, ("observe", "balance_cell"))
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["observe"][0] == "dms"
    assert rows["observe"][1].startswith("dms ")
    assert rows["balance cell"][:2] == ("tso", "tso 9")
    assert int(rows["observe"][2]) > 0
    assert "restore supply" in rows  # acted under, though nobody was declared


def test_cells_worked_by_hand(make_run: Callable[..., Run]) -> None:
    f_hz = np.array([50.0, 49.9, 49.7, 50.0])
    tie = np.array([0.0, -60.0, 30.0, 0.0])
    run = make_run({"cell": {"f_hz": f_hz, "p_tie_mw": tie, "p_sched_mw": np.zeros(4)}}, every_s=60)
    table = pagetables.cells(run)
    assert table is not None
    assert table.rows == (("cell0", "49.700", "50.000", "120", "60", "60", "1.5"),)


def test_storage_and_vehicles_worked_by_hand(make_run: Callable[..., Run]) -> None:
    mw = np.array([-2.0, -2.0, 4.0, 0.0])  # two quarters of an hour at 2 MW in, one at 4 MW out
    run = make_run(
        {"feeder": {"storage_mw": mw, "storage_soc_mwh": [1, 1.5, 2, 1], "ev_mw": [-4.0, 0, 0, 2],
                    "ev_unmet_mwh": [0, 0, 0, 0.3]}},
        every_s=900, static={"feeder": {"dso": ["n"]}},
    )  # fmt: skip
    table = pagetables.storage(run)
    assert table is not None
    assert table.rows == (("n", "1", "1", "1", "1", "1", "0.500", "0.300"),)


def test_communication_by_topic(make_run: Callable[..., Run]) -> None:
    sent = np.array([0.0, 10, 20, 30])
    run = make_run(
        {"cell": {"f_hz": [50.0]}},
        messages={"sent_ms": sent, "arrived_ms": sent + np.array([10, 20, 30, np.nan]), "size_bytes": [500] * 4,
                  "fate": [0, 0, 0, 3]},
    )  # fmt: skip
    table = pagetables.communication(run)
    assert table is not None
    assert table.rows == (("t", "4", "2", "20", "29", "1"),)


def test_lists_are_cut_and_say_so(make_run: Callable[..., Run], day_run: Callable[..., Path]) -> None:
    acts = [Action(k * 1000, "dms", "observe", "f", "q", 1.0, 1, "no" if k % 2 else "") for k in range(200)]
    table = pagetables.refused(make_run({"cell": {"f_hz": [50.0]}}, actions=acts))
    assert table is not None
    assert len(table.rows) == pagetables.MOST
    assert table.note == "The first 60 of 100."
    assert table.rows[0][:3] == ("0:00:01", "dms", "observe")
    with Run(day_run("local", 1)) as run:
        alarms, goals = pagetables.alarms(run), pagetables.goals(run)
    assert alarms is not None
    assert alarms.rows == (("10:00:00", "dso", "outage", "feeder south is dark", "1500"),)
    assert goals is not None
    told = ("manage congestion", "device", "feeder south", "curtailed mw", "2", "0:15:00", "0.250")
    assert goals.rows == (told,)


@pytest.mark.parametrize(
    "name", ["cells", "machines", "storage", "communication", "ages", "alarms", "goals", "refused"]
)
def test_what_was_not_recorded_gives_no_table(make_run: Callable[..., Run], name: str) -> None:
    assert getattr(pagetables, name)(make_run({"bus": {"vm_pu": [1.0]}})) is None


def test_events_that_cannot_be_read_are_none(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}})
    assert pagetables.events(run) == []
    run.attrs = {**run.attrs, "events_json": '[{"t_ms": "x"}]'}
    assert pagetables.events(run) == []
    run.attrs = {**run.attrs, "events_json": '[{"t_ms": 60000, "text": "b"}, {"t_ms": 5, "text": "a"}]'}
    assert pagetables.events(run) == [(5, "a"), (60_000, "b")]
