import numpy as np
import pytest

from scenarios.load import load
from scenarios.shipped import transmission_path
from scenarios.upsets import disturbed, upsets
from sims.core.errors import ScenarioError
from sims.transmission import disturbances as physical
from sims.transmission.case import MachineCase


def with_(event, **more):
    return load("three_cells", overrides={"disturbances": [event], **more})


def test_every_kind_reaches_the_model_at_its_millisecond():
    case = MachineCase.load(transmission_path("ieee39"))
    events = [
        {"at": "18:30:00.250", "kind": "generator_trip", "generator": "G8"},
        {"at": "18:30:00.1", "kind": "load_step", "bus": 20, "p_mw": 100.0},
        {"at": "64800001 ms", "kind": "line_switch", "from": 14, "to": 15},
        {"at": "19:00", "kind": "island", "cell": 2},
        {"at": "19:30", "kind": "load_ramp", "bus": 15, "p_mw": 60.0, "duration": "2 min"},
    ]
    scenario = load("three_cells", overrides={"disturbances": events})
    at = 18 * 3_600_000 + 30 * 60_000
    assert upsets(scenario, case) == [
        physical.LineSwitch(64_800_001, 14, 15), physical.LoadStep(at + 100, 20, 100.0),
        physical.GeneratorTrip(at + 250, "G8"), physical.Islanding(19 * 3_600_000, case.cells[1]),
        physical.RampTurn(at + 3_600_000, 15, 0.5 + 0j), physical.RampTurn(at + 3_720_000, 15, -0.5 - 0j),
    ]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"kind": "generator_trip", "generator": "G88"}, "'G88' is not one of"),
        ({"kind": "load_ramp", "bus": 77, "p_mw": 1.0, "duration": "1 min"}, r"there is no bus 77 \(1..39\)"),
        ({"kind": "load_ramp", "bus": 20, "p_mw": 1.0, "duration": "0 s"}, "duration"),
        ({"kind": "load_step", "bus": 77, "p_mw": 1.0}, r"there is no bus 77 \(1..39\)"),
        ({"kind": "line_switch", "from": 14, "to": 16}, "no branch 14-16; bus 14 is joined to 4, 13, 15"),
        ({"kind": "line_switch", "from": 14, "to": 99}, "there is no bus 99"),
        ({"kind": "island", "cell": 7}, "7 is not one of the cells 1"),
        ({"kind": "island", "cell": 2}, "set transmission.frequency.model to dynamic"),
        ({"kind": "load_step", "bus": 20}, "p_mw"),
    ],
)
def test_what_does_not_exist_is_named(event, text):
    with pytest.raises(ScenarioError, match=text):
        with_({"at": "18:30", **event}, **{"transmission.frequency.model": "quasi_steady"})


def test_outside_the_run_and_odd_intervals_are_refused():
    with pytest.raises(ScenarioError, match="not inside the run"):
        with_({"at": "2d 18:30", "kind": "load_step", "bus": 20, "p_mw": 1.0})
    with pytest.raises(ScenarioError, match="must be 10, 20, 30, 40 or 50 ms"):
        load("three_cells", overrides={"transmission.frequency.coupling": "15 ms"})
    with pytest.raises(ScenarioError, match="quasi_steady"):
        load("three_cells", overrides={"transmission.frequency.model": "dynamical"})


def test_inertia_is_capped_then_scaled():
    case = MachineCase.load(transmission_path("ieee39_weak"))
    scenario = load("island_split")
    machines = scenario.transmission.frequency.of(case).machines
    assert machines.stored_mws.sum() == pytest.approx(15_000.0)
    h = np.minimum(case.machines["h_s"], 5.0)
    np.testing.assert_allclose(machines["h_s"] / h, (machines["h_s"] / h)[0])


@pytest.mark.parametrize(("event", "expected"), [
    ({"kind": "generator_trip", "generator": "G8"}, {"disturbed_machine": "G8"}),
    ({"kind": "load_step", "bus": 20, "p_mw": 80.0}, {"disturbance_mw": 80.0}),
])
def test_the_run_file_tells_which_cell_loses_power(event, expected):
    case = MachineCase.load(transmission_path("ieee39"))
    scenario = with_({"at": "18:30", **event})
    bus = 20 if "bus" in event else int(case.bus_ids[case.machines.bus[case.machines.names.index("G8")]])
    cell = int(case.bus_cell[list(case.bus_ids).index(bus)]) + 1
    assert disturbed(scenario, case) == {"disturbed_cell": f"cell_{cell}", "disturbance_s": 66_600.0, **expected}
    both = [{"at": "18:30", **event}, {"at": "18:40", "kind": "load_step", "bus": 15, "p_mw": 10.0}]
    assert disturbed(load("three_cells", overrides={"disturbances": both}), case) == {}
