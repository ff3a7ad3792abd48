"""Every shipped scenario loads with all its variants, says what it is about, and the quickest keep their word."""

import pytest

from gridseam.suite import case_of, run_suite
from scenarios.load import load, variants
from scenarios.shipped import library_names

WANTED = {
    "three_cells", "pv_noon", "ev_evening", "interface_day", "handover_day", "fault_and_restoration", "comms_outage",
    "cyber_tamper", "small_day", "coordination", "island_split", "simbench_noon",
}


def test_the_library_holds_them():
    assert set(library_names()) >= WANTED


@pytest.mark.parametrize("name", library_names())
def test_each_loads_with_its_variants_and_tells_what_it_is(name):
    found = load(name)
    assert found.name == name
    assert found.title
    assert len(found.description) > 60
    for variant in variants(name):
        assert load(name, variant).variant == variant


@pytest.mark.parametrize("name", sorted(set(library_names()) - {"three_cells"}))
def test_all_but_the_whole_system_expect_something(name):
    assert case_of(name).checks


@pytest.mark.parametrize(("name", "variant"), [("pv_noon", "half_hour"), ("small_day", None)])
def test_the_quickest_are_as_expected(name, variant, tmp_path):
    case = case_of(name, variant)
    result = run_suite([case], tmp_path, workers=2)[0]
    assert not result.failed
    assert len(result.verdicts) == len(case.checks) > 0
    assert not result.missed, [v.text for v in result.missed]
