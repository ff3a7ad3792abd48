"""Equal nets share their arrays and keep what is their own."""

import numpy as np
import pandapower as pp
import pytest

from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.kin import compiled_kin
from sims.grid.sanitise import sanitised


def _feeder(first, p_mw, length_km=0.3):
    """Return a transformer and two cables, one with a switch, its buses numbered from `first` on."""
    net = pp.create_empty_network()
    mv, *lv = [pp.create_bus(net, kv, index=first + k) for k, kv in enumerate((20.0, 0.4, 0.4, 0.4))]
    pp.create_ext_grid(net, mv)
    pp.create_transformer(net, mv, lv[0], "0.4 MVA 20/0.4 kV", index=first)
    pp.create_line(net, lv[0], lv[1], 0.2, "NAYY 4x150 SE", index=2 * first)
    line = pp.create_line(net, lv[1], lv[2], length_km, "NAYY 4x150 SE", index=2 * first + 1)
    pp.create_switch(net, lv[1], line, "l", index=first)
    for bus in lv[1:]:
        pp.create_load(net, bus, p_mw, p_mw / 5)
    return sanitised(net)


def test_equal_nets_are_compiled_once_and_solve_as_if_compiled_each():
    nets = [("a", _feeder(0, 0.05)), ("b", _feeder(40, 0.02))]
    a, b = compiled_kin(nets)
    assert b.y_raw is a.y_raw
    alone = CompiledNet.from_net(nets[1][1], "b")
    for field in ("node_bus", "branch_element", "branch_from", "y_ff", "order", "roots", "rating_from"):
        np.testing.assert_array_equal(getattr(b, field), getattr(alone, field))
    assert (b.name, b.bus_node) == ("b", alone.bus_node)
    assert [(t.element, t.hv_node) for t in b.taps] == [(t.element, t.hv_node) for t in alone.taps]
    for field in ("index", "bus", "element", "branch", "node"):
        np.testing.assert_array_equal(getattr(b.switches, field), getattr(alone.switches, field))
    np.testing.assert_array_equal(b.nominal(), alone.nominal())
    fleet = FleetPowerFlow(b)
    assert fleet.solve().all()
    pp.runpp(nets[1][1], calculate_voltage_angles=True, tolerance_mva=1e-9)
    got = fleet.vm[[b.node(bus) for bus in nets[1][1].bus.index], 0]
    np.testing.assert_allclose(got, nets[1][1].res_bus.vm_pu, rtol=0, atol=1e-8)


@pytest.mark.parametrize("change", ["length", "switch", "slack"])
def test_nets_that_differ_are_not_taken_for_equal(change):
    one, other = _feeder(0, 0.05), _feeder(40, 0.05, 0.4 if change == "length" else 0.3)
    if change == "switch":
        other.switch.loc[40, "closed"] = False
        other.load.drop(1, inplace=True)
    if change == "slack":
        other.ext_grid.loc[0, "vm_pu"] = 1.02
    a, b = compiled_kin([("one", one), ("other", other)])
    assert b.y_raw is not a.y_raw
