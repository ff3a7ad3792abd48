"""The inertia account of a run, on figures worked by hand from the shipped 39-bus table."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from gridseam.dms_inertia import account
from scenarios.shipped import transmission_path
from sims.core.errors import GridError
from sims.transmission.case import MachineCase

CASE = MachineCase.load(transmission_path("ieee39"))


class StubRun:
    """As much of a run as the account reads."""

    attrs: ClassVar = {"stage": 2, "scenario_json": '{"transmission": {"grid": "ieee39"}}'}
    provenance: ClassVar = {}
    p_mw = np.full((3, len(CASE.machines)), 500.0)
    tie = np.zeros((3, 3))
    kinds: ClassVar = {"gen", "cell"}

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def has(self, kind, *_):
        return kind in self.kinds

    def seconds(self, kind):
        return np.array([0.0, 60.0, 120.0])

    def values(self, kind, column):
        return {"p_mw": self.p_mw, "p_tie_mw": self.tie, "storage_mw": np.array([[-4.0], [0.0], [0.0]]),
                "storage_soc_mwh": np.full((3, 1), 2.0)}[column]

    def static(self, kind, column):
        return ["cell_2"]

    def labels(self, kind):
        return list(CASE.machines.names)


@pytest.fixture
def run(monkeypatch):
    def make(**changes):
        monkeypatch.setattr("results.runfile.Run", type("Stub", (StubRun,), changes))
        return Path("made.h5")

    return make


def test_machines_count_while_they_run_and_the_largest_sets_the_need(run):
    p_mw = StubRun.p_mw.copy()
    out = CASE.machines.names[0]
    p_mw[1, 0] = 0.0
    home = int(CASE.bus_cell[CASE.machines.bus[0]])
    facts, rows = account(run(p_mw=p_mw), 1 / 60, 1.0)
    member = CASE.bus_cell[CASE.machines.bus] == home
    stored = CASE.machines["h_s"] * CASE.machines["sn_mva"]
    assert rows[home]["own_mws"] == pytest.approx(stored[member].sum() - stored[0]), out
    # 500 MW, at most 1 Hz/s: E = 500 f0 / 2.
    assert rows[home]["needed_mws"] == pytest.approx(500.0 * CASE.f0_hz / 2)
    assert rows[home]["converters_mws"] == 0.0
    assert facts["time_h"] == pytest.approx(1 / 60)
    tightest, _ = account(run(p_mw=p_mw), None, 1.0)
    assert tightest["time_h"] == pytest.approx(1 / 60)


def test_what_is_delivered_is_received_and_a_short_cell_is_named(run):
    p_mw = StubRun.p_mw.copy()
    cell = CASE.bus_cell[CASE.machines.bus]
    keep = int(np.flatnonzero(cell == 2)[0])
    p_mw[:, (cell == 2) & (np.arange(len(cell)) != keep)] = 0.0
    p_mw[:, keep] = 5000.0
    _, rows = account(run(p_mw=p_mw), 0.0, 0.5)
    assert rows[2]["own_mws"] < rows[2]["needed_mws"]
    assert sum(r["delivered_mws"] for r in rows) == pytest.approx(sum(r["received_mws"] for r in rows))
    assert rows[2]["received_mws"] > 0
    facts, apart = account(run(p_mw=50 * p_mw), 0.0, 0.5)
    assert facts["short_of_inertia"]
    assert all(r["delivered_mws"] <= r["deliverable_mws"] + 1e-9 for r in apart)


def test_storage_counts_at_stage_4_with_its_headroom(run):
    kinds = {"gen", "cell", "feeder"}
    attrs = StubRun.attrs | {"stage": 4}
    _, rows = account(run(kinds=kinds, attrs=attrs), 1 / 60, 1.0)
    # 4 MW seen, all of it free, at a slope of 1 Hz/s: 4 f0 / 2.
    assert rows[1]["converters_mws"] == pytest.approx(4.0 * CASE.f0_hz / 2)
    _, busy = account(run(kinds=kinds, attrs=attrs), 0.0, 1.0)
    assert busy[1]["converters_mws"] == 0.0


def test_what_cannot_be_accounted_is_said(run):
    with pytest.raises(GridError, match="recorded without the transmission grid"):
        account(run(kinds={"cell"}), None, 1.0)
    with pytest.raises(GridError, match="not 5 h"):
        account(run(), 5.0, 1.0)
    with pytest.raises(GridError, match="which scenario"):
        account(run(attrs={"stage": 1}), None, 1.0)
