import json
import pickle

import pytest
from pydantic import ValidationError

from controllers.responsibility import ARCHITECTURES, FROM_STAGE, STAGES
from scenarios import schema_operation
from scenarios.load import load
from scenarios.nets import GRIDS
from scenarios.schema import Scenario
from scenarios.schema_grid import SHIPPED_GRIDS


@pytest.fixture
def scenario(small, write):
    return load(write(small))


def test_feeders_are_counted_over_the_dsos_grids_in_order(scenario):
    feeders = scenario.feeders()
    assert [f.name for f in feeders] == ["north.f01", "north.f02", "north.f03", "north.f04", "south.f01"]
    assert [f.grid for f in feeders] == ["cigre_mv", "cigre_mv", "mv_oberrhein", "cigre_mv", "cigre_mv_lv"]
    assert [f.copy for f in feeders] == [0, 1, 0, 0, 0]
    assert [f.interface for f in feeders] == [0, 0, 0, 1, 2]
    assert [f.bus for f in feeders] == [4, 4, 4, 8, 15]
    assert [f.cell for f in feeders] == [1, 1, 1, 1, 2]


def test_an_entry_overrides_the_shares_of_der(scenario):
    assert [f.pv_mw_per_mw_load for f in scenario.feeders()] == [0.5, 0.5, 1.2, 1.2, 1.2]
    assert {f.vehicles_per_mw_load for f in scenario.feeders()} == {150.0}


def test_interfaces_know_their_feeders(scenario):
    assert [(i.name, i.index, i.bus, i.feeders) for i in scenario.interfaces()] == [
        ("north.i1", 0, 4, ("north.f01", "north.f02", "north.f03")),
        ("north.i2", 1, 8, ("north.f04",)),
        ("south.i1", 2, 15, ("south.f01",)),
    ]


def test_times_of_disturbances_count_from_the_start(scenario):
    assert scenario.at_ms(scenario.disturbances[0]) == 15 * 3_600_000


def test_what_is_written_out_reads_back_as_the_same(scenario):
    data = json.loads(scenario.as_json())
    assert data["time"]["step"] == "1 min"
    assert data["disturbances"][0]["at"] == "15:00"
    assert Scenario.model_validate(data, context={"folder": scenario.folder}).as_data() == scenario.as_data()


def test_a_scenario_travels_to_another_process(scenario):
    there = pickle.loads(pickle.dumps(scenario))
    assert there == scenario
    assert there.folder == scenario.folder


def test_a_scenario_cannot_be_changed_in_place(scenario):
    with pytest.raises(ValidationError, match="frozen"):
        scenario.time.step_ms = 5


def test_links_not_named_keep_their_default(small, write):
    text = small + "communication:\n  links:\n    - {from: tso, to: dms, technology: xdsl}\n"
    communication = load(write(text)).communication
    assert communication.technology("dms", "tso") == "xdsl"
    assert communication.technology("primary", "substation") == "lte450"
    assert communication.technology("agents") == "lte450"


def test_settings_are_those_of_the_duty(scenario):
    assert scenario.control.settings("balance_cell") == {"k_p": 0.1, "t_i_ms": 120_000, "cycle_ms": 4_000}
    assert scenario.control.settings("observe") == {}


def test_recording_falls_back_to_the_default(small, write):
    record = load(write(small + "record: {bus: 5 min, default: 2 min}\n")).record
    assert [record.period_ms(kind) for kind in ("bus", "line", "system")] == [300_000, 120_000, 120_000]


def test_names_are_those_of_the_rest_of_the_house():
    assert tuple(FROM_STAGE) == schema_operation.DUTIES
    assert ARCHITECTURES == schema_operation.ARCHITECTURES
    assert STAGES == schema_operation.STAGES
    assert set(GRIDS) == set(SHIPPED_GRIDS)


def test_the_json_schema_documents_every_key():
    schema = Scenario.model_json_schema()
    assert schema["additionalProperties"] is False
    silent = [
        f"{part}.{key}"
        for part, body in {"Scenario": schema, **schema["$defs"]}.items()
        for key, value in body.get("properties", {}).items()
        if not {"description", "$ref"} & set(value) and part not in ("Record", "Control")
    ]
    assert silent == []
