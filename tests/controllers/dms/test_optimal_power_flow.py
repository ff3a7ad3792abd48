"""Curtailment by successive linear programmes against pandapower's AC OPF (PYPOWER's interior point) on CIGRE MV."""

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from controllers.dms.congestion import Lever, Limits, relieve
from controllers.dms.network import Network
from controllers.dms.volt_var import Band, Sources, best_q
from sims.grid.compiled import CompiledNet

SOURCE_PU = 1.02
BUSES = (*range(2, 12), 13, 14)
"""All but the busbars, 1 and 12, whose voltage their tap changers hold."""
LIMITS = Limits(0.95, 1.05, 100.0)
UNLIMITED = Limits(0.95, 1.05, 1e5)
WITHIN = 0.002


class Case:
    """A sunny noon: loads at 15 %, `count` plants of together `feed_in_mw` at random buses, at random prices."""

    def __init__(self, count, seed, feed_in_mw, limits=LIMITS):
        rng = np.random.default_rng(seed)
        self.limits, self.bus, size = limits, rng.choice(BUSES, count), rng.uniform(0.5, 1.5, count)
        self.p_mw = feed_in_mw * size / size.sum()
        self.q_mvar = -self.p_mw * rng.uniform(0.0, 0.2, count)
        self.price = rng.uniform(1.0, 2.0, count)
        net = self.net = pn.create_cigre_network_mv(with_der=False)
        net.load[["p_mw", "q_mvar"]] *= 0.15
        net.ext_grid.drop(net.ext_grid.index, inplace=True)
        net.switch.drop(net.switch.index[net.switch.et == "t"], inplace=True)
        for busbar in net.trafo.lv_bus:
            pp.create_ext_grid(net, int(busbar), SOURCE_PU)
        net.trafo.drop(net.trafo.index, inplace=True)
        net.bus.loc[net.bus.vn_kv > 60.0, "in_service"] = False
        self.grid = CompiledNet.from_net(net, "cigre_mv")
        model = Network(self.grid)
        self.topology, self.v_anchor = model.topology(model.normal), np.full(len(model.anchor), SOURCE_PU + 0j)
        self.node = np.array([self.grid.bus_node[int(bus)] for bus in self.bus])
        p, q = self.grid.nominal()
        self.loads = (p + 1j * q) / self.grid.base_mva

    def injected(self, p_mw, q_mvar):
        """Return injections and voltages with the plants giving this."""
        s = self.loads.astype(complex)
        np.add.at(s, self.node, (p_mw + 1j * q_mvar) / self.grid.base_mva)
        return s, self.topology.flow(s, self.v_anchor)

    def levers(self):
        return Lever(self.node, self.p_mw, np.zeros(len(self.p_mw)), self.p_mw, self.p_mw, self.price)

    def relieved(self, q_mvar):
        s, v = self.injected(self.p_mw, q_mvar)
        return relieve(self.topology, v, s, self.v_anchor, self.levers(), self.limits)

    def cost(self, p_mw):
        return float(self.price @ (self.p_mw - p_mw))

    def optimum(self, q_low_mvar, q_high_mvar):
        """Return the plants' power at the AC optimum, P between nothing and all, Q within its range."""
        net = self.net
        net.sgen.drop(net.sgen.index, inplace=True)
        columns = self.bus, self.p_mw, q_low_mvar, q_high_mvar, self.price
        for bus, p, low, high, price in zip(*columns, strict=True):
            unit = pp.create_sgen(net, int(bus), p, 0.0, controllable=True, min_p_mw=0.0, max_p_mw=p,
                                  min_q_mvar=low, max_q_mvar=high)  # fmt: skip
            pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=-price)
        net.bus["min_vm_pu"], net.bus["max_vm_pu"] = self.limits.v_min_pu, self.limits.v_max_pu
        net.line["max_loading_percent"] = self.limits.loading_max_percent
        for share in (0.6, 0.3, 0.8, 0.0):  # where the interior point begins
            net.sgen["p_mw"] = share * self.p_mw
            try:
                pp.runopp(net, init="pf", calculate_voltage_angles=False, delta=1e-10)
            except pp.OPFNotConverged:
                continue
            return net.res_sgen.p_mw.to_numpy()
        raise AssertionError("the optimal power flow has no solution")


@pytest.mark.parametrize(("seed", "feed_in_mw"), [(0, 10.0), (1, 20.0)])
@pytest.mark.parametrize("count", [10, 25, 50])
def test_curtailment_costs_what_the_ac_optimum_costs(count, seed, feed_in_mw):
    case = Case(count, seed, feed_in_mw)
    _, before = case.injected(case.p_mw, case.q_mvar)
    assert np.abs(before).max() > 1.06
    assert case.topology.loading(before).max() > 120
    found = case.relieved(case.q_mvar)
    best = case.cost(case.optimum(case.q_mvar, case.q_mvar))
    assert best > 2.0
    assert case.cost(found.p_mw) == pytest.approx(best, rel=WITHIN)
    # And it holds: by pandapower's power flow, at both ends of every line.
    net = case.net
    net.sgen["p_mw"], net.sgen["q_mvar"] = found.p_mw, case.q_mvar
    pp.runpp(net, calculate_voltage_angles=False)
    live = net.res_bus.vm_pu.dropna()
    assert live.max() <= 1.05 + 2e-4
    assert live.min() >= 0.95 - 2e-4
    assert net.res_line.loading_percent.max() <= 100.1
    assert found.secure


@pytest.mark.parametrize("count", [10, 25, 50])
def test_where_voltage_alone_binds_reactive_power_leaves_nothing_to_curtail(count):
    case = Case(count, 0, 14.0, UNLIMITED)
    most = 0.4843 * case.p_mw
    none = np.zeros(count)
    s, v = case.injected(case.p_mw, none)
    band = Band(1.0, 1.0, LIMITS.v_min_pu, LIMITS.v_max_pu)
    q = best_q(case.topology, v, s, Sources(case.node, none, -most, most), band, np.zeros(len(case.v_anchor)), 1e5)
    assert case.cost(case.relieved(none).p_mw) > 2.0
    assert case.cost(case.relieved(q).p_mw) == pytest.approx(case.cost(case.optimum(-most, most)), abs=2e-3)
