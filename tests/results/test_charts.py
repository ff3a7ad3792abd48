from collections.abc import Callable

import numpy as np

from results import charts
from results.drawing import OTHER, ROLE
from results.runfile import Run
from sims.core.orders import Action


def test_a_panel_for_every_pairing_even_where_a_run_has_nothing(make_run: Callable[..., Run]) -> None:
    full = make_run({"bus": {"vm_pu": np.ones((4, 3))}}, attrs={"bus": {"v_min_pu": 0.9, "v_max_pu": 1.1}})
    bare = make_run({"line": {"loading_percent": [50.0]}})
    drawn = charts.envelopes({("local", 1): full, ("centralized", 2): bare}, "bus", "vm_pu", "voltage (pu)", "t")
    assert drawn is not None
    for title in ("local, stage 1", "local, stage 2", "centralized, stage 1", "centralized, stage 2"):
        assert title in drawn
    assert drawn.count("no data") >= 3
    assert charts.envelopes({("centralized", 2): bare}, "bus", "vm_pu", "voltage (pu)", "t") is None


def test_the_axis_follows_the_longest_run(make_run: Callable[..., Run]) -> None:
    short = make_run({"cell": {"f_hz": [50.0] * 61}}, every_s=1)
    long = make_run({"cell": {"f_hz": [50.0] * 25}}, every_s=3600)
    assert "time since start (s)" in (charts.frequency({("local", 1): short}) or "")
    assert "time since start (h)" in (charts.frequency({("local", 1): short, ("local", 2): long}) or "")


def test_frequency_shows_the_cell_that_is_worst_off(make_run: Callable[..., Run]) -> None:
    quiet, loud = np.full((30, 2), 50.0), np.full((30, 2), 50.0)
    loud[:, 1] = 49.0
    drawn = {
        n: charts.frequency({("local", 1): make_run({"cell": {"f_hz": f}})}) for n, f in (("q", quiet), ("l", loud))
    }
    assert "1000" in (drawn["l"] or "")  # 1 Hz below nominal is on the axis in mHz
    assert "1000" not in (drawn["q"] or "")


def test_known_roles_keep_their_place_and_colour() -> None:
    assert charts.role_order(["zebra", "tso", "device", "tso"]) == ["device", "tso", "zebra"]
    assert charts.role_colour("tso") == ROLE["tso"]
    assert charts.role_colour("zebra") in OTHER


def test_acts_are_drawn_by_duty(make_run: Callable[..., Run]) -> None:
    acts = [Action(60_000, "n.dms", "observe", "f", "q", 1.0), Action(0, "n.dms", "observe", "f", "q", 1.0, 1, "no")]
    run = make_run({"bus": {"vm_pu": [1.0] * 3}}, actions=acts)
    drawn = charts.responsibility({("centralized", 1): run}, ["observe"])
    assert drawn is not None
    assert "observe" in drawn
    assert charts.responsibility({("centralized", 1): run}, []) is None
