import pickle

import pytest

from sims.core.errors import ControllerError, GridError, GridseamError, ModelError, Problem, ScenarioError, nearest


def test_a_problem_reads_as_place_field_and_text():
    assert str(Problem("winter.yaml:14", "controls.voltage", "'x' is wrong")) == (
        "winter.yaml:14 controls.voltage: 'x' is wrong"
    )
    assert str(Problem("net x", "", "has no bus")) == "net x: has no bus"


def test_a_scenario_error_lists_every_problem_at_once():
    problems = [Problem("a.yaml:1", "x", "one"), Problem("a.yaml:9", "y", "two")]
    assert str(ScenarioError(problems)) == "a.yaml:1 x: one\na.yaml:9 y: two"
    assert ScenarioError(problems).problems == tuple(problems)


def test_a_plain_text_becomes_one_problem():
    assert str(ScenarioError("no such class")) == "scenario: no such class"


@pytest.mark.parametrize(
    "error",
    [
        ScenarioError([Problem("a.yaml:1", "x", "one"), Problem("b", "", "two")]),
        ModelError("dso_1", 90_123, "power flow has no solution"),
        ControllerError("dso_1.dms", 1_000, "ValueError: no"),
        GridError("net x: bus 7"),
    ],
)
def test_errors_come_back_whole_from_another_process(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_model_errors_name_who_and_when_in_seconds():
    error = ModelError("transmission", 90_123, "no balance")
    assert str(error) == "transmission at 90.123 s: no balance"
    assert (error.model, error.t_ms, error.text) == ("transmission", 90_123, "no balance")


def test_one_base_catches_all_that_is_raised_on_purpose():
    for kind in (ScenarioError, GridError, ModelError, ControllerError):
        assert issubclass(kind, GridseamError)
    assert issubclass(ControllerError, ModelError)


@pytest.mark.parametrize(
    ("name", "text"),
    [("centrall", " (did you mean centralized?)"), ("locall", " (did you mean local?)"), ("xyz", ""), ("", "")],
)
def test_the_nearest_valid_name_is_offered_and_only_if_it_is_near(name, text):
    assert nearest(name, ["local", "centralized", "distributed"]) == text


def test_numbers_have_neighbours_too():
    assert nearest("14", ["15", "140", "3"]) == " (did you mean 140?)"
