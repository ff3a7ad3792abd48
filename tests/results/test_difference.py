from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from results.difference import diff
from results.layout import Kind, Quantity, action_table
from results.runfile import Run, RunError
from results.writer import RunWriter
from sims.core.errors import GridseamError

LABELS = ["f1.b0", "f1.b1", "f2.b0"]


def written(path: Path, change: Callable[[dict[str, np.ndarray]], None] = lambda v: None, **attrs: object) -> Path:
    """Write ten minutes of two feeders of two DSOs and a cell; `change` may alter the numbers first."""
    v: dict[str, np.ndarray] = {
        "bus": np.full((10, 3), 1.0), "pv": np.full((10, 2), 5.0), "cell": np.full((10, 1), 50.0),
        "value": np.array([1.0, 2.0, 3.0]), "at": np.array([60_000, 120_000, 480_000]),
    }  # fmt: skip
    change(v)
    kinds = [
        Kind("bus", LABELS, [Quantity("vm_pu", "1", "v", source="distribution")], {"dso": ["dso_1", "dso_1", "dso_2"]}),
        Kind("feeder", ["f1", "f2"], [Quantity("pv_mw", "MW", "pv", source="der")]),
        Kind("cell", ["cell_1"], [Quantity("f_hz", "Hz", "f", dtype="f8", source="transmission")]),
    ]
    with RunWriter(
        path, attrs={"seed": 1} | attrs, start_iso="2026-01-01", kinds=kinds,
        events=[action_table({"actor": ["dso_1.dms"], "duty": ["observe"]})],
    ) as w:
        for k in range(10):
            for kind, quantity, key in (("bus", "vm_pu", "bus"), ("feeder", "pv_mw", "pv"), ("cell", "f_hz", "cell")):
                w.append(kind, k * 60_000, {quantity: v[key][k]})
        n = len(v["value"])
        w.append_events("actions", {
            "t_ms": v["at"], "actor": ["dso_1.dms"] * n, "duty": ["observe"] * n, "asset": ["a"] * n,
            "quantity": ["q"] * n, "refused": [""] * n, "value": v["value"], "count": [1] * n,
        })  # fmt: skip
    return path


def test_equal_runs_are_the_same_whatever_their_provenance(tmp_path: Path) -> None:
    a = written(tmp_path / "a.h5", provenance={"wall_run_s": 1.0})
    b = written(tmp_path / "b.h5", provenance={"wall_run_s": 2.0})
    assert diff(a, b).same
    with Run(a) as opened:
        assert diff(opened, opened).same


def test_the_first_difference_names_simulator_thing_and_time(tmp_path: Path) -> None:
    def later(v: dict[str, np.ndarray]) -> None:
        v["bus"][4:, 2] += 0.01  # in dso_2, from 240 s
        v["bus"][6, 0] = np.nan
        v["cell"][5:] = 49.9
        v["pv"][4:, 1] = 4.0  # the cause: at the same instant, but devices come before the grid

    found = diff(written(tmp_path / "a.h5"), written(tmp_path / "b.h5", later))
    assert not found.same
    assert [(d.simulator, d.column, d.label, d.t_s) for d in found.columns] == [
        ("der", "feeder.pv_mw", "f2", 240.0),
        ("distribution dso_2", "bus.vm_pu", "f2.b0", 240.0),
        ("transmission", "cell.f_hz", "cell_1", 300.0),
    ]
    pv, bus, cell = found.columns
    assert (pv.a, pv.b, pv.count, pv.largest) == ("5.0", "4.0", 6, 1.0)
    assert bus.count == 7  # six rows of one bus, and a gap
    assert cell.largest == pytest.approx(0.1)
    assert str(pv) == (
        "at 240.000 s in der: feeder.pv_mw of f2 is 5.0 and 4.0 (6 values differ, by at most 1)"
    )


def test_tolerances_leave_out_what_is_close(tmp_path: Path) -> None:
    a = written(tmp_path / "a.h5")
    b = written(tmp_path / "b.h5", lambda v: v["cell"].__setitem__(3, 50.004))
    assert len(diff(a, b).columns) == 1
    assert diff(a, b, atol=0.005).same
    assert diff(a, b, rtol=1e-4).same
    assert not diff(a, b, rtol=1e-5).same


def test_events_differ_at_the_first_row_that_does(tmp_path: Path) -> None:
    a = written(tmp_path / "a.h5")
    (other,) = diff(a, written(tmp_path / "b.h5", lambda v: v["value"].__setitem__(1, 9.0))).columns
    assert (other.simulator, other.column, other.label, other.t_s) == (
        "controllers dso_1.dms", "actions.value", "row 1", 120.0,
    )  # fmt: skip
    assert (other.a, other.b) == ("2.0", "9.0")

    def shorter(v: dict[str, np.ndarray]) -> None:
        v["value"], v["at"] = v["value"][:2], v["at"][:2]

    (fewer,) = diff(a, written(tmp_path / "c.h5", shorter)).columns
    assert (fewer.t_s, fewer.b, fewer.count) == (480.0, "no further event", 1)


def test_settings_and_things_that_only_one_has_are_named(tmp_path: Path, make_run: Callable[..., Run]) -> None:
    a = written(tmp_path / "a.h5", scenario_json='{"der": {"pv": {"s": 1}}, "seed": 1, "limits": [1, 2]}')
    b = written(tmp_path / "b.h5", scenario_json='{"der": {"pv": {"s": 2}}, "seed": 2, "limits": [1, 2]}', seed=2)
    assert diff(a, b).settings == ("seed: 1 and 2", "der.pv.s: 1 and 2")
    left = make_run({"bus": {"vm_pu": np.ones((3, 2))}}, labels={"bus": ["x", "y"]})
    right = make_run({"bus": {"vm_pu": np.ones((5, 2))}, "line": {"p_mw": [1.0]}}, labels={"bus": ["x", "z"]})
    assert diff(left, right).structure == (
        "only in the second: line", "only in the first: bus y", "only in the second: bus z",
        "rows of bus: 3 and 5, at equal times only the first 3",
    )  # fmt: skip


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    a = written(tmp_path / "a.h5")
    with pytest.raises(RunError, match="no such run file"):
        diff(a, tmp_path / "none.h5")
    with pytest.raises(GridseamError, match="tolerances must not be negative"):
        diff(a, a, atol=-1)
