from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from results.runfile import Run, RunError
from results.tables import chosen, clock_of, event_table, instants, tables


def test_every_number_of_a_run_stands_in_some_table(day_run: Callable[..., Path]) -> None:
    with Run(day_run("centralized", 3)) as run:
        found = {t.name: t for t in tables(run)}
        assert {"bus.vm_pu", "bus.static", "actions", "messages", "kpi", "about"} <= set(found)
        voltages = found["bus.vm_pu"]
        assert list(voltages.columns[:3]) == ["time", "t_s", "feeder bus 0"]
        (block,) = voltages.blocks()
        np.testing.assert_array_equal(np.array(block[2:]).T, run.values("bus", "vm_pu"))
        assert voltages.rows == len(block[0]) == 288
        assert found["bus.static"].rows == 40
        assert {t.name for t in tables(run, ["actions", "cell"])} == {
            "cell.f_hz", "cell.p_tie_mw", "cell.p_sched_mw", "cell.static", "actions",
        }  # fmt: skip


def test_instants_are_utc_whatever_the_offset_of_the_start(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0, 1.0]}}, every_s=0.5)
    assert [str(t) for t in instants(run, "bus")] == ["2026-06-21T00:00:00.000", "2026-06-21T00:00:00.500"]
    run.attrs = {**run.attrs, "start": "2026-06-21T02:00:00+02:00"}
    assert str(instants(run, "bus")[0]) == "2026-06-21T00:00:00.000"


def test_events_are_written_out_with_their_time_first(day_run: Callable[..., Path]) -> None:
    with Run(day_run("centralized", 3)) as run:
        acts = event_table(run, "actions")
        assert acts.columns[0] == clock_of(run, "actions") == "t_ms"
        (block,) = acts.blocks()
        columns = dict(zip(acts.columns, block, strict=True))
        assert columns["duty"][0] == "observe"
        assert columns["refused"].tolist().count("not yours to move") > 0
        assert clock_of(run, "messages") == "sent_ms"


def test_a_kind_that_is_not_there_is_named(day_run: Callable[..., Path]) -> None:
    with Run(day_run("local", 1)) as run, pytest.raises(RunError, match=r"no 'buss' .*\(did you mean bus\?\)"):
        chosen(run, ["buss"])
