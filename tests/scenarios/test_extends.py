"""A scenario that changes another one, and duties that change hands within a run."""

import pytest

from scenarios.load import load, variants
from sims.core.errors import ScenarioError

CHILD = 'extends: ./winter.yaml\nname: child\ntime: {duration: 2 h}\ndisturbances: []\nvariants: {long: {seed: 9}}\n'


@pytest.fixture
def child(small, write):
    write(small)
    return write(CHILD, "child.yaml")


def test_what_it_says_stands_above_what_it_extends(child):
    found = load(child)
    assert (found.name, found.title) == ("child", "")
    assert found.time.duration_ms == 7_200_000
    assert found.time.step_ms == 60_000, "mappings are merged"
    assert found.disturbances == (), "lists are replaced"
    assert [dso.name for dso in found.dsos] == ["north", "south"]


def test_its_variants_are_its_own(child):
    assert variants(child) == ("long",)
    assert load(child, "long").seed == 9
    with pytest.raises(ScenarioError, match="there is no variant 'short'"):
        load(child, "short")


def test_a_fault_is_told_where_it_stands(small, write):
    write(small.replace("count: 2", "count: two"))
    with pytest.raises(ScenarioError, match=r"winter\.yaml:\d+ dsos\.0"):
        load(write(CHILD, "child.yaml"))
    write(small)
    with pytest.raises(ScenarioError, match=r"child\.yaml:3 time\.duration"):
        load(write(CHILD.replace("2 h", "2"), "child.yaml"))


@pytest.mark.parametrize(
    ("named", "said"),
    [("./none.yaml", "there is no such file"), ("three_cels", "did you mean three_cells"),
     ("./child.yaml", "extends this scenario itself"), ("3", "names a shipped scenario")],
)  # fmt: skip
def test_what_cannot_be_extended_is_named(child, write, named, said):
    with pytest.raises(ScenarioError, match=rf"child\.yaml:1 extends.*{said}"):
        load(write(CHILD.replace("./winter.yaml", named), "child.yaml"))


def test_two_that_extend_each_other_are_refused(small, write):
    write("extends: ./child.yaml\n" + small)
    with pytest.raises(ScenarioError, match="extends this scenario itself"):
        load(write(CHILD, "child.yaml"))


HAND = "pairing: {architecture: centralized}\nmatrix: {architecture: [centralized]}\nhandover:\n  - "


@pytest.mark.parametrize(
    ("entry", "said"),
    [('{at: "1d 05:00", duty: balance_cell, to: dso}', "is not inside the run"),
     ('{at: "01:00", duty: restore_supply, to: dso}', "handover.0.duty"),
     ('{at: "01:00", duty: balance_cell, to: dms}', "handover.0.to"),
     ('{at: "01:00", duty: balance_cell, to: dso}\n  - {at: "01:00", duty: balance_cell, to: tso}', "twice")],
)  # fmt: skip
def test_a_handover_that_cannot_be_is_named(child, write, entry, said):
    with pytest.raises(ScenarioError, match=said):
        load(write(CHILD + HAND + entry + "\n", "hand.yaml"))


def test_local_control_has_nothing_to_hand_over(child, write):
    entry = '{at: "01:00", duty: balance_cell, to: dso}\n'
    found = load(write(CHILD + HAND + entry, "hand.yaml"))
    assert found.handover[0].words == "balance cell to DSO"
    with pytest.raises(ScenarioError, match="leave local out"):
        load(write(CHILD + HAND.replace("[centralized]", "[local]") + entry, "hand.yaml"))
    with pytest.raises(ScenarioError, match=r"pairing\.architecture"):
        load(write(CHILD + HAND.replace("architecture: centralized", "architecture: local") + entry, "hand.yaml"))


def test_tampering_above_the_tso_is_refused(child, write):
    event = "disturbances:\n  - {at: 10 min, kind: tamper, duration: 5 min, node: NODE, bias: {v_pu: 0.03}}"
    text = CHILD.replace("disturbances: []", event)
    assert load(write(text.replace("NODE", "north.i1"), "t.yaml")).disturbances[0].bias == {"v_pu": 0.03}
    for node, said in (("tso", "nothing stands above"), ("north.i9", "no place of the network")):
        with pytest.raises(ScenarioError, match=said):
            load(write(text.replace("NODE", node), "t.yaml"))
