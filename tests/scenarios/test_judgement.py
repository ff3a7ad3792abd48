import math

import pytest

from scenarios.expectation import Expectation, Other
from scenarios.judgement import Check, checks, judge, read_baseline
from scenarios.load import changed, load
from sims.core.errors import ScenarioError

LOCAL, CENTRAL = ("local", 1), ("centralized", 2)


@pytest.fixture
def scenario(small, write):
    return load(write(small))


def verdict(scenario, value, expected, other=math.nan):
    (found,) = judge(scenario, [Check("ens_mwh", expected, LOCAL)], {LOCAL: {"ens_mwh": value},
                                                                     CENTRAL: {"ens_mwh": other}})  # fmt: skip
    return found


THAN = Other(architecture="centralized", stage=2)


@pytest.mark.parametrize(
    ("expected", "value", "other", "says"),
    [
        (Expectation(max=2), 2.0, 0, ""),
        (Expectation(max=2), 2.5, 0, "is 2.5, more than 2"),
        (Expectation(min=2), 1.5, 0, "is 1.5, less than 2"),
        (Expectation(max=2), math.inf, 0, "is inf, more than 2"),
        (Expectation(max=0, than=THAN), 3.0, 3.0, ""),
        (Expectation(max=0, than=THAN), 3.5, 3.0, "is 3.5, +0.5 against 3, more than 0"),
        (Expectation(min=-1, than=THAN), 1.0, 3.0, "is 1, -2 against 3, less than -1"),
        (Expectation(max=0, than=THAN), math.inf, math.inf, ""),
        (Expectation(max_ratio=0.8, than=THAN), 2.4, 3.0, ""),
        (Expectation(max_ratio=0.8, than=THAN), 2.5, 3.0, "more than 0.8 times that"),
        (Expectation(max_ratio=0.8, than=THAN), 0.0, 0.0, ""),
        (Expectation(min_ratio=2, than=THAN), 5.0, 3.0, "less than 2 times that"),
        (Expectation(within_percent=10, than=THAN), 3.3, 3.0, ""),
        (Expectation(within_percent=10, than=THAN), 2.6, 3.0, "off by more than 10 %"),
        (Expectation(max=1, than=THAN), 2.0, math.nan, "the reference does not hold what the figure needs"),
        (Expectation(max=1), math.nan, 0, "the run does not hold what the figure needs"),
    ],
)
def test_bounds_alone_and_against_another_pairing(scenario, expected, value, other, says):
    found = verdict(scenario, value, expected, other)
    assert found.passed == (not says)
    assert says in found.text


BASELINE = """\
architecture,stage,seed,kpi,unit,value
local,1,0,ens_mwh,MWh,4.0
local,1,7,ens_mwh,MWh,8.0
centralized,2,5,ens_mwh,MWh,1.0
centralized,2,6,ens_mwh,MWh,3.0
centralized,2,6,saidi_min,min,
"""


def test_a_stored_baseline_is_that_of_the_seed_or_the_mean(scenario, tmp_path):
    (tmp_path / "b.csv").write_text(BASELINE)
    assert read_baseline(tmp_path / "b.csv", 0) == {LOCAL: {"ens_mwh": 4.0}, CENTRAL: {"ens_mwh": 2.0}}
    assert read_baseline(tmp_path / "b.csv", 1)[LOCAL] == {"ens_mwh": 6.0}
    expected = Expectation(within_percent=5, baseline="./b.csv")
    assert verdict(scenario, 4.1, expected).passed
    assert not verdict(scenario, 4.3, expected).passed
    with pytest.raises(ScenarioError, match=r"saidi_min: the baseline holds no value of local,1"):
        judge(scenario, [Check("saidi_min", expected, LOCAL)], {LOCAL: {"saidi_min": 1.0}})
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ScenarioError, match=r"b.csv: cannot be read as a kpis.csv \(KeyError"):
        verdict(scenario, 4.1, expected)


def test_checks_are_made_for_every_pairing_meant(scenario):
    asked = {"ens_mwh": [{"max": 1, "stage": 2}, {"max": 0, "architecture": "distributed", "than": {"stage": 2}}]}
    found = checks(changed(scenario, {"matrix.stage": [1, 2], "expect": asked}))
    assert [c.name for c in found] == [
        "ens_mwh max 1 [local,2]", "ens_mwh max 1 [centralized,2]", "ens_mwh max 1 [distributed,2]",
        "ens_mwh max 0 than stage 2 [distributed,1]",  # and not stage 2 against itself
    ]
    assert found[-1].needs == (("distributed", 1), ("distributed", 2))


def test_a_pairing_outside_the_matrix_is_named(scenario):
    asked = {"ens_mwh": {"max": 1, "stage": 4, "architecture": "local"}}
    with pytest.raises(ScenarioError, match=r"small expect.ens_mwh.0: local,4 is not in the matrix"):
        checks(changed(scenario, {"matrix.stage": [1, 2], "expect": asked}))
