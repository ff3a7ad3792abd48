"""A run file that grows, seen from outside."""

import json

import numpy as np
import pytest

from gridseam.follow import Progress, follow, newest
from results.layout import Kind, Quantity
from results.runfile import RunError
from results.writer import RunWriter


@pytest.fixture
def writer(tmp_path):
    kinds = [
        Kind("bus", ("a", "b"), (Quantity("vm_pu", "1", "voltage"),)),
        Kind("line", ("l",), (Quantity("loading_percent", "percent", "loading"),)),
        Kind("feeder", ("f",), tuple(Quantity(f"{n}_mw", "MW", n) for n in ("pv", "pv_avail"))),
    ]
    attrs = {"scenario_json": json.dumps({"time": {"duration": "2 h"}})}
    return RunWriter(tmp_path / "local-1.h5", attrs=attrs, start_iso="2016-07-22T00:00:00+02:00", kinds=kinds)


def put(writer, t_ms, low):
    writer.append("bus", t_ms, {"vm_pu": np.array([low, 1.0])})
    writer.append("line", t_ms, {"loading_percent": np.array([83.4])})
    writer.append("feeder", t_ms, {"pv_mw": np.array([1.5]), "pv_avail_mw": np.array([2.0])})
    writer.flush()


def test_it_sees_the_run_grow_and_end(writer):
    put(writer, 0, 0.99)
    steps = iter([lambda: put(writer, 1_800_000, 0.97), lambda: None, writer.close])
    looks = list(follow(writer.path, 0.01, lambda _: next(steps)()))
    assert [look.status for look in looks] == ["running", "running", "running", "complete"]
    assert [look.reached_ms for look in looks] == [0, 1_800_000, 1_800_000, 1_800_000]
    assert {look.duration_ms for look in looks} == {7_200_000}
    assert np.isnan(looks[0].left_s)
    assert looks[1].speed > 0
    assert looks[1].left_s == pytest.approx(5400 / looks[1].speed)
    assert dict(looks[1].figures) == {"U": "0.970..1.000 pu", "loading": "83 %", "curtailed": "0.5 MW"}
    assert looks[1].text.startswith("0:30 h of 2:00 h | ")
    assert looks[3].text.startswith("complete | 0:30 h of 2:00 h | U 0.970")


def test_what_is_left_follows_from_speed():
    assert Progress("running", 1_800_000, 7_200_000, 60.0, ()).left_s == 90.0
    assert "2 min left" in Progress("running", 0, 7_200_000, 60.0, ()).text
    assert np.isnan(Progress("running", 0, 7_200_000, 0.0, ()).left_s)


def test_a_folder_means_its_newest_run(writer, tmp_path):
    put(writer, 0, 1.0)
    writer.close()
    assert newest(tmp_path) == writer.path
    (tmp_path / "none").mkdir()
    with pytest.raises(RunError, match="holds no run files"):
        newest(tmp_path / "none")


def test_what_is_no_run_is_refused_with_exit_2(gridseam, tmp_path):
    (tmp_path / "torn.h5").write_bytes(b"not HDF5")
    for name in ("torn.h5", "missing.h5"):
        done = gridseam("follow", name)
        assert done.returncode == 2
        assert name in done.stderr


def test_the_command_tells_of_a_run_that_is_over(writer, gridseam):
    put(writer, 7_140_000, 0.96)
    writer.close()
    done = gridseam("follow", "local-1.h5")
    assert done.returncode == 0
    assert "complete | 1:59 h of 2:00 h | U 0.960..1.000 pu" in done.stdout
