"""What is written can be read by everyone, survives a kill, and does not depend on the clock."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from results.layout import Kind, Quantity, action_table
from results.runfile import Run
from results.writer import RunWriter, write_kpis
from sims.core.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]
VM = Quantity("vm_pu", "1", "voltage")


def writer(path: Path, **kwargs: Any) -> RunWriter:
    given: dict[str, Any] = {
        "attrs": {"title": "Übung", "scenario": "x" * 100_000, "seed": 3, "provenance": {"host": "here"}},
        "start_iso": "2026-03-01T00:00:00+01:00",
        "kinds": [
            Kind("bus", ["a", "b", "Süd"], [VM, Quantity("va_deg", "degree", "angle", dtype="f8")],
                 {"vn_kv": np.array([20.0, 20.0, 0.4]), "dso": ["x", "y", "ö"], "lon": np.arange(3.0)},
                 attrs={"v_min_pu": 0.9, "v_max_pu": 1.1}),
        ],
        "events": [action_table({"actor": ["dms", "tso"], "duty": ["observe"]}, {"dms": "dms", "tso": "tso"})],
        "kpis": [("saidi_min", "min", "minutes lost")],
    }  # fmt: skip
    return RunWriter(path, **(given | kwargs))


def row(k: int) -> dict[str, Any]:
    return {"vm_pu": np.array([1.0, 1.01, np.nan]) + k * 1e-3, "va_deg": np.arange(3) * k}


def act(t_ms: int, **over: Any) -> dict[str, Any]:
    given = {"t_ms": t_ms, "actor": "dms", "duty": "observe", "asset": "f1", "quantity": "p_max_mw",
             "refused": "", "value": 1.5, "count": 2}  # fmt: skip
    return {k: [v] for k, v in (given | over).items()}


def finished(path: Path, rows: int = 600) -> Path:
    with writer(path) as w:
        for k in range(rows):
            w.append("bus", k * 60_000, row(k))
        w.append_events("actions", act(5))
        w.append_events("actions", act(9, actor="who?", duty="", refused="not yours"))
    return path


def test_xarray_reads_a_kind_with_time_and_labels(tmp_path: Path) -> None:
    bus = xr.open_dataset(finished(tmp_path / "r.h5"), group="bus", engine="h5netcdf")
    assert bus.sizes == {"time": 600, "bus": 3}
    assert bus.time.values[0] == np.datetime64("2026-02-28T23:00:00")  # +01:00 became UTC
    assert bus.time.values[599] == np.datetime64("2026-03-01T08:59:00")
    np.testing.assert_allclose(bus.vm_pu.sel(bus="b").values, 1.01 + np.arange(600) * 1e-3, rtol=1e-6)
    assert np.isnan(bus.vm_pu.sel(bus="Süd")).all()
    assert list(bus.dso.values) == ["x", "y", "ö"]
    assert bus.vn_kv.attrs["units"] == "kV"
    assert bus.lon.attrs == {"units": "degrees_east", "standard_name": "longitude", "long_name": "lon"}


def test_xarray_reads_the_whole_file_as_a_tree(tmp_path: Path) -> None:
    tree = xr.open_datatree(finished(tmp_path / "r.h5"), engine="h5netcdf")
    assert {"bus", "actions", "kpi", "provenance"} <= set(tree.children)
    assert tree.attrs["Conventions"] == "CF-1.11"
    assert int(tree["status"]) == 1
    assert tree["actions"].sizes["event"] == 2


def test_netcdf4_reads_the_same_numbers(tmp_path: Path) -> None:
    path = finished(tmp_path / "r.h5")
    with netCDF4.Dataset(path) as data:
        bus = data["bus"]
        assert bus["vm_pu"].dimensions == ("time", "bus")
        assert list(bus["bus"][:]) == ["a", "b", "Süd"]
        assert bus["time"].units == "seconds since 2026-02-28 23:00:00"
        assert bus["vm_pu"][599, 1] == pytest.approx(1.609, rel=1e-6)
        assert np.ma.is_masked(bus["vm_pu"][0, 2])
        assert data["actions"]["actor"].flag_meanings == "dms tso"
        assert data.title == "Übung"


def test_h5netcdf_reads_the_same_numbers(tmp_path: Path) -> None:
    with h5netcdf.File(finished(tmp_path / "r.h5"), decode_vlen_strings=True) as data:
        assert data["bus/va_deg"][4, 2] == 8.0
        assert data["bus"].dimensions["time"].isunlimited()


def test_attributes_are_fixed_length_bytes_and_numbers_are_checksummed(tmp_path: Path) -> None:
    with h5py.File(finished(tmp_path / "r.h5")) as f:
        assert f["bus/vm_pu"].fletcher32
        assert f["bus/vm_pu"].chunks == (256, 3)
        assert f.attrs.get_id("title").dtype.kind == "S"
        assert len(f.attrs["scenario"]) == 100_000
        assert [x.decode() for x in f["bus"].attrs["axes"]] == ["time", "."]


def header_messages(path: Path, address: int) -> dict[int, bytes]:
    """Return an object's header as the specification of HDF5's format lays it out: kind of message -> its bytes."""
    data = path.read_bytes()
    assert data[address : address + 4] == b"OHDR"
    flags = data[address + 5]
    at = address + 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
    width, head = 1 << (flags & 3), 4 + 2 * bool(flags & 4)
    blocks = [(at + width, int.from_bytes(data[at : at + width], "little"))]
    found: dict[int, bytes] = {}
    for begin, length in blocks:
        at = begin
        while at + head <= begin + length:
            size = int.from_bytes(data[at + 1 : at + 3], "little")
            message = data[at + head : at + head + size]
            if data[at] == 0x10:  # goes on elsewhere, between a signature and a checksum of 4 bytes each
                there, long = (int.from_bytes(message[k : k + 8], "little") for k in (0, 8))
                blocks.append((there + 4, long - 8))
            found.setdefault(data[at], message)
            at += head + size
    return found


def test_readers_with_hdf5_1_10_know_its_form(tmp_path: Path) -> None:
    path = finished(tmp_path / "r.h5")
    assert path.read_bytes()[8] == 3, "superblock; below 3 nobody could read it while it is written"
    with h5py.File(path) as f:
        places = [(name, h5py.h5o.get_info(f[name].id).addr) for name in ("bus/vm_pu", "bus/time", "bus/bus", "status")]
    for name, address in places:
        messages = header_messages(path, address)
        assert messages[0x08][0] <= 4, f"layout of {name}; 5 came with HDF5 2.0"
        assert messages[0x03][0] >> 4 <= 3, f"data type of {name}; 4 came with HDF5 1.12"


@pytest.mark.parametrize(("until_ms", "rows"), [(600 * 60_000, 200), (24 * 60_000, 24), (60_000, 1), (None, 256)])
def test_chunks_suit_the_length_of_the_run(tmp_path: Path, until_ms: int | None, rows: int) -> None:
    with writer(tmp_path / "r.h5", until_ms=until_ms) as w:
        for k in range(600):  # longer than planned does no harm
            w.append("bus", k * 60_000, row(k))
    with h5py.File(tmp_path / "r.h5") as f:
        assert f["bus/vm_pu"].chunks == (rows, 3)
        np.testing.assert_allclose(f["bus/vm_pu"][:, 0], 1 + np.arange(600) * 1e-3, rtol=1e-6)


@pytest.mark.parametrize(
    ("days", "single", "double"),
    [(1, (240, 500), (240, 250)), (36, (1017, 59), (1017, 30)), (365, (1023, 8), (1023, 8))],
)
def test_one_signal_of_a_long_run_lies_in_few_chunks(
    tmp_path: Path, days: int, single: tuple[int, int], double: tuple[int, int]
) -> None:
    kinds = [Kind("bus", [f"b{k}" for k in range(1000)], [VM, Quantity("p_mw", "MW", "power", dtype="f8")])]
    with writer(tmp_path / "r.h5", kinds=kinds, until_ms=days * 86_400_000) as w:
        for k in range(1030):
            w.append("bus", k * 60_000, {"vm_pu": np.arange(1000) + k, "p_mw": np.arange(1000) - k})
    with h5py.File(tmp_path / "r.h5") as f:
        assert (f["bus/vm_pu"].chunks, f["bus/p_mw"].chunks) == (single, double)
        rows = -(-days * 1440 // single[0])
        assert 4 * rows * single[0] * single[1] < 17e6, "bytes read for one signal"
        np.testing.assert_array_equal(f["bus/vm_pu"][:, 999], 999 + np.arange(1030))
        np.testing.assert_array_equal(f["bus/p_mw"][1029], np.arange(1000) - 1029)


def test_a_flipped_bit_does_not_go_unseen(tmp_path: Path) -> None:
    path = finished(tmp_path / "r.h5")
    with h5py.File(path) as f:
        at = f["bus/vm_pu"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[at + 100] ^= 4
    path.write_bytes(raw)
    with Run(path) as run, pytest.raises(Exception, match="bus/vm_pu is damaged"):
        run.values("bus", "vm_pu")


def contents(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def keep(name: str, thing: Any) -> None:
        if name.startswith("provenance"):
            return
        attrs = {
            k: np.asarray(v).tobytes() for k, v in thing.attrs.items() if k not in ("DIMENSION_LIST", "REFERENCE_LIST")
        }
        data = None
        if isinstance(thing, h5py.Dataset):
            value = thing[()]
            data = list(value) if thing.dtype.kind == "O" else np.asarray(value).tobytes()
        found[name] = (attrs, data)

    with h5py.File(path) as f:
        f.visititems(keep)
        found["/"] = {k: np.asarray(v).tobytes() for k, v in f.attrs.items()}
    return found


def test_same_inputs_give_the_same_bytes_whatever_the_clock_does(tmp_path: Path) -> None:
    for name, flush_s, host in (("a", 1e9, "one"), ("b", 0.0, "two")):
        with writer(tmp_path / f"{name}.h5", flush_s=flush_s, attrs={"title": "t", "provenance": {"host": host}}) as w:
            for k in range(700):
                w.append("bus", k * 60_000, row(k))
                if k % 10 == 0:
                    w.append_events("actions", act(k, refused="" if k % 20 else "no"))
    assert contents(tmp_path / "a.h5") == contents(tmp_path / "b.h5")
    texts = [(tmp_path / f"{name}.events.jsonl").read_bytes() for name in "ab"]
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == 70 * 2 + 35  # asset, quantity, and every other refusal


KILLED = """
import sys, time
import numpy as np
sys.path.insert(0, {root!r})
from results.layout import Kind, Quantity, action_table
from results.writer import RunWriter
w = RunWriter({path!r}, attrs={{"title": "t"}}, start_iso="2026-01-01", flush_s=0.05,
    kinds=[Kind("bus", [f"b{{i}}" for i in range(40)], [Quantity("vm_pu", "1", "v")])],
    events=[action_table({{"actor": ["dms"]}})])
k = 0
while True:
    w.append("bus", k * 1000, {{"vm_pu": np.full(40, k * 1.0)}})
    w.append_events("actions", dict(t_ms=[k], actor=["dms"], duty=[""], asset=["x"], quantity=["q"],
        refused=[""], value=[1.0], count=[1]))
    k += 1
    if k == 900:
        w.flush(); print("ready", flush=True)
    time.sleep(0.0002)
"""


def test_a_killed_run_can_be_read_to_its_last_flush(tmp_path: Path) -> None:
    path = tmp_path / "killed.h5"
    code = KILLED.format(root=str(ROOT), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with Run(path) as live:  # while it is being written
            assert live.status == "running"
            assert len(live.seconds("bus")) >= 900
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    with Run(path) as run:
        rows = len(run.seconds("bus"))
        assert rows >= 900
        assert run.status == "running"
        values = run.values("bus", "vm_pu")
        np.testing.assert_array_equal(values, np.repeat(np.arange(rows)[:, None], 40, axis=1))
        assert run["bus"].sizes["time"] == rows
        assert float(run["bus"].vm_pu[-1, 0]) == rows - 1
        assert set(run.texts("actions", "asset")) == {"x"}


def test_an_error_inside_marks_the_run_aborted_and_keeps_its_rows(tmp_path: Path) -> None:
    def fail() -> None:
        with writer(tmp_path / "r.h5") as w:
            w.append("bus", 0, row(0))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    with Run(tmp_path / "r.h5") as run:
        assert run.status == "aborted"
        assert len(run.seconds("bus")) == 1


def test_texts_not_in_the_tables_stand_beside_the_file(tmp_path: Path) -> None:
    path = finished(tmp_path / "r.h5")
    with Run(path) as run:
        assert list(run.column("actions", "actor")) == [0, -1]
        assert list(run.column("actions", "duty")) == [0, -2]
        assert list(run.texts("actions", "actor")) == ["dms", "who?"]
        assert list(run.texts("actions", "refused")) == ["", "not yours"]
    lines = [json.loads(x) for x in (tmp_path / "r.events.jsonl").read_text().splitlines()]
    assert {"table": "actions", "event": 1, "column": "actor", "text": "who?"} in lines


def test_kpis_find_their_places_before_and_after_closing(tmp_path: Path) -> None:
    w = writer(tmp_path / "r.h5")
    w.append("bus", 0, row(0))
    w.close("complete", {"saidi_min": 12.5})
    with Run(tmp_path / "r.h5") as run:
        assert run.kpis == {"saidi_min": 12.5}
    write_kpis(tmp_path / "r.h5", {"saidi_min": 7.0}, {"saidi_min": (10.0, True)})
    with Run(tmp_path / "r.h5") as run:
        assert run.kpis == {"saidi_min": 7.0}
        assert run["kpi"].limit.values[0] == 10.0
        assert run["kpi"].passed.values[0] == 1
    with pytest.raises(ModelError, match=r"no place for KPI 'saidy_min' \(did you mean saidi_min\?\)"):
        write_kpis(tmp_path / "r.h5", {"saidy_min": 7.0})


def test_a_nearly_full_disk_stops_the_run_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = writer(tmp_path / "r.h5")
    for k in range(256):
        w.append("bus", k * 1000, row(k))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    for k in range(256, 511):
        w.append("bus", k * 1000, row(k))
    with pytest.raises(ModelError, match=r"1 MB free in .*free some space"):
        w.append("bus", 511_000, row(511))
    with pytest.raises(ModelError, match="free some space"):
        w.close("complete")
    monkeypatch.undo()
    with Run(tmp_path / "r.h5") as run:
        assert run.status == "aborted"
        assert len(run.seconds("bus")) == 256


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda w: w.append("bsu", 0, {}), r"no kind 'bsu' \(did you mean bus\?\)"),
        (lambda w: w.append("bus", 0, {"vm_puu": 1.0}), r"no quantity 'vm_puu' \(did you mean vm_pu\?\)"),
        (lambda w: w.append("bus", 0, {"vm_pu": np.ones(2)}), r"bus.vm_pu got shape \(2,\); it has 3 labels"),
        (lambda w: w.append_events("action", {}), "no event table 'action'"),
        (lambda w: w.append_events("actions", {"t_ms": [1]}), "lacks actor, asset"),
        (lambda w: w.append_events("actions", act(1) | {"value": [1.0, 2.0]}), "columns of lengths"),
        (lambda w: w.append_events("actions", act(1) | {"why": [1]}), "no column 'why'"),
        (lambda w: w.append_events("actions", act(1, value="high")), r"actions\.value takes numbers, not 'high'"),
        (lambda w: w.close("done"), "not one of running, complete, aborted"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, call: Any, text: str) -> None:
    with writer(tmp_path / "r.h5") as w, pytest.raises(ModelError, match=text):
        call(w)


def test_rows_go_forward_in_time(tmp_path: Path) -> None:
    with writer(tmp_path / "r.h5") as w:
        w.append("bus", 60_000, row(1))
        with pytest.raises(ModelError, match="forward in time"):
            w.append("bus", 60_000, row(1))


def test_a_start_that_is_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'last June' is no ISO 8601 time"):
        writer(tmp_path / "r.h5", start_iso="last June")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot write"):
        writer(tmp_path / "file" / "r.h5")


def test_a_kind_without_things_is_left_out(tmp_path: Path) -> None:
    with writer(tmp_path / "r.h5", kinds=[Kind("bus", ["a"], [VM]), Kind("ev", [], [VM])]) as w:
        w.append("ev", 0, {"vm_pu": np.zeros(0)})
    with Run(tmp_path / "r.h5") as run:
        assert run.kinds == ("bus",)


def test_two_groups_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="two groups of the run file are named kpi"):
        writer(tmp_path / "r.h5", kinds=[Kind("kpi", ["a"], [VM])])
