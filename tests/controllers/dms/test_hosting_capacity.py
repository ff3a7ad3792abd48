import numpy as np
import pandapower as pp
import pytest

from controllers.dms.hosting_capacity import Limits, at_each_node, together
from controllers.dms.loops import Loops
from controllers.dms.network import Network
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


def made(net):
    grid = CompiledNet.from_net(net)
    p, q = grid.nominal()
    model = Network(grid)
    return grid, Loops(model, model.normal), (p + 1j * q) / grid.base_mva


def test_the_voltage_rise_decides_and_pandapower_agrees(chain):
    raw = chain([1.0, 1.0, 1.0], rating_ka=5.0, tie=3)
    grid, loops, s = made(raw)
    found = at_each_node(loops, s, Limits(0.9, 1.1, 0.02), nodes=np.array([grid.node(3)]))
    assert found.reason[0] == "voltage rise"
    pp.runpp(raw)
    before = raw.res_bus.vm_pu.copy()
    pp.create_sgen(raw, 3, found.p_mw[0])
    pp.runpp(raw)
    assert (raw.res_bus.vm_pu - before).max() == pytest.approx(0.02, abs=1e-5)
    # By hand: 6 km make 0.96 ohm, so 2 % of 20 kV squared over R.
    assert found.p_mw[0] == pytest.approx(0.02 * 400 / 0.96, rel=0.05)


def test_the_rating_decides_near_the_busbar(chain):
    grid, loops, s = made(chain([0.0, 0.0, 0.0], rating_ka=0.1, tie=3))
    found = at_each_node(loops, s, Limits(0.5, 1.5, 0.5), nodes=np.array([grid.node(1), grid.node(3)]))
    assert found.reason.tolist() == ["rating", "rating"]
    np.testing.assert_allclose(found.p_mw, np.sqrt(3) * 20 * 0.1, rtol=0.01)


def test_demand_reactive_power_and_many_nodes_at_once(chain):
    grid, loops, s = made(chain([0.5, 0.5, 0.5], rating_ka=5.0, tie=3))
    at = np.array([grid.node(3)])
    limits = Limits(0.95, 1.1, 0.05)
    more = at_each_node(loops, s, limits, nodes=at, demand=True)
    assert more.reason[0] in ("voltage band", "voltage rise")
    plain, drawing = (at_each_node(loops, s, limits, nodes=at, cos_phi=c).p_mw[0] for c in (1.0, 0.95))
    assert drawing > plain
    share = np.zeros(grid.n_nodes)
    share[[grid.node(b) for b in (1, 2, 3)]] = 1.0
    total, reason = together(loops, s, share, limits)
    assert total > at_each_node(loops, s, limits, nodes=at).p_mw[0]
    assert reason == "voltage rise"


def test_where_no_limit_is_met_it_says_so_and_dark_nodes_are_refused(chain):
    grid, loops, s = made(chain([0.1, 0.1], rating_ka=5.0, tie=2))
    found = at_each_node(loops, s, most_mw=0.5, nodes=np.array([grid.node(1)]))
    assert found.p_mw[0] == 0.5
    assert found.reason[0] == "none"
    raw = chain([0.1, 0.1], infeeds=1)
    bus = pp.create_bus(raw, 20.0)
    grid, loops, s = made(raw)
    with pytest.raises(GridError, match=f"bus {bus} is not supplied"):
        at_each_node(loops, s, nodes=np.array([grid.node(bus)]))
