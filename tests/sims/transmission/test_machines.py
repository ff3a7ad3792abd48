import copy
import json
from pathlib import Path

import numpy as np
import pytest

from sims.core.errors import GridError
from sims.transmission.case import MachineCase

DATA = Path(__file__).parents[3] / "scenarios" / "data" / "transmission"


@pytest.fixture
def kundur():
    return json.loads((DATA / "kundur.json").read_text())


def test_stored_energy_and_reactance(case_of):
    machines = case_of("kundur").machines
    assert machines.stored_mws == pytest.approx([5850.0, 5850.0, 5557.5, 5557.5])
    assert machines.reactance == pytest.approx([0.25] * 4)
    assert machines.classical().reactance == pytest.approx([0.3] * 4)
    assert machines.scaled_inertia(0.5).stored_mws.sum() == pytest.approx(11407.5)
    assert machines.stored_mws.sum() == pytest.approx(22815.0)


def test_the_weak_system_has_half_the_inertia_and_five_governors(case_of):
    strong, weak = case_of("ieee39").machines, case_of("ieee39_weak").machines
    assert weak.stored_mws == pytest.approx(strong.stored_mws / 2)
    assert [weak.names[i] for i in np.flatnonzero(weak.governor)] == ["G1", "G3", "G6", "G8", "G10"]
    assert np.all(strong.governor == 1)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("h_s", 0.0, "machine.G1.h_s: must be given and positive"),
        ("td20_s", -0.03, "machine.G1.td20_s: must be given and positive for genrou"),
        ("xd2", 0.05, "xd >= xd' >= xd'' > xl"),
        ("xq1", 1.9, "xq >= xq' >= xd''"),
        ("model", "classical", "takes no exciter"),
        ("exciter", {"model": "sexs", "e_min": 7.0}, "e_max > e_min"),
        ("governor", {"model": "tgov1n", "r": 0.0}, "governor.r: must be positive"),
        ("governor", {"model": "hygov", "tw_s": 0.0}, "needs positive constants"),
        ("governor", {"model": "hygov", "t1_s": 0.5}, "t1_s: there is no such parameter"),
    ],
)
def test_data_that_no_machine_can_have(field, value, text, kundur):
    bad = copy.deepcopy(kundur)
    bad["machine"][0][field] = value
    with pytest.raises(GridError, match=text.replace(".", r"\.")):
        MachineCase.from_dict(bad)


def test_names_must_differ(kundur):
    kundur["machine"][1]["name"] = "G1"
    with pytest.raises(GridError, match=r"machine\.G1: the name is used more than once"):
        MachineCase.from_dict(kundur)
