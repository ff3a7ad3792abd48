import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from results.layout import Kind, Quantity, action_table
from results.repair import repair
from results.runfile import Run
from results.writer import RunWriter
from sims.core.errors import GridseamError


def test_what_a_killed_process_left_becomes_a_plain_file(tmp_path: Path) -> None:
    w = RunWriter(
        tmp_path / "live.h5", attrs={"title": "t", "seed": 4, "provenance": {"host": "h"}}, start_iso="2026-01-01",
        kinds=[Kind("bus", ["a", "b"], [Quantity("vm_pu", "1", "voltage")], {"vn_kv": [20.0, 0.4], "dso": ["x", "y"]},
                    attrs={"v_max_pu": 1.1})],
        events=[action_table({"actor": ["d"]}, {"d": "dms"})],
    )  # fmt: skip
    for k in range(300):
        w.append("bus", k * 1000, {"vm_pu": [k, -k]})
    w.append_events("actions", {
        "t_ms": [7], "actor": ["d"], "duty": ["observe"], "asset": ["f"], "quantity": ["q"], "refused": [""],
        "value": [2.5], "count": [3],
    })  # fmt: skip
    w.flush()
    for k in range(300, 310):  # these rows are being written, their times are not yet: they do not count
        w.append("bus", k * 1000, {"vm_pu": [k, -k]})
    w.series["bus"].write_rows()
    w.series["bus"].time.file.flush()
    left = tmp_path / "left.h5"  # a copy of the open file is what a kill leaves behind
    shutil.copyfile(tmp_path / "live.h5", left)
    shutil.copyfile(tmp_path / "live.events.jsonl", tmp_path / "left.events.jsonl")
    w.close()
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(left)

    with Run(left) as run:
        assert run["bus"].sizes["time"] == 300
        assert float(run["bus"].vm_pu[-1, 0]) == 299.0

    out = repair(left)

    assert out == tmp_path / "left.repaired.h5"
    with h5py.File(out) as plain:
        assert plain["bus/vm_pu"].shape == (300, 2)
    with Run(out) as run:
        assert run.status == "aborted"
        assert run.attrs["seed"] == 4
        assert run.provenance == {"host": "h"}
        np.testing.assert_array_equal(run.values("bus", "vm_pu")[:, 1], -np.arange(300.0))
        assert list(run.static("bus", "dso")) == ["x", "y"]
        assert run.group_attrs("bus")["v_max_pu"] == 1.1
        assert run["bus"].vm_pu.attrs["long_name"] == "voltage"
        assert list(run.texts("actions", "duty")) == ["observe"]
        assert run.notes("actions", "actor", "role") == {"d": "dms"}
        assert run.actions["count"].values[0] == 3
    assert left.is_file()


def test_a_finished_run_comes_out_the_same(day_run: Callable[..., Path], tmp_path: Path) -> None:
    path = day_run("distributed", 3)
    out = repair(path, tmp_path / "copy.h5")
    with Run(path) as a, Run(out) as b:
        assert b.status == "complete"
        assert a.attrs.keys() == b.attrs.keys()
        for kind in a.kinds:
            for column in a.columns(kind):
                left, right = a.dataset(kind, column), b.dataset(kind, column)
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left[()], right[()])
        for table in a.tables:
            for column in a.columns(table):
                np.testing.assert_array_equal(a.dataset(table, column)[()], b.dataset(table, column)[()])


def test_the_old_file_is_never_written_over(day_run: Callable[..., Path]) -> None:
    path = day_run("local", 1)
    with pytest.raises(GridseamError, match="name another target"):
        repair(path, path)
