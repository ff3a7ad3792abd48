import pytest

from gridseam.axes import axes, folder_name, pairing
from sims.core.errors import ScenarioError


def test_axes_part_at_commas_outside_brackets():
    assert axes(["architecture=local,centralized", "stage=1, 2", "der.pv.profiles=[PV1,PV3],[PV2]", "a='x,y'"]) == {
        "architecture": ["local", "centralized"], "stage": [1, 2], "der.pv.profiles": [["PV1", "PV3"], ["PV2"]],
        "a": ["x,y"],
    }  # fmt: skip


def test_a_range_counts_up_and_may_stand_among_others():
    assert axes(["seed=1..4,9", "k=-1..1", "v=1.5", "t=1..x"]) == {
        "seed": [1, 2, 3, 4, 9], "k": [-1, 0, 1], "v": [1.5], "t": ["1..x"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("=3", "write it as key=value"),
        ("seed", "write it as key=value"),
        ("seed=4..1", "the range 4..1 is to count up"),
        ("seed=1..99999", "over less than 10000 numbers"),
    ],
)
def test_what_is_no_axis_is_refused(entry, says):
    with pytest.raises(ScenarioError, match=says):
        axes([entry])
    with pytest.raises(ScenarioError, match="'a' stands here twice"):
        axes(["a=1", "a=2"])


def test_a_pairing_is_read_in_both_spellings():
    assert pairing("local,1") == pairing(" local-1 ") == ("local", 1)
    with pytest.raises(ScenarioError, match="write it as architecture,stage"):
        pairing("local")


def test_folder_names_are_harmless():
    assert folder_name("time.step=60 s,profiles=./../x") == "time.step=60_s,profiles=._.._x"
