import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from controllers.dms.flisr import Case, plan
from controllers.dms.network import Network
from controllers.dms.short_circuit import breakable, check_breakers, levels, quick_levels
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet

SOURCE = np.sqrt(3.0) * 110.0 * 10.0


def substation(**options):
    """110 kV with 10 kA and R/X 0.1; 40 MVA, 12 %, resistive 0.5 %."""
    net = pp.create_empty_network(name="substation")
    high, low = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, high, s_sc_max_mva=SOURCE, rx_max=0.1)
    pp.create_transformer_from_parameters(net, high, low, 40.0, 110.0, 20.0, 0.5, 12.0, 0.0, 0.0)
    return net


def test_the_hand_case():
    found = levels(substation())
    assert found.ik_max_ka[1] == pytest.approx(9.06967, abs=1e-5)
    assert found.ip_ka[1] == pytest.approx(23.8605, abs=1e-4)
    assert found.sk_mva[1] == pytest.approx(np.sqrt(3) * 20 * 9.06967, abs=1e-2)
    # By hand: K_T = 0.95 c / (1 + 0.6 x_T) on the transformer, the source behind it.
    x_t = np.sqrt(0.12**2 - 0.005**2)
    k_t = 0.95 * 1.1 / (1 + 0.6 * x_t)
    assert k_t == pytest.approx(0.97487, abs=1e-5)
    source = 1.1 * 20**2 / SOURCE * (0.1 + 1j) / abs(0.1 + 1j)
    z = source + k_t * (0.005 + 1j * x_t) * 20**2 / 40
    assert found.ik_max_ka[1] == pytest.approx(1.1 * 20 / np.sqrt(3) / abs(z), rel=1e-6)
    assert "half of the maximum" in found.assumed[0]
    quick = quick_levels(_topology(substation()), SOURCE)
    assert quick[1] == pytest.approx(1.1 * 20 / np.sqrt(3) / abs(source + (0.005 + 1j * x_t) * 10), rel=1e-6)


def _topology(net):
    model = Network(CompiledNet.from_net(net))
    return model.topology(model.normal)


def eight_buses():
    """The example of IEC TR 60909-4: 380/110/30/10 kV, power station units, three-winding transformers, motors."""
    net = pp.create_empty_network(sn_mva=34)
    kv = (380, 110, 110, 110, 110, 10, 10, 30, 20, 10, 10, 10, 30)
    b = [pp.create_bus(net, float(v)) for v in kv]
    for bus, ka in ((0, 38), (4, 16)):
        pp.create_ext_grid(net, b[bus], s_sc_max_mva=ka * kv[bus] * np.sqrt(3), rx_max=0.1)
    unit = {"pfe_kw": 0, "i0_percent": 0, "vkr_percent": 0.5, "power_station_unit": True}
    t1 = pp.create_transformer_from_parameters(
        net, b[3], b[8], 150, 115, 21, vk_percent=16, pt_percent=12, oltc=True, **unit)
    t2 = pp.create_transformer_from_parameters(net, b[2], b[9], 100, 120, 10.5, vk_percent=12, oltc=False, **unit)
    pp.create_gen(net, b[8], 127.5, vn_kv=21, xdss_pu=0.14, rdss_ohm=0.002, cos_phi=0.85, sn_mva=150, pg_percent=0,
                  power_station_trafo=t1)
    pp.create_gen(net, b[9], 90, vn_kv=10.5, xdss_pu=0.16, rdss_ohm=0.005, cos_phi=0.9, sn_mva=100, pg_percent=7.5,
                  slack=True, power_station_trafo=t2)
    pp.create_gen(net, b[5], 0, vn_kv=10.5, xdss_pu=0.1, rdss_ohm=0.018, cos_phi=0.8, sn_mva=10, pg_percent=0)
    for low in (12, 7):
        pp.create_transformer3w_from_parameters(
            net, b[0], b[1], b[low], 400, 120, 30, 350, 350, 50, vk_hv_percent=21, vk_mv_percent=7, vk_lv_percent=10,
            vkr_hv_percent=0.26, vkr_mv_percent=0.16, vkr_lv_percent=0.16, pfe_kw=0, i0_percent=0,
            tap_max=10, tap_min=-10, tap_pos=0, tap_neutral=0, tap_side="hv", tap_step_percent=0.1)
    for low in (10, 11):
        pp.create_transformer3w_from_parameters(
            net, b[4], b[5], b[low], 115, 10.5, 10.5, 31.5, 31.5, 31.5, vk_hv_percent=12, vk_mv_percent=12,
            vk_lv_percent=12, vkr_hv_percent=0.5, vkr_mv_percent=0.5, vkr_lv_percent=0.5, pfe_kw=0, i0_percent=0,
            tap_max=10, tap_min=-10, tap_pos=0, tap_neutral=0, tap_side="hv", tap_step_percent=0.1)
    for mw, cos_phi, efficiency, start in ((5.0, 0.88, 97.5, 5.0), (2.0, 0.89, 96.8, 5.2), (2.0, 0.89, 96.8, 5.2)):
        pp.create_motor(net, b[6], mw, cos_phi, cos_phi_n=cos_phi, efficiency_n_percent=efficiency, vn_kv=10, rx=0.1,
                        lrc_pu=start)
    for start, end, km, r, x in (
        (1, 2, 20, 0.12, 0.39), (2, 3, 10, 0.12, 0.39), (1, 4, 5, 0.12, 0.39), (1, 4, 5, 0.12, 0.39),
        (4, 2, 10, 0.096, 0.388), (4, 3, 15, 0.12, 0.386), (5, 6, 1, 0.082, 0.086),
    ):  # fmt: skip
        pp.create_line_from_parameters(net, b[start], b[end], km, r, x, 0.0, 1.0)
    return net


def test_the_eight_buses_of_iec_tr_60909_4():
    found = levels(eight_buses(), minimum=False)
    published = [40.6447, 31.7831, 19.6730, 16.2277, 33.1894, 37.5629, 25.5895, 13.5778]
    peak = [100.5677, 80.6079, 45.8111, 36.8427, 83.4033, 98.1434, 51.6899, 36.9227]
    np.testing.assert_allclose(found.ik_max_ka[:8], published, atol=1e-3)
    np.testing.assert_allclose(found.ip_ka[:8], peak, atol=1e-3)


def test_converters_add_their_current_and_reconfiguration_moves_the_level(chain):
    net = substation()
    bare = levels(net).ik_max_ka[1]
    pp.create_sgen(net, 1, 10.0, sn_mva=10.0)
    # A current source beside the fault: its rated current in full.
    assert levels(net, minimum=False).ik_max_ka[1] == pytest.approx(bare + 10 / np.sqrt(3) / 20, rel=1e-6)
    assert levels(net, converter_factor=0.0, minimum=False).ik_max_ka[1] == pytest.approx(bare)
    feeder = chain([1.0, 1.0, 1.0], tie=3)
    as_is, moved = levels(feeder), levels(feeder, {3: True, 1: False})
    assert as_is.ik_max_ka[1] == pytest.approx(moved.ik_max_ka[1])
    assert moved.ik_max_ka[3] > as_is.ik_max_ka[3]  # now one line from infeed B instead of three from A
    assert (as_is.ik_min_ka < as_is.ik_max_ka).all()
    assert feeder.line.in_service.tolist() == [True, True, True, False]


def test_quick_levels_stay_within_the_corrections_of_the_standard():
    net = pn.create_cigre_network_mv()
    exact = levels(net, minimum=False)
    topology = _topology(net)
    grid = topology.net.grid
    quick = quick_levels(topology)
    at = [i for i, bus in enumerate(exact.bus) if quick[grid.node(int(bus))] > 0]
    assert len(at) == 14
    ratio = np.array([quick[grid.node(int(exact.bus[i]))] for i in at]) / exact.ik_max_ka[at]
    # The transformer's factor K_T makes the standard's currents larger, by at most 6 %.
    assert ((ratio > 0.93) & (ratio < 1.005)).all()
    converter = np.zeros(grid.n_nodes)
    converter[grid.node(5)] = 0.1
    more = quick_levels(topology, converter_pu=converter) - quick
    base_ka = grid.base_mva / np.sqrt(3) / 20
    assert more[grid.node(5)] == pytest.approx(0.1 * base_ka, rel=1e-3)
    assert more[grid.node(3)] == pytest.approx(0.1 * base_ka, rel=1e-3)  # on the way from the busbar: all of it passes
    assert 0 < more[grid.node(6)] < 0.1 * base_ka


def test_breakers_are_held_against_the_currents():
    net = substation()
    pp.create_switch(net, 1, 0, et="t", type="CB")
    pp.create_switch(net, 0, 0, et="t", type="DS")
    found = check_breakers(net, levels(net, minimum=False))
    assert found.switch.tolist() == [0]  # a disconnector breaks nothing
    assert found.breaking_ka[0] == 20.0
    assert found.sufficient[0]
    net.switch["breaking_ka"] = [8.0, np.nan]
    assert not check_breakers(net, levels(net, minimum=False)).sufficient[0]


def test_restoration_keeps_to_what_the_switches_can_break(kit):
    grid = kit.grid("case33bw")
    net = Network(grid)
    p, q = grid.nominal()
    closed, head = net.normal.copy(), net.line(0)
    closed[head] = False
    s, v = (p + 1j * q) / grid.base_mva, np.ones(1, complex)
    free = plan(Case(net, closed, s, v, 0.9, 1e9), head, net.line(6))
    tie = net.line(34)
    assert tie in free.closed
    ends = grid.branch_from[tie], grid.branch_to[tie]
    weak = np.full(grid.n_nodes, 20.0)
    weak[list(ends)] = 0.5
    found = plan(Case(net, closed, s, v, 0.9, 1e9, capacity_ka=weak), head, net.line(6))
    assert tie not in found.closed
    after = net.topology(np.isin(np.arange(grid.n_branches), free.closed) | closed)
    assert not breakable(after, [tie], weak)
    assert breakable(after, [tie])


def test_what_cannot_be_done_is_said():
    net = substation()
    with pytest.raises(GridError, match="has no switches"):
        check_breakers(net, levels(net, minimum=False))
    with pytest.raises(GridError, match="line 7 does not exist"):
        levels(net, {7: True})
