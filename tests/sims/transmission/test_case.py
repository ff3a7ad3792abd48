import copy
import json
from pathlib import Path

import numpy as np
import pytest

from sims.core.errors import GridError
from sims.transmission.case import MachineCase
from sims.transmission.network import initial

ROOT = Path(__file__).parents[3]
DATA = ROOT / "scenarios" / "data" / "transmission"


@pytest.fixture
def kundur():
    return json.loads((DATA / "kundur.json").read_text())


@pytest.mark.parametrize("name", ["ieee39", "ieee39_weak", "kundur"])
def test_power_flow_equals_the_reference(name, case_of, solve):
    case = case_of(name)
    flow = json.loads((ROOT / "tests" / "data" / "frequency" / f"pf_sys_{name}.json").read_text())
    expected = np.array(flow["V"]) * np.exp(1j * np.array(flow["a"]))
    assert np.abs(solve(case) - expected).max() < 1e-6
    s_gen, mismatch = initial(case, expected)
    assert np.abs(mismatch).max() < 0.01
    current = np.abs(s_gen / case.base_mva / expected[case.machines.bus])
    losses = case.machines["ra"] * case.base_mva / case.machines["sn_mva"] * current**2 * case.base_mva
    assert s_gen.real + losses == pytest.approx(np.array(flow["Pm"]), abs=0.01)


def test_cells_and_their_ties(case_of):
    case = case_of("ieee39")
    assert case.cell_pairs == ((0, 1), (0, 2), (1, 2))
    inside = [name for name, bus in zip(case.machines.names, case.machines.bus, strict=True) if case.bus_cell[bus] == 1]
    assert inside == ["G4", "G5", "G6", "G7"]
    assert case.load_mva.sum().real == pytest.approx(5856.4)


def test_everything_wrong_is_named_at_once(kundur):
    bad = copy.deepcopy(kundur)
    bad["machine"][0]["bus"] = 77
    bad["machine"][1]["exciter"]["model"] = "sexy"
    bad["machine"][2]["xdd"] = 0.25
    bad["machine"][3]["h_s"] = "6.175"
    bad["branch"][0]["to"] = 66
    bad["bus"][4]["cell"] = 9
    with pytest.raises(GridError) as error:
        MachineCase.from_dict(bad, "two.json")
    text = str(error.value)
    assert "two.json machine.G1.bus: there is no bus 77" in text
    assert "machine.G2.exciter.model: 'sexy' is not one of constant | sexs (did you mean sexs?)" in text
    assert "machine.G3.xdd: there is no such parameter (did you mean xd" in text
    assert "machine.G4.h_s: '6.175' is not a finite number" in text
    assert "branch[0].to: there is no bus 66" in text
    assert "bus.5.cell: there is no cell 9" in text


def test_slack_must_be_one(kundur):
    kundur["machine"][1]["slack"] = True
    with pytest.raises(GridError, match="exactly one must be the slack, found 2"):
        MachineCase.from_dict(kundur)


def test_a_branch_without_impedance_is_refused(kundur):
    kundur["branch"][3].update(r_pu=0.0, x_pu=0.0)
    with pytest.raises(GridError, match=r"branch\[3\]: needs an impedance"):
        MachineCase.from_dict(kundur)


def test_an_empty_section_is_refused(kundur):
    del kundur["machine"]
    with pytest.raises(GridError, match="machine: is missing or empty"):
        MachineCase.from_dict(kundur)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "none.json"):
        with pytest.raises(GridError, match="cannot be read as a machine case"):
            MachineCase.load(tmp_path / name)


def test_shares_and_buses_that_cannot_be(case_of):
    case = case_of("kundur")
    with pytest.raises(GridError, match=r"must be in 0\.\.1"):
        case.with_loads(z=0.7, i=0.5)
    with pytest.raises(GridError, match="there is no bus 12, 13"):
        case.bus_index([7, 12, 13])


def test_busbars_behind_transformers(case_of, solve):
    case = case_of("kundur")
    wide = case.with_transformers([7, 8], [71, 81], np.zeros(2), np.array([0.02, 0.03]), np.array([1.0, 1.05]))
    assert wide.bus_cell[-2:].tolist() == [0, 1]
    boundary = np.zeros(12, complex)
    boundary[10:] = [-200.0 - 40.0j, 100.0]
    v = solve(wide, boundary)
    # v_low from the high side by hand: I = conj(S / V_low), V_high / tap = V_low + jx I
    for high, low, x, tap in ((6, 10, 0.02, 1.0), (7, 11, 0.03, 1.05)):
        current = -np.conj(boundary[low] / 100.0 / v[low])
        assert v[high] / tap == pytest.approx(v[low] + 1j * x * current)
    with pytest.raises(GridError, match="bus 7 exists already"):
        case.with_transformers([7], [7], np.zeros(1), np.ones(1), np.ones(1))
    with pytest.raises(GridError, match="bus 71 exists already"):
        case.with_transformers([7, 8], [71, 71], np.zeros(2), np.ones(2), np.ones(2))
