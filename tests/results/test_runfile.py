import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from results.layout import Kind, Quantity
from results.runfile import Run, RunError
from results.writer import RunWriter
from sims.core.errors import GridseamError
from sims.core.orders import Action


@pytest.fixture
def path(day_run: Callable[..., Path]) -> Path:
    return day_run("centralized", 4)


def test_a_run_tells_what_it_holds(path: Path) -> None:
    with Run(path) as run:
        assert run.status == "complete"
        assert run.attrs["architecture"] == "centralized"
        assert run.attrs["stage"] == 4
        assert run.provenance == {"gridseam": "0.1.0", "written": "2026-06-22"}
        assert set(run.kinds) == {"bus", "line", "trafo", "feeder", "interface", "cell", "estimate"}
        assert set(run.tables) == {"actions", "alarms", "goals", "messages"}
        assert run.labels("feeder") == ["feeder north", "feeder south"]
        assert run.group_attrs("bus")["v_max_pu"] == 1.06
        assert "bus/vm_pu" in run
        assert "bus/va_deg" not in run
        run.check()


def test_kinds_are_lazy_labelled_datasets(path: Path) -> None:
    with Run(path) as run:
        bus = run["bus"]
        assert bus.sizes == {"time": 288, "bus": 40}
        noon = bus.vm_pu.sel(bus="feeder bus 3", time="2026-06-21T12:00")
        assert float(noon) == pytest.approx(float(run.values("bus", "vm_pu")[144, 3]))


def test_events_come_with_their_names(path: Path) -> None:
    with Run(path) as run:
        actions = run.actions
        assert {"t_ms", "actor", "duty", "asset", "quantity", "value", "count", "refused"} == set(actions.data_vars)
        assert set(actions.actor.values) == {"dso.dms", "tso", "crew"}
        assert run.alarms.text.values[0] == "feeder south is dark"
        assert run.alarms.source.values[0] == "dso"
        messages = run.messages
        assert messages.sizes["event"] == 4000
        assert set(messages.fate.values) == {"delivered", "lost"}
        assert messages.topic.values[0] == "measurement"
        assert run.notes("actions", "actor", "role") == {"dso.dms": "dms", "tso": "tso", "crew": "crew"}


def test_rows_stand_until_the_next_one(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": np.ones(4)}}, every_s=900)
    np.testing.assert_array_equal(run.spans_s("bus"), [900, 900, 900, 900])


def test_blocks_cover_every_row_once(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": np.arange(10.0)}})
    parts = list(run.blocks("bus", "vm_pu", rows=4))
    assert [(s.start, s.stop) for s, _ in parts] == [(0, 4), (4, 8), (8, 10)]
    assert np.concatenate([v[:, 0] for _, v in parts]).tolist() == list(range(10))


def test_a_topic_code_beyond_the_table_is_still_told_apart(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}}, messages={
        "sent_ms": [0.0, 1.0], "arrived_ms": [5.0, 6.0], "size_bytes": [1, 1], "fate": [0, 0], "topic": [0, 7],
    })  # fmt: skip
    assert list(run.texts("messages", "topic")) == ["t", "code 7"]


def test_half_a_line_of_a_killed_process_is_passed_over(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}}, actions=[Action(0, "a", "observe", "Ä", "q", 1.0)])
    beside = run.path.with_suffix(".events.jsonl")
    with beside.open("a", encoding="utf-8") as file:
        file.write('{"table": "act')
    assert list(run.texts("actions", "asset")) == ["Ä"]
    beside.unlink()
    assert list(run.texts("actions", "asset")) == ["?"]


def test_names_that_are_not_there_are_told_with_the_nearest(path: Path) -> None:
    with Run(path) as run:
        with pytest.raises(RunError, match=r"no 'buss' in this run \(did you mean bus\?\)"):
            run["buss"]
        with pytest.raises(RunError, match=r"'bus' has no 'vm_puu' \(did you mean vm_pu\?\)"):
            run.values("bus", "vm_puu")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GridseamError, match="no such run file"):
        Run(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    with pytest.raises(GridseamError, match="not a gridseam run file"):
        Run(text)
    with h5py.File(tmp_path / "foreign.h5", "w") as f:
        f["x"] = 1
    with pytest.raises(GridseamError, match="an HDF5 file, but not a gridseam run"):
        Run(tmp_path / "foreign.h5")


def test_a_newer_format_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as f:
        f.attrs.modify("format_version", 99)
    with pytest.raises(GridseamError, match="format version 99; this gridseam reads up to 1"):
        Run(path)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(path: Path, share: float) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(GridseamError, match="cut short"):
        Run(path)


def test_changed_names_and_attributes_are_seen(path: Path) -> None:
    with h5py.File(path, "r+") as f:
        f["bus"].attrs.modify("v_max_pu", 1.2)
    with pytest.raises(GridseamError, match="attributes in group 'bus' are damaged"):
        Run(path)


def test_a_changed_label_is_seen(path: Path) -> None:
    with h5py.File(path, "r+") as f:
        f["line/line"][0] = "line zero"
    with pytest.raises(GridseamError, match="names or attributes in group 'line' are damaged"):
        Run(path)


def test_check_finds_damage_anywhere(path: Path) -> None:
    with h5py.File(path) as f:
        at = f["feeder/ev_mw"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[at + 8] ^= 16
    path.write_bytes(raw)
    with Run(path) as run, pytest.raises(RunError, match="feeder/ev_mw is damaged"):
        run.check()


def test_a_chunk_that_is_just_being_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    kinds = [Kind("bus", ["a"], [Quantity("vm_pu", "1", "voltage")])]
    with RunWriter(path, attrs={"title": "t"}, start_iso="2026-01-01", kinds=kinds) as w:
        w.append("bus", 0, {"vm_pu": [1.5]})
        w.flush()
        with h5py.File(path, "r", swmr=True) as f:
            at = f["bus/vm_pu"].id.get_chunk_info(0).byte_offset

        def overwrite(byte: bytes) -> bytes:
            with path.open("r+b") as raw:
                raw.seek(at)
                before = raw.read(1)
                raw.seek(at)
                raw.write(byte)
            return before

        before = overwrite(b"\xaa")
        with Run(path) as run:
            with pytest.raises(RunError, match="bus/vm_pu is damaged"):
                run.values("bus", "vm_pu")
            threading.Timer(0.02, overwrite, [before]).start()
            assert run.values("bus", "vm_pu").tolist() == [[1.5]]
