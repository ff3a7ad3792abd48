"""Twelve pairings are twelve ways to act on one and the same day."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from controllers.responsibility import DEGENERATE
from scenarios import seats
from scenarios.assemble import responsibility_of
from scenarios.devices import der_simulator, drivers
from scenarios.ground import ground

PAIRINGS = tuple((a, s) for a in ("local", "centralized", "distributed") for s in (1, 2, 3, 4))
SMALL = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"

ALIKE = {
    *itertools.combinations([("local", 1), ("centralized", 1), ("distributed", 1)], 2),  # they differ in what is known
    (("local", 2), ("local", 3)),  # a static band asks for no act
}
"""Pairs whose acts may be the same."""


def test_all_twelve_ran(outcomes):
    failed = {pairing: o.error for pairing, o in outcomes.items() if o.path is None}
    assert not failed
    assert set(outcomes) == set(PAIRINGS)


def test_what_may_be_alike_is_named_as_degenerate():
    assert all(one in DEGENERATE or other in DEGENERATE for one, other in ALIKE)


@pytest.mark.parametrize(
    ("one", "other"), [pair for pair in itertools.combinations(PAIRINGS, 2) if pair not in ALIKE],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def test_the_acts_differ(runs, acts, one, other):
    assert acts(runs[one]) != acts(runs[other])


@pytest.mark.parametrize("quantity", ["pv_avail_mw", "wind_avail_mw", "customers"])
def test_weather_and_customers_are_the_same_in_all(runs, quantity):
    first = runs["local", 1].values("feeder", quantity)
    assert first.any()
    for run in runs.values():
        np.testing.assert_array_equal(run.values("feeder", quantity), first)


def test_the_disturbances_are_the_same_in_all(runs, acts):
    def struck(run):
        trips = [a for a in acts(run) if a[2] == "protection" and a[0] == 240_000]
        g8 = run.values("gen", "p_mw")[:, run.labels("gen").index("G8")]
        return trips, np.flatnonzero(g8 == 0).tolist(), float(run.values("feeder", "customers_out")[4].sum())

    first = struck(runs["local", 1])
    assert first[0]
    assert first[1] == list(range(12, 20))
    assert first[2] > 0
    assert all(struck(run) == first for run in runs.values())


def test_the_schedule_is_the_same_in_all(runs):
    first = runs["local", 1].values("cell", "p_sched_mw")
    assert all((run.values("cell", "p_sched_mw") == first).all() for run in runs.values())


def test_the_drivers_are_the_same_in_all_and_no_run_moves_them(scenario):
    shared = ground(scenario)
    for pairing in PAIRINGS:
        table = responsibility_of(shared, *pairing)
        sim = der_simulator(
            scenario, shared.table, shared.series, table, shared.cell_of_dso, step_ms=60_000, stays=shared.stays
        )
        sim.step(0, {})
        sim.step(60_000, {})
    untouched = vars(drivers(scenario, shared.table, shared.series))
    assert any(np.size(v) for v in untouched.values())
    for name, values in vars(shared.stays).items():
        np.testing.assert_array_equal(values, untouched[name])


def no_stage(architecture):
    """Give the DSO of one architecture, at every stage, the controllers of stage 1."""
    return tuple(
        row for row in seats.TABLE
        if row.at in ("tso", "crew") or row.architectures != (architecture,) or row.stages[0] == 1
    )


@pytest.mark.parametrize("architecture", ["centralized", "distributed"])
def test_without_its_controllers_a_pairing_acts_otherwise(short_run, acts, monkeypatch, architecture):
    own = acts(short_run(SMALL, architecture, 2, 12, "own"))
    monkeypatch.setattr(seats, "TABLE", no_stage(architecture))
    bare = acts(short_run(SMALL, architecture, 2, 12, "bare"))

    def deciders(found):
        return {actor for _, actor, *_ in found} - {"device", "tso"}

    assert deciders(own)
    assert not deciders(bare)


def test_with_another_pairings_controllers_the_table_still_decides(short_run, acts, monkeypatch):
    """Seat the control centre where agents are to decide: it gives orders, and every one is refused."""
    swap = {("centralized",): ("distributed",), ("distributed",): ("centralized",)}
    rows = tuple(
        seats.Row(r.at, r.duty, r.use, swap.get(r.architectures, r.architectures), r.stages) for r in seats.TABLE
    )
    monkeypatch.setattr(seats, "TABLE", rows)
    found = [a for a in acts(short_run(SMALL, "centralized", 2, 12)) if a[1] not in ("device", "tso")]
    assert all("not by agent" in refused for *_, refused in found)
    assert not any(actor.endswith(".dms") for _, actor, *_ in found)
