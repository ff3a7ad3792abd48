"""A cell that loses a power station brings its exchange back, whoever balances it; nobody does at local, stage 4."""

import numpy as np
import pytest

PAIRINGS = tuple((a, s) for a in ("local", "centralized", "distributed") for s in (1, 2, 3, 4))
LOST = 12
"""Row in which G8 has tripped, in the third cell; the runs end seven minutes later."""


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_the_exchange_comes_back_where_somebody_balances_the_cell(runs, pairing):
    run = runs[pairing]
    error = (run.values("cell", "p_tie_mw").astype(float) - run.values("cell", "p_sched_mw"))[LOST:, 2]
    assert error[0] < -100.0
    share = error / error[0]
    if pairing == ("local", 4):
        assert share.min() > 0.9, "containment without restoration"
    else:
        assert share[-1] < 0.06
        assert share.min() > -0.05, "no overshoot"
        assert (np.diff(share) < 0).all(), "all the way down"


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_stations_are_called_by_who_holds_the_balance_and_above_all_in_the_disturbed_cell(runs, acts, pairing):
    architecture, stage = pairing
    called = {a[3]: (a[1], a[5]) for a in acts(runs[pairing]) if a[3].startswith("gen.") and a[2] == "balance_cell"}
    if pairing == ("local", 4):
        assert not called, "nobody may"
        return
    cells = {"dso_1": ("G2", "G3", "G10"), "dso_2": ("G4", "G5", "G6", "G7"), "dso_3": ("G1", "G8", "G9")}
    for dso, machines in cells.items():
        site = "tso" if stage < 4 else {"centralized": f"{dso}.dms", "distributed": f"{dso}.i1"}[architecture]
        assert {called[f"gen.{m}"][0] for m in machines} == {site}
    total = {dso: sum(called[f"gen.{m}"][1] for m in machines) for dso, machines in cells.items()}
    assert total["dso_3"] > 150.0
    assert max(abs(total["dso_1"]), abs(total["dso_2"])) < 0.2 * total["dso_3"], "it moves by its own means"
