import pytest

from results.runfile import Run
from scenarios.assemble import responsibility_of
from scenarios.load import load
from scenarios.meters import meter_plans, transmission_plan
from scenarios.run import run_pairing
from sims.distribution.feeders import Feeder, Feeders


@pytest.fixture
def plans(shared):
    def make(architecture, stage):
        table = responsibility_of(shared, architecture, stage)
        feeders = {
            dso: Feeders([Feeder(f.name, f.plan.grid, 0, f.plan.customers) for f in shared.places.of_dso(dso)], ())
            for dso in shared.places.dsos
        }
        plans = meter_plans(shared.scenario, shared.places, feeders, table, shared.table)
        return plans, transmission_plan(shared.places, table)

    return make


def test_periods_and_classes_are_the_scenarios(plans):
    first = plans("centralized", 1)[0][0]
    assert (first.dso, first.primary_ms, first.secondary_ms) == ("dso_1", 60_000, 300_000)
    assert (first.v_class_percent, first.p_class_percent) == (0.5, 1.0)


@pytest.mark.parametrize("stage", [1, 4])
def test_without_supervision_only_customers_call(plans, stage):
    for plan in plans("local", stage)[0]:
        for point in plan.points:
            assert (point.primary_to, point.fault_to, point.areas) == ((), "", ())
            assert set(point.secondary_to) == {""}
            assert point.crew == f"{plan.dso}.crew"


def test_a_control_centre_gets_every_frame_of_its_own_grid(plans):
    for plan in plans("centralized", 2)[0]:
        for point in plan.points:
            assert point.primary_to == (f"{plan.dso}.dms",)
            assert {r for r, g in zip(point.secondary_to, point.gateways, strict=True) if g} == {f"{plan.dso}.dms"}
            assert {r for r, g in zip(point.secondary_to, point.gateways, strict=True) if not g} == {""}


def test_agents_get_the_frames_of_their_own_area(plans, shared):
    for plan in plans("distributed", 2)[0]:
        for point, place in zip(plan.points, shared.places.of_dso(plan.dso), strict=True):
            assert point.primary_to == (place.agents[0],)
            for node, receiver in enumerate(point.secondary_to):
                assert receiver in ("", place.agents[place.plan.areas.of_node[node]])
            assert [a.agent for a in point.areas] == list(place.agents)


def test_flows_over_a_boundary_are_counted_once_from_each_side(plans):
    (first, *_), _ = plans("distributed", 2)
    sign = {}
    for area in first.points[0].areas:
        for line, s in zip(area.line.tolist(), area.sign.tolist(), strict=True):
            sign.setdefault(line, []).append(s)
    assert sign
    assert all(sorted(both) == [-1.0, 1.0] for both in sign.values())


@pytest.mark.parametrize(
    ("architecture", "stage", "ties", "own"),
    [
        ("local", 4, [], ["", "", ""]),
        ("centralized", 3, [], ["", "", ""]),
        ("centralized", 4, [("dso_1.dms", 0), ("dso_2.dms", 1), ("dso_3.dms", 2)], ["", "", ""]),
        ("distributed", 3, [], ["dso_1.i1", "dso_2.i1", "dso_3.i1"]),
        ("distributed", 4, [("dso_1.i1", 0), ("dso_2.i1", 1), ("dso_3.i1", 2)], ["dso_1.i1", "dso_2.i1", "dso_3.i1"]),
    ],
)
def test_ties_go_to_whoever_balances_and_interfaces_to_whoever_supports(plans, architecture, stage, ties, own):
    plan = plans(architecture, stage)[1]
    assert (list(plan.tie_to), list(plan.interface_own)) == (ties, own)
    assert all("tso" in to for to in plan.interface_to)


@pytest.mark.parametrize("architecture", ["local", "centralized", "distributed"])
@pytest.mark.parametrize(("stage", "subscribed"), [(1, True), (2, True), (3, False), (4, False)])
def test_the_tso_reads_der_at_the_first_two_stages_over_the_network(
    small_path, tmp_path, architecture, stage, subscribed
):
    if architecture != "centralized" and stage in (1, 3):
        pytest.skip("the same row of the table as the next stage")
    given = {"time.duration": "6 min", "disturbances": [], "communication.metering.tso_der": "2 min"}
    with Run(run_pairing(load(small_path, None, given), architecture, stage, tmp_path)) as run:
        told = run.is_one_of("messages", "topic", "der")
        if not subscribed:
            assert not told.any()
            return
        sender, receiver = (run.texts("messages", column)[told] for column in ("sender", "receiver"))
        assert set(receiver) == {"tso"}
        assert sorted(set(sender)) == run.labels("feeder")
        assert told.sum() == 3 * len(run.labels("feeder"))  # at 0, 2 and 4 min
        way = (run.column("messages", "arrived_ms") - run.column("messages", "sent_ms"))[told]
        assert (way[run.is_one_of("messages", "fate", "delivered")[told]] > 5).all()  # over three links


def test_without_a_subscription_nobody_reads_der(plans):
    assert all(plan.der_to == () for plan in plans("centralized", 1)[0])
