import numpy as np
import pytest

from sims.core.bundle import unbundled
from sims.distribution.meter_plan import AreaPoint, Bands, FeederPoints, MeterPlan, TransmissionPlan
from sims.distribution.metering import Metering

MIN = 60_000


def gateways(grid, name):
    """One substation per medium-voltage node below the busbars."""
    return tuple(f"{name}.s{n}" if grid.vn_kv[n] < 60 else "" for n in range(grid.n_nodes))


@pytest.fixture
def meters(fleet):
    def make(*, primary_to=("dso.dms",), secondary_to="dso.dms", areas=False, fault_to="dso.dms", v=0.6, p=3.0, seed=1,
             nets=("cigre_mv", "cigre_mv"), **plan_options):
        feeders = fleet(*nets)
        grid = feeders.feeders[0].grid
        points = []
        for f, feeder in enumerate(feeders.feeders):
            gates = gateways(grid, feeder.name)
            line = grid.branch("line", 1)
            spots = (
                AreaPoint(f"{feeder.name}.a1", int(grid.bus_node[3]), np.array([1]), np.array([line]),
                          np.array([-1.0]), np.array([0])),
            ) if areas else ()  # fmt: skip
            points.append(
                FeederPoints(f, primary_to, gates, tuple(secondary_to if g else "" for g in gates), spots,
                             fault_to=fault_to, crew="dso.crew")
            )  # fmt: skip
        plan = MeterPlan("dso", feeders, points, MIN, 5 * MIN, v, p, **plan_options)
        transmission = TransmissionPlan(("dso.i1",), (("tso", "dso.dms"),), ("dso.i1",), (("dso.dms", 1),))
        return Metering([plan], transmission, seed, MIN), feeders

    return make


def state(feeders, faults=()):
    n, b, t = (int(x[-1]) for x in (feeders.node_start, feeders.branch_start, feeders.tap_start))
    arrays = {
        "v_pu": np.linspace(0.98, 1.02, n), "p_node_mw": np.linspace(-1.0, -2.0, n), "q_node_mvar": np.full(n, -0.5),
        "flow_p_mw": np.linspace(1, 9, b), "flow_q_mvar": np.linspace(0.5, 2, b), "loading_percent": np.full(b, 40.0),
        "tap_pos": np.arange(t), "v_set_pu": np.full(t, 1.02), "der_avail_mw": np.full(n, 0.3),
        "der_mw": np.full(n, 0.2), "faults": tuple(faults),
    }  # fmt: skip
    return {port: {"dso": values} for port, values in arrays.items()} | {
        "interface": {"transmission": {"p_mw": np.array([-20.0]), "q_mvar": np.array([3.0]), "v_pu": np.array([1.01])}},
        "cell": {"transmission": {"f_hz": np.array([50.0, 49.9]), "p_tie_mw": np.array([5.0, -6.0]),
                                  "p_sched_mw": np.array([1.0, -1.0]), "inertia_mws": np.array([9e3, 7e3]),
                                  "largest_mw": np.array([600.0, 500.0])}},
    }  # fmt: skip


def frames(step, topic, port="frames"):
    return [m for m in unbundled(step.outputs.get(port, [])) if m.topic == topic]


def test_each_substation_and_primary_reports_at_its_own_pace(meters):
    metering, feeders = meters()
    counts = []
    for minute in range(11):
        step = metering.step(minute * MIN, state(feeders))
        assert step.next_ms == (minute + 1) * MIN
        counts.append((len(frames(step, "primary")), len(frames(step, "secondary"))))
    assert counts == [(2, 28) if minute % 5 == 0 else (2, 0) for minute in range(11)]


def test_a_frame_says_where_when_and_what(meters):
    metering, feeders = meters(v=0.0, p=0.0)  # no error: the plain values
    truth = state(feeders)
    step = metering.step(5 * MIN, truth)
    message = next(m for m in frames(step, "secondary") if m.sender == "dso.f02.s4")
    at = int(feeders.node_start[1]) + 4
    assert (message.receiver, message.sent_ms, message.values["node"]) == ("dso.dms", 5 * MIN, 4)
    for key, port in (("v_pu", "v_pu"), ("p_mw", "p_node_mw"), ("q_mvar", "q_node_mvar"), ("der_mw", "der_mw")):
        assert message.values[key] == truth[port]["dso"][at]
    assert message.size_bytes == 40 + 27 * len(message.values)


def test_the_primary_reports_its_transformers(meters):
    metering, feeders = meters(v=0.0, p=0.0)
    truth = state(feeders)
    second = frames(metering.step(0, truth), "primary")[1]
    grid = feeders.feeders[1].grid
    rows = feeders.branch_start[1] + np.array([grid.branch("trafo", 0), grid.branch("trafo", 1)])
    assert second.sender == "dso.f02"
    assert second.values["p_mw"].tolist() == truth["flow_p_mw"]["dso"][rows].tolist()
    assert second.values["tap_pos"].tolist() == [2.0, 3.0]
    busbars = feeders.node_start[1] + np.array([grid.bus_node[1], grid.bus_node[12]])
    assert second.values["v_pu"].tolist() == truth["v_pu"]["dso"][busbars].tolist()


def test_errors_are_normal_and_three_of_them_make_the_class(meters):
    metering, feeders = meters(v=0.6, p=3.0)
    truth = state(feeders)
    v, p = [], []
    for k in range(300):
        for m in frames(metering.step(5 * k * MIN, truth), "secondary"):
            at = int(feeders.node_start[int(m.sender[5:7]) - 1]) + m.values["node"]
            v.append(m.values["v_pu"] / truth["v_pu"]["dso"][at] - 1)
            p.append(m.values["p_mw"] / truth["p_node_mw"]["dso"][at] - 1)
    for error, class_percent in ((np.array(v), 0.6), (np.array(p), 3.0)):
        sigma = class_percent / 300
        assert error.size == 8400
        assert error.std() == pytest.approx(sigma, rel=0.03)
        assert abs(error.mean()) < 4 * sigma / np.sqrt(error.size)
        assert np.mean(np.abs(error) > 3 * sigma) == pytest.approx(0.0027, abs=0.0025)
        assert np.abs(error).max() < 5.5 * sigma
    assert abs(np.corrcoef(v, p)[0, 1]) < 0.04


def test_the_noise_is_the_same_whoever_receives(meters):
    def read(**options):
        metering, feeders = meters(**options)
        out = []
        for minute in range(6):
            step = metering.step(minute * MIN, state(feeders))
            out += [(m.sender, str(m.values)) for m in frames(step, "primary") + frames(step, "secondary")]
        return out

    central = read()
    assert read(primary_to=("dso.f01.a0",), secondary_to="dso.f01.a0", areas=True) == central
    only_primary = read(secondary_to="")
    assert only_primary == [row for row in central if ".s" not in row[0]]
    assert read(seed=2) != central


def test_without_supervision_nothing_is_reported_but_the_customers_call(meters):
    metering, feeders = meters(primary_to=(), secondary_to="", fault_to="")
    fault = {"feeder": "dso.f02", "tripped_line": 0, "passed": np.array([6, 9, 1, 0])}
    step = metering.step(5 * MIN, state(feeders, [fault]))
    mail = [m for m in unbundled(step.outputs["frames"]) if m.topic not in ("interface", "tie")]
    assert [(m.topic, m.sender, m.receiver) for m in mail] == [("outage_call", "dso.f02", "dso.crew")]


def test_the_call_carries_what_a_crew_reads_on_site(meters):
    metering, feeders = meters(fault_to="")
    fault = {"feeder": "dso.f02", "tripped_line": 0, "passed": np.array([6, 9, 1, 0])}
    (call,) = frames(metering.step(5 * MIN, state(feeders, [fault])), "outage_call")
    assert (call.values["feeder"], call.values["tripped_line"]) == ("dso.f02", 0)
    assert call.values["passed"].tolist() == [6, 9, 1, 0]


def test_a_fault_is_reported_by_the_breaker_and_by_each_indicator_that_saw_it(meters):
    metering, feeders = meters()
    fault = {"feeder": "dso.f02", "tripped_line": 0, "passed": np.array([6, 9, 1, 0])}
    step = metering.step(2 * MIN, state(feeders, [fault]))
    (breaker,) = frames(step, "fault")
    assert (breaker.sender, breaker.receiver, breaker.values["tripped_line"]) == ("dso.f02", "dso.dms", 0)
    seen = frames(step, "fault_indicator")
    assert [m.values["line"] for m in seen] == [6, 9, 1, 0]
    assert all(m.sender.startswith("dso.f02.s") and m.receiver == "dso.dms" for m in seen)
    assert {m.priority for m in (breaker, *seen)} == {0}
    assert {m.priority for m in frames(step, "primary")} == {1}


def test_dark_nodes_are_silent(meters):
    metering, feeders = meters()
    inputs = state(feeders)
    inputs["v_pu"]["dso"][[3, 4]] = np.nan
    senders = {m.sender for m in frames(metering.step(0, inputs), "secondary")}
    assert {"dso.f01.s3", "dso.f01.s4"}.isdisjoint(senders)
    assert len(senders) == 26


def test_a_dark_substation_does_not_shift_the_others_noise(meters):
    one, feeders = meters()
    two, _ = meters()
    dark = state(feeders)
    dark["v_pu"]["dso"][3] = np.nan
    one.step(0, state(feeders))
    two.step(0, dark)
    plain, after = (
        {m.sender: m.values["v_pu"] for m in frames(x.step(5 * MIN, state(feeders)), "secondary")} for x in (one, two)
    )
    assert plain == after


def test_an_area_agent_measures_where_it_stands_with_flows_counted_outwards(meters):
    metering, feeders = meters(areas=True, p=0.0, v=0.0)
    truth = state(feeders)
    step = metering.step(0, truth)
    own = frames(step, "own", "own")
    assert [(m.sender, m.receiver) for m in own] == [("dso.f01.a1",) * 2, ("dso.f02.a1",) * 2]
    line = feeders.feeders[0].grid.branch("line", 1)
    assert own[0].values["boundary_p_mw"].tolist() == [-truth["flow_p_mw"]["dso"][line]]
    assert own[1].values["boundary_p_mw"].tolist() == [-truth["flow_p_mw"]["dso"][feeders.branch_start[1] + line]]
    assert not frames(step, "own"), "what stands there does not travel"


def test_interfaces_and_ties_go_to_those_named(meters):
    metering, feeders = meters()
    step = metering.step(0, state(feeders))
    assert [(m.sender, m.receiver, m.values["p_mw"]) for m in frames(step, "interface")] == [
        ("dso.i1", "tso", -20.0), ("dso.i1", "dso.dms", -20.0)
    ]
    assert [m.receiver for m in frames(step, "interface", "own")] == ["dso.i1"]
    (tie,) = frames(step, "tie")
    assert (tie.receiver, tie.values["cell"], tie.values["p_tie_mw"], tie.values["f_hz"]) == ("dso.dms", 1, -6.0, 49.9)
    (every,) = frames(step, "tie", "own")
    assert (every.sender, every.receiver, every.values["p_tie_mw"].tolist()) == ("tso", "tso", [5.0, -6.0])


def test_between_two_grid_steps_ties_are_told_whenever_frequency_moves(meters):
    metering, _ = meters()
    assert "ties" in metering.ports.hears
    moved = {name: np.array([1.0, 2.0]) for name in ("f_hz", "p_tie_mw", "p_sched_mw", "inertia_mws", "largest_mw")}
    step = metering.step(64_000, {"ties": {"transmission": [moved]}})
    assert step.next_ms == 2 * MIN
    (tie,) = frames(step, "tie")
    assert (tie.receiver, tie.sent_ms, tie.values["p_tie_mw"], tie.values["cell"]) == ("dso.dms", 64_000, 2.0, 1)
    (every,) = frames(step, "tie", "own")
    assert (every.receiver, every.sent_ms, every.values["f_hz"].tolist()) == ("tso", 64_000, [1.0, 2.0])
    assert len(step.outputs["frames"]) == len(step.outputs["own"]) == 1, "nothing else is metered then"


def test_off_its_grid_and_before_anything_is_known_it_says_nothing(meters):
    metering, feeders = meters()
    assert metering.step(0, {}).outputs == {}
    step = metering.step(30_000, state(feeders))
    assert (step.outputs, step.next_ms) == ({}, MIN)


def test_the_noise_continues_from_a_state(meters):
    one, feeders = meters()
    two, _ = meters()
    one.step(0, state(feeders))
    two.set_state(one.get_state())
    values = [
        [str(m.values) for m in unbundled(x.step(5 * MIN, state(feeders)).outputs["frames"])] for x in (one, two)
    ]
    assert values[0] == values[1]


def test_readings_are_whole_multiples_of_the_resolution(meters):
    metering, feeders = meters(v_step_pu=0.01, power_step_mva=0.25)
    step = metering.step(0, state(feeders))
    for topic, points in (("primary", 2), ("secondary", 28)):
        told = frames(step, topic)
        assert len(told) >= points
        for key, size in (("v_pu", 0.01), ("p_mw", 0.25), ("q_mvar", 0.25)):
            values = np.concatenate([np.atleast_1d(m.values[key]) for m in told])
            assert np.abs(values / size - np.rint(values / size)).max() < 1e-9
            assert values.any()


def test_between_telegrams_only_what_has_left_its_band_is_told(meters):
    metering, feeders = meters(v=0.0, p=0.0, bands=Bands(MIN, 0.01, 0.2))
    first, grid = state(feeders), feeders.feeders[0].grid
    whole = len(frames(metering.step(0, first), "secondary"))
    assert len(frames(metering.step(MIN, first), "secondary")) == 0
    here, there = 3, 4
    near = first | {port: {"dso": first[port]["dso"].copy()} for port in ("v_pu", "p_node_mw")}
    near["v_pu"]["dso"][here] += 0.02
    near["v_pu"]["dso"][there] += 0.009
    assert [m.values["node"] for m in frames(metering.step(2 * MIN, near), "secondary")] == [here]
    assert len(frames(metering.step(3 * MIN, near), "secondary")) == 0  # the new value is known now
    near["p_node_mw"]["dso"][there] += 0.3
    assert [m.values["node"] for m in frames(metering.step(4 * MIN, near), "secondary")] == [there]
    assert len(frames(metering.step(5 * MIN, near), "secondary")) == whole
    assert grid.vn_kv[here] < 60


def test_a_primary_tells_between_telegrams_when_a_tap_has_moved(meters):
    metering, feeders = meters(v=0.0, p=0.0, bands=Bands(MIN // 2, 0.01, 0.2))
    metering._step_ms = MIN // 2
    first = state(feeders)
    assert len(frames(metering.step(0, first), "primary")) == 2
    assert frames(metering.step(MIN // 2, first), "primary") == []
    assert len(frames(metering.step(MIN, first), "primary")) == 2  # a telegram is due
    moved = first | {"tap_pos": {"dso": first["tap_pos"]["dso"].copy()}}
    moved["tap_pos"]["dso"][-1] += 1
    told = frames(metering.step(3 * MIN // 2, moved), "primary")
    assert len(told) == 1


def test_what_was_told_last_is_part_of_the_state(meters):
    options = {"v": 0.0, "p": 0.0, "bands": Bands(MIN, 0.01, 0.2)}
    metering, feeders = meters(**options)
    metering.step(0, state(feeders))
    other, _ = meters(**options)
    other.set_state(metering.get_state())
    for again in (metering, other):
        assert frames(again.step(MIN, state(feeders)), "secondary") == []


def test_meters_in_low_voltage_grids_have_their_own_pace_and_class(meters):
    metering, feeders = meters(
        nets=("cigre_mv_lv",), v=0.0, p=0.0, smart_ms=15 * MIN, smart_class_percent=3.0
    )
    grid = feeders.feeders[0].grid
    kv = {}
    for minute in (0, 5, 15):
        told = frames(metering.step(minute * MIN, state(feeders)), "secondary")
        kv[minute] = [grid.vn_kv[m.values["node"]] for m in told]
    assert min(kv[0]) < 1 < max(kv[0])
    assert min(kv[5]) > 1
    assert sorted(kv[15]) == sorted(kv[0])
    told = {m.values["node"]: m.values["p_mw"] for m in frames(metering.step(30 * MIN, state(feeders)), "secondary")}
    real = state(feeders)["p_node_mw"]["dso"]
    exact = {node for node, p_mw in told.items() if p_mw == real[node]}
    assert exact == {node for node in told if grid.vn_kv[node] > 1}
