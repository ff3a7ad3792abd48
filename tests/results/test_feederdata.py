import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from results.feederdata import GAP_8, GAP_16, feeder_data
from results.runfile import Run


def unpacked(text: str, dtype: str, width: int) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(-1, width)


def test_voltages_and_loadings_come_back_as_they_were(day_run: Callable[..., Path]) -> None:
    with Run(day_run("centralized", 2)) as run:
        data = feeder_data(run)
        vm, loading = run.values("bus", "vm_pu"), run.values("line", "loading_percent")
    assert data is not None
    assert [f["name"] for f in data["feeders"]] == ["feeder north", "feeder south"]
    south = data["feeders"][1]
    stored = unpacked(south["v"], "<u2", 20)
    assert stored.shape == (288, 20)
    gaps = np.isnan(vm[:, 20:])
    assert gaps.any()
    np.testing.assert_array_equal(stored == GAP_16, gaps)
    np.testing.assert_allclose((stored / data["scale"])[~gaps], vm[:, 20:][~gaps], atol=3e-5)
    np.testing.assert_array_equal(unpacked(south["loading"], "u1", 19), np.round(loading[:, 1::2]))
    assert south["branches"][0] == "line 1"


def test_a_grid_is_drawn_from_its_highest_voltage_and_kept_once(make_run: Callable[..., Run]) -> None:
    static = {
        "bus": {"feeder": ["a"] * 3 + ["b"] * 3, "vn_kv": [20.0, 20, 110] * 2, "lon": [7.0, 7.1, 7.2] * 2,
                "lat": [51.0, 51, 52] * 2},
        "line": {"feeder": ["a", "a", "b", "b"], "from_bus": ["bus2", "bus1", "bus5", "bus4"],
                 "to_bus": ["bus1", "bus0", "bus4", "bus3"]},
    }  # fmt: skip
    run = make_run({"bus": {"vm_pu": np.ones((4, 6))}, "line": {"loading_percent": [[0, 300, np.nan, 40]] * 4}},
                   static=static)  # fmt: skip
    data = feeder_data(run)
    assert data is not None
    (shape,) = data["shapes"]
    assert shape["ends"] == [[2, 1], [1, 0]]
    assert shape["tree"][0] == [1.0, 0.5, 0.0]
    assert shape["geo"][1] == [7.0, 7.1, 7.2]
    first, second = (unpacked(f["loading"], "u1", 2)[0].tolist() for f in data["feeders"])
    assert first == [0, GAP_8 - 1]
    assert second == [GAP_8, 40]


def test_grids_without_positions_have_none_and_long_runs_fewer_frames(make_run: Callable[..., Run]) -> None:
    lon = [7.0, np.nan]
    run = make_run(
        {"bus": {"vm_pu": np.ones((1000, 2))}}, static={"bus": {"feeder": ["a", "a"], "lon": lon, "lat": [51.0, 51.1]}}
    )
    data = feeder_data(run)
    assert data is not None
    assert data["shapes"][0]["geo"] is None
    assert (data["every"], len(data["t_s"]), data["t_s"][1]) == (4, 250, 240.0)
    assert feeder_data(make_run({"cell": {"f_hz": [50.0]}})) is None
