import json

import numpy as np
import pytest

from results.runfile import Run
from scenarios.cell import cell_digest
from scenarios.cell import finished as is_finished
from scenarios.load import load
from scenarios.run import PACKAGES, run_pairing
from sims.core.errors import ScenarioError

SHORT = {"time.duration": "5 min", "disturbances": []}


@pytest.fixture(scope="module")
def finished(small_path, tmp_path_factory):
    """A run of five minutes and the times it told."""
    told = []
    out = tmp_path_factory.mktemp("run")
    path = run_pairing(load(small_path, None, SHORT), "centralized", 3, out, progress=told.append)
    with Run(path) as run:
        yield path, run, told


def test_the_file_is_named_after_the_pairing_and_complete(finished):
    path, run, _ = finished
    assert path.name == "centralized-3.h5"
    assert run.status == "complete"
    run.check()


def test_time_is_told_at_every_step(finished):
    assert finished[2] == [0, 60_000, 120_000, 180_000, 240_000]


def test_every_kind_is_recorded_at_its_own_pace(finished):
    _, run, _ = finished
    for kind in ("bus", "line", "trafo", "feeder", "interface", "cell", "gen", "system", "estimate"):
        assert run.seconds(kind).tolist() == [0, 60, 120, 180, 240]
    assert run.labels("feeder") == ["dso_1.f01", "dso_1.f02", "dso_2.f01", "dso_3.f01"]
    assert len(run.labels("bus")) == 4 * 15
    assert np.isfinite(run.values("bus", "vm_pu")).all()


def test_it_says_what_was_run(finished):
    attrs = finished[1].attrs
    assert (attrs["architecture"], int(attrs["stage"]), int(attrs["seed"]), attrs["scenario"]) == (
        "centralized", 3, 7, "small"
    )
    assert json.loads(attrs["scenario_json"])["time"]["duration"] == "5 min"
    duties = json.loads(attrs["duties"])
    assert duties["support_tso_voltage"] == ["device", "dms"]
    assert duties["balance_cell"] == ["tso"]


def test_it_is_known_as_the_cell_it_is(finished, small_path):
    path, run, _ = finished
    scenario = load(small_path, None, SHORT)
    assert run.attrs["cell"] == cell_digest(scenario, "centralized", 3)
    assert is_finished(scenario, "centralized", 3, path)
    assert json.loads(run.attrs["events_json"]) == []
    event = load(small_path, None, SHORT | {"disturbances": [
        {"at": "2 min", "kind": "line_fault", "feeder": "dso_1.f01", "line": 3}]}).disturbances[0]  # fmt: skip
    assert event.words == "line fault feeder dso_1.f01 line 3"


def test_every_branch_names_its_buses_and_every_quantity_its_simulator(finished):
    run = finished[1]
    buses = set(run.labels("bus"))
    for kind in ("line", "trafo"):
        for end in ("from_bus", "to_bus"):
            assert set(run.static(kind, end)) <= buses
    ends = zip(run.static("line", "from_bus"), run.static("line", "to_bus"), strict=True)
    assert all(a != b and a.partition(".b")[0] == b.partition(".b")[0] for a, b in ends)
    sources = {name: run.about(*name.split("/"))["source"] for name in (
        "bus/vm_pu", "feeder/pv_mw", "feeder/loss_mw", "cell/f_hz", "estimate/age_s")}  # fmt: skip
    assert list(sources.values()) == ["distribution", "der", "distribution", "transmission", "recorder"]


def test_provenance_names_every_package(finished):
    keys = set(finished[1].group_attrs("provenance"))
    assert {f"version_{name.replace('-', '_')}" for name in PACKAGES} <= keys


def test_key_figures_are_in_the_file(finished):
    kpis = finished[1].kpis
    assert kpis
    assert all(isinstance(name, str) for name in kpis)
    assert 0 <= kpis["balance_residual_mw"] < 1e-4


def test_messages_are_logged_and_add_up(finished):
    messages = finished[1].messages
    topics = messages.topic.values.tolist()
    assert topics.count("primary") == 5 * 4
    arrived = messages.arrived_ms.values
    assert (arrived[np.isfinite(arrived)] >= messages.sent_ms.values[np.isfinite(arrived)]).all()


def test_recording_may_be_coarser(small_path, tmp_path):
    scenario = load(small_path, None, SHORT | {"record": {"bus": "2 min"}})
    with Run(run_pairing(scenario, "local", 1, tmp_path)) as run:
        assert run.seconds("bus").tolist() == [0, 120, 240]
        assert run.seconds("feeder").size == 5


def test_a_run_that_cannot_be_assembled_leaves_nothing_behind(small_path, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(small_path.read_text() + "controllers: [{use: ./none.py:Mine, at: dms, duties: [observe]}]\n")
    with pytest.raises(ScenarioError, match=r"none\.py"):
        run_pairing(load(path, None, SHORT), "centralized", 1, tmp_path / "out")
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize(
    ("keys", "attacked"),
    [
        ({"communication.mode": "sampled"}, False),
        (
            {
                "communication.metering.by_exception": {"scan": "1 min"},
                "communication.metering.v_resolution_pu": 0.001,
                "communication.acknowledged": [{"topic": "command"}],
                "disturbances": [{"at": "2 min", "kind": "drop", "duration": "2 min", "node": "dso_1.i1"}],
            },
            True,
        ),
    ],
    ids=["sampled", "attacked"],
)  # fmt: skip
def test_every_message_of_a_run_has_a_fate(small_path, tmp_path, keys, attacked):
    given = {"time.duration": "6 min", "disturbances": [], **keys}
    with Run(run_pairing(load(small_path, None, given), "centralized", 2, tmp_path)) as run:
        fate = run.texts("messages", "fate").astype(str)
        sent, arrived = run.column("messages", "sent_ms"), run.column("messages", "arrived_ms")
    came = np.isin(fate, ("delivered", "duplicate", "replayed"))
    assert came.sum() > 100
    assert (np.isfinite(arrived) == came).all()
    assert (arrived[came] >= sent[came]).all()
    assert ("attacked" in fate) is attacked
    if attacked:
        at = sent[fate == "attacked"]
        assert 120_000 <= at.min() < at.max() < 240_000
