import pytest

from scenarios.expectation import Expectation
from scenarios.load import load
from sims.core.errors import ScenarioError


def expecting(small, text):
    return small + "expect:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def test_one_expectation_or_a_list_of_them(small, write):
    scenario = load(write(expecting(small, (
        "voltage_violation_bus_h: {max: 0.5}\n"
        "ens_mwh:\n"
        "  - {max: 1, architecture: centralized, stage: [2, 3]}\n"
        "  - {max_ratio: 0.8, architecture: distributed, than: {architecture: local}}\n"
    ))))  # fmt: skip
    (one,) = scenario.expect["voltage_violation_bus_h"]
    assert one == Expectation(max=0.5)
    first, second = scenario.expect["ens_mwh"]
    assert (first.architecture, first.stage) == (("centralized",), (2, 3))
    assert second.than.architecture == "local"
    assert second.words == "max_ratio 0.8 than local"
    again = type(scenario).model_validate(scenario.as_data(), context={"folder": scenario.folder})
    assert again.expect == scenario.expect


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("voltage_violation_hours: {max: 1}", "no key figure 'voltage_violation_hours' (did you mean voltage_"),
        ("ens_mwh: {maximum: 1}", "expect.ens_mwh.maximum: is not known here; known are max, min, max_ratio, "),
        ("ens_mwh:\n  - {max: 1}\n  - {mox: 1}", "(did you mean max?)"),
        ("ens_mwh: {max: x}", "expect.ens_mwh.max: 'x' is not a number"),
        ("ens_mwh: {stage: 2}", "has no bound: give max, min, max_ratio"),
        ("ens_mwh: {max_ratio: 2}", "a ratio needs a reference"),
        ("ens_mwh: {max: 1, min: 2}", "the smallest allowed, 2, is above the largest, 1"),
        ("ens_mwh: {max: 1, than: {stage: 1}, baseline: ./b.csv}", "has two references"),
        ("ens_mwh: {max: 1, than: {}}", "names no other pairing"),
        ("ens_mwh: {max: 1, baseline: ./b.csv}", "there is no file './b.csv' beside the scenario"),
        ("ens_mwh: {max: 1, architecture: locl}", "'locl' is not one of local | centralized | distributed (did you"),
        ("ens_mwh: []", "needs at least 1 entry"),
        ("./mine.py:worst: {max: 1}", "there is no file './mine.py' beside the scenario"),
    ],
)
def test_what_cannot_be_expected_is_refused_with_its_line(small, write, text, says):
    line = len(small.splitlines()) + 2
    with pytest.raises(ScenarioError) as refused:
        load(write(expecting(small, text)))
    (problem,) = refused.value.problems
    assert says in str(problem)
    assert problem.where.startswith("winter.yaml:")
    assert int(problem.where.rpartition(":")[2]) >= line


def test_a_bound_can_be_changed_on_the_command_line(small, write):
    path = write(expecting(small, "ens_mwh: {max: 1}"))
    assert load(path, overrides={"expect.ens_mwh.max": 3}).expect["ens_mwh"][0].max == 3
