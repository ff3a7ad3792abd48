import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from controllers.dms.loops import Loops
from controllers.dms.network import Network
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


def made(net, name="net"):
    grid = CompiledNet.from_net(net, name)
    p, q = grid.nominal()
    return Network(grid), (p + 1j * q) / grid.base_mva


@pytest.mark.parametrize("build", [pn.case33bw, pn.create_cigre_network_mv, pn.mv_oberrhein])
def test_every_exchange_equals_the_power_flow_of_that_state(build):
    net, s = made(build())
    loops = Loops(net, net.normal)
    edge, tie = np.nonzero(loops.loop[: len(loops.nodes)] != 0)
    pick = np.flatnonzero(loops.row[edge] >= 0)[::2]
    opened = np.repeat(loops.ties[None, :], len(pick), axis=0)
    opened[np.arange(len(pick)), tie[pick]] = edge[pick]
    found = loops.solve(s, opened)
    assert len(pick) > 5
    compared = 0
    for k, state in enumerate(opened):
        out, shut = loops.moves(state)
        closed = net.normal.copy()
        closed[list(out)], closed[list(shut)] = False, True
        v = np.abs(net.topology(closed).flow(s, np.ones(len(net.anchor))))
        if np.isfinite(v).all():
            np.testing.assert_allclose(found.v_pu[k], v, atol=1e-6)
            compared += 1
    assert compared > 5


def test_a_transformer_on_the_way_and_pandapower_agree():
    net = pp.create_empty_network()
    high, busbar, far, low, house = (pp.create_bus(net, kv) for kv in (110.0, 20.0, 20.0, 0.4, 0.4))
    pp.create_ext_grid(net, high, vm_pu=1.02)
    pp.create_transformer(net, high, busbar, "25 MVA 110/20 kV")
    pp.create_line(net, busbar, far, 8.0, "NA2XS2Y 1x185 RM/25 12/20 kV")
    pp.create_transformer(net, far, low, "0.63 MVA 20/0.4 kV")
    net.trafo.loc[1, "tap_pos"] = -2  # and a vector group that turns the phase by 150 degrees
    pp.create_line(net, low, house, 0.2, "NAYY 4x150 SE")
    pp.create_load(net, house, 0.1, 0.03)
    pp.create_load(net, far, 3.0, 1.0)
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    compiled, s = made(net, "two levels")
    loops = Loops(compiled, compiled.normal, np.array([net.res_bus.vm_pu[busbar]]))
    found = loops.solve(s)
    below = [busbar, far, low, house]
    v_pu = found.v_pu[0][[compiled.grid.node(b) for b in below]]
    np.testing.assert_allclose(v_pu, net.res_bus.vm_pu[below], atol=1e-7)
    lost = net.res_line.pl_mw.sum() + net.res_trafo.pl_mw[1]
    assert found.losses_pu[0] * compiled.grid.base_mva == pytest.approx(lost, abs=1e-6)


def test_a_choice_that_leaves_a_loop_or_cuts_off_is_not_solved():
    net, s = made(pn.case33bw())
    loops = Loops(net, net.normal)
    twice = loops.ties.copy()
    twice[0] = twice[1]
    head = loops.ties.copy()
    head[0] = loops.edge(net.line(0))  # the only way out of the busbar
    found = loops.solve(s, np.stack((loops.ties, twice, head)))
    assert found.solved.tolist() == [True, False, False]


def test_infeeds_of_different_voltage_keep_their_own(chain):
    net, s = made(chain([1.0, 1.0], tie=1))
    loops = Loops(net, net.normal, np.array([1.02, 0.98]))
    found = loops.solve(s)
    at = {int(net.grid.node_bus[n]): v for n, v in enumerate(found.v_pu[0])}
    assert at[0] == pytest.approx(1.02)
    assert at[3] == pytest.approx(0.98)
    assert at[1] == pytest.approx(1.02 - 0.00092 / 1.02, abs=2e-6)  # (0.32 ohm x 1 + 0.24 ohm x 0.2) / 400


def test_a_meshed_state_is_refused(chain):
    net, _ = made(chain([1.0, 1.0], tie=1))
    with pytest.raises(GridError, match="meshed"):
        Loops(net, np.ones(3, dtype=bool))
