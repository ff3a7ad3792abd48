import numpy as np
import pandapower as pp
import pytest

from controllers.dms.network import Network
from sims.grid.compiled import CompiledNet


def net_with(shift_degree):
    """20 kV busbar, a line, a 20/0.4 kV transformer of that vector group, a low-voltage line with a load."""
    net = pp.create_empty_network(sn_mva=1.0)
    mv, far, lv, end = (pp.create_bus(net, kv) for kv in (20.0, 20.0, 0.4, 0.4))
    pp.create_ext_grid(net, mv)
    pp.create_line_from_parameters(net, mv, far, 2.0, 0.3, 0.3, 10.0, 0.3)
    pp.create_transformer_from_parameters(net, far, lv, 0.4, 20.0, 0.4, 1.0, 5.0, 1.0, 0.3, shift_degree=shift_degree)
    pp.create_line_from_parameters(net, lv, end, 0.1, 0.2, 0.08, 200.0, 0.3)
    pp.create_load(net, end, 0.1, 0.03)
    return net


@pytest.mark.parametrize("shift", [0, 30, 150, 330])
def test_a_vector_group_changes_no_sensitivity(shift):
    net = net_with(shift)
    network = Network(CompiledNet.from_net(net, "small"))
    topology = network.topology(network.normal)
    s = np.zeros(network.grid.n_nodes, dtype=complex)
    s[3] = -0.1 - 0.03j
    v = topology.flow(s, np.ones(1))
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9)
    np.testing.assert_allclose(np.abs(v), net.res_bus.vm_pu, atol=1e-6)
    assert topology.share.min() > 0.9  # a tap raises every node, however its transformer is wound
    np.testing.assert_allclose(topology.z, topology.z.T, atol=1e-12)
    assert topology.z.real.min() > 0  # feeding in raises the voltage everywhere
    rows, i_f, _ = topology.currents(v)
    loss = float((v[network.grid.branch_from[rows[0]]] * np.conj(i_f[0])).real)
    assert loss == pytest.approx(net.res_line.p_from_mw[0], abs=1e-6)
