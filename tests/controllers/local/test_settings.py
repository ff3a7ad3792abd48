import numpy as np
import pytest

from controllers.local.settings import ARCHITECTURES, active, equip
from sims.core.errors import ScenarioError


def names(architecture, stage):
    return [row.law for row in active(architecture, stage)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_todays_practice_stays_at_every_pairing(architecture, stage):
    assert {"pf_4105", "pf_4110"} <= set(names(architecture, stage))


def test_stage_one_is_alike_in_all_architectures():
    assert names("local", 1) == names("centralized", 1) == names("distributed", 1)
    assert "cosphi" in names("local", 1)


def test_voltage_laws_of_stage_two():
    assert {"cap", "qu", "pu"} <= set(names("local", 2))
    assert "cosphi" not in names("local", 2)
    # Set-points of a control centre and of agents come on top of Q(U).
    for architecture in ("centralized", "distributed"):
        assert "qu" in names(architecture, 2)
        assert "qu" not in names(architecture, 1)
        assert not {"cap", "cosphi", "pu"} & set(names(architecture, 4))


def test_containment_comes_with_stage_four_and_replaces_the_storage_law():
    assert "fcr" not in names("local", 3)
    assert {"fcr", "fcr_v2g"} <= set(names("local", 4))
    assert "pf_storage" not in names("local", 4)


def test_laws_find_their_devices():
    kind = np.array(["load", "pv", "pv", "ev", "ev", "storage"])
    found = equip(
        "local", 4, kind=kind, level=np.array(["lv", "lv", "mv", "lv", "lv", "lv"]),
        v2g_share=np.array([0, 0, 0, 0, 0.4, 0]), p_rated_mw=np.ones(6), inertia_s=0.2,
    )
    by_name = {law.name: devices.tolist() for law, devices in found}
    assert by_name == {
        "cap": [1, 2], "qu": [1, 2], "pu": [1, 2], "pf_4105": [1], "pf_4110": [2], "fcr": [5], "fcr_v2g": [4],
        "inertia": [5],
    }


def test_unknown_pairing_and_rules_are_refused():
    with pytest.raises(ScenarioError, match="local \\| centralized"):
        active("centralised", 1)
    with pytest.raises(ScenarioError, match="did you mean ieee1547_"):
        equip("local", 1, kind=np.array(["pv"]), level=np.array(["lv"]), v2g_share=np.zeros(1),
              p_rated_mw=np.ones(1), rules="ieee1457_a")
