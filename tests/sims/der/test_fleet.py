import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der.fleet import DeviceFleet, DeviceTable, picked


def table(**changes):
    columns = {
        "name": ["a", "b", "c"], "kind": ["load", "pv", "pv"], "feeder": [0, 0, 1], "node": [1, 1, 1],
        "dso": [0, 0, 1], "p_rated_mw": [0.1, 0.2, 0.3], "profile": ["H0", "PV", ""], "cos_phi": [0.9, 1, 1], **changes,
    }
    return DeviceTable.of(feeder_names=("f0", "f1"), dso_names=("d0", "d1"), **columns)


def test_columns_are_frozen_and_have_defaults():
    t = table()
    assert t.s_rated_mva.tolist() == pytest.approx([0.1 / 0.9, 0.2, 0.3])
    assert t.remote.all()
    with pytest.raises(ValueError, match="read-only"):
        t.p_rated_mw[0] = 5


def test_picking_by_kind_and_dso():
    t = table()
    assert t.of_kind("pv").tolist() == [1, 2]
    assert t.of_dso(0).tolist() == [0, 1]
    assert picked(np.array([3, 4, 5])) == slice(3, 6)
    assert isinstance(picked(np.array([3, 5])), np.ndarray)


@pytest.mark.parametrize(("changes", "text"), [
    ({"kind": ["load", "solar", "pv"]}, "device 'b': kind is not one of load"),
    ({"feeder": [0, 0, 2]}, "device 'c': feeder index out of range"),
    ({"p_rated_mw": [0.1, -0.2, 0.3]}, "device 'b': p_rated_mw must be 0 or more"),
    ({"p_rated_mw": [0.1, np.nan, 0.3]}, "device 'b': p_rated_mw must be 0 or more"),
    ({"name": ["a", "b", "a"]}, "'a' is given twice"),
    ({"node": [1, 1]}, "column 'node' has"),
    ({"p_rate_mw": [1, 2, 3]}, "no column 'p_rate_mw'.*p_rated_mw"),
    ({"soc_start": 1.2}, "soc_start must lie"),
    ({"strategy": "greedy"}, "strategy is not one of uncontrolled"),
])
def test_what_is_refused(changes, text):
    with pytest.raises(ScenarioError, match=text):
        table(**changes)


def test_tables_join_over_the_same_feeders():
    t = table()
    both = t.joined(table(name=["x", "y", "z"]))
    assert len(both) == 6
    with pytest.raises(ScenarioError, match="given twice"):
        t.joined(t)


def test_fleet_maps_profiles_and_connection_points():
    fleet = DeviceFleet(table(), ("H0_p", "H0_q", "PV_p"))
    p, q = fleet.shares(np.array([0.5, 0.2, 0.7]))
    assert p.tolist() == [0.5, 0.7, 1.0]
    assert q[0] == 0.2
    assert np.isnan(q[1:]).all()
    assert fleet.behind[0] == fleet.behind[1] != fleet.behind[2]
    assert fleet.points == 2


def test_unknown_profile_names_device_and_nearest():
    with pytest.raises(ScenarioError, match=r"device 'a': no profile 'H0' .did you mean H0-A"):
        DeviceFleet(table(), ("H0-A_p", "PV_p"))
