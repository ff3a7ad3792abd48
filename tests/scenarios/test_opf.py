"""The day-ahead OPF against pandapower's on the 39-bus system, and by its own limits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from results.runfile import Run
from scenarios.ground import ground
from scenarios.load import load
from scenarios.market import market
from scenarios.opf import Market, Units, optimum
from scenarios.run import run_pairing
from scenarios.shipped import transmission_path
from sims.core.errors import ScenarioError
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow

pytestmark = pytest.mark.filterwarnings("ignore")
COST = 41864.18
"""Published optimum of `case39`, with 0.2 for each of ten machines."""


class New39:
    """MATPOWER's `case39`, its demand as a row of `levels`."""

    def __init__(self, levels=(1.0,), v_pu=None, band_mw=0.0):
        net = pn.case39()
        if v_pu is not None:
            net.gen["vm_pu"], net.ext_grid["vm_pu"] = v_pu[:-1], v_pu[-1]
        self.grid = CompiledNet.from_net(net, "case39")
        buses = [*net.gen.bus, *net.ext_grid.bus]
        node = np.array([self.grid.node(int(bus)) for bus in buses])
        high = np.array([*net.gen.max_p_mw, *net.ext_grid.max_p_mw])
        n, band = len(node), np.full(len(node), band_mw)
        self.units = Units(node, n - 1, band, high - band, np.full(n, 1e9), np.full(n, 0.01), np.full(n, 0.3))
        demand = np.zeros(self.grid.n_nodes, complex)
        load = (net.load.p_mw + 1j * net.load.q_mvar).to_numpy()
        np.add.at(demand, [self.grid.node(int(bus)) for bus in net.load.bus], load)
        self.drawn = np.outer(levels, demand)
        self.limit = np.fmin(self.grid.rating_from, self.grid.rating_to) * self.grid.base_mva
        self.start = np.outer(levels, np.append(net.gen.p_mw, 600.0))

    def solve(self, **changes):
        units, limit = changes.get("units", self.units), changes.get("limit", self.limit)
        return optimum(MeshedPowerFlow(self.grid), self.drawn, self.start, Market(units, limit))

    def cost(self, flows):
        return self.units.cost(flows.p_mw) + 2.0


@pytest.fixture(scope="module")
def oracle():
    """pandapower's AC OPF: voltages and outputs of the machines."""
    net = pn.case39()
    net.ext_grid["controllable"] = True
    pp.runopp(net)
    assert net.res_cost == pytest.approx(COST, abs=0.01)
    v_pu = net.res_bus.vm_pu[[*net.gen.bus, *net.ext_grid.bus]].to_numpy()
    return v_pu, np.append(net.res_gen.p_mw, net.res_ext_grid.p_mw)


def test_the_cost_is_that_of_the_ac_opf_at_its_voltages(oracle):
    v_pu, p_mw = oracle
    case = New39(v_pu=v_pu)
    flows = case.solve()
    assert case.cost(flows)[0] == pytest.approx(COST, rel=1e-5)
    assert flows.p_mw[0] == pytest.approx(p_mw, abs=1.0)


def test_at_the_tables_voltages_the_cost_is_within_a_fifth_of_a_percent():
    case = New39()
    assert case.cost(case.solve())[0] == pytest.approx(COST, rel=2e-3)
    assert case.cost(case.solve())[0] > COST, "voltages are not chosen"


def test_without_losses_it_is_the_dc_opf():
    """Equal costs and no limit reached on a line: all at one output but those at their limits, 6254.23 MW in sum."""
    net = pn.case39()
    net.ext_grid["controllable"] = True
    pp.rundcopp(net)
    assert net.res_cost == pytest.approx(41263.94, abs=0.01)
    case = New39()
    p = case.solve().p_mw[0]
    free = p < case.units.high_mw - 1.0
    dc = np.append(net.res_gen.p_mw, net.res_ext_grid.p_mw)
    assert p[~free] == pytest.approx(dc[~free], abs=1e-3)
    assert p[free] == pytest.approx(dc[free], rel=0.05), "which machine is near the load is worth some MW"


def test_a_full_line_is_kept_to_its_rating_at_a_cost():
    case = New39()
    free = case.solve()
    limited = np.flatnonzero(np.isfinite(case.limit))
    tight = int(np.argmax(np.abs(free.branch_mw[0]) / case.limit[limited]))
    limit = case.limit.copy()
    limit[limited[tight]] = 0.9 * abs(free.branch_mw[0, tight])
    bound = case.solve(limit=limit)
    assert abs(bound.branch_mw[0, tight]) == pytest.approx(limit[limited[tight]], rel=2e-3)
    assert (np.abs(bound.branch_mw[0]) <= limit[limited] + 1.0).all()
    assert case.cost(bound)[0] > case.cost(free)[0]


def test_a_machine_that_cannot_follow_begins_early_and_the_others_follow_for_it():
    levels = (0.6, 0.6, 0.7, 0.9)
    case = New39(levels)
    ramp = np.array([40.0, *case.units.ramp_mw[1:]])
    quick, slow = case.solve(), case.solve(units=replace(case.units, ramp_mw=ramp))
    assert np.diff(quick.p_mw[:, 0]).max() > 100.0
    assert np.abs(np.diff(slow.p_mw[:, 0])).max() == pytest.approx(40.0, abs=1e-3)
    assert (slow.p_mw[:2, 0] > quick.p_mw[:2, 0] + 5.0).all(), "early, as it will be missed later"
    assert slow.p_mw[3, 0] < quick.p_mw[3, 0] - 5.0
    assert slow.p_mw.sum(axis=1) == pytest.approx(quick.p_mw.sum(axis=1), abs=3.0), "but for losses"
    assert case.units.cost(slow.p_mw).sum() > case.units.cost(quick.p_mw).sum()


def test_reserves_stay_free_both_ways_and_shrink_downwards_only_where_demand_is_less():
    day, night = New39((0.5,), band_mw=200.0).solve(), New39((0.2,), band_mw=200.0).solve()
    high = New39(band_mw=200.0).units.high_mw
    assert (day.p_mw[:, :-1] >= 200.0 - 1e-6).all()
    assert (day.p_mw[:, :-1] <= high[:-1] + 1e-6).all()
    low = 200.0 * 0.9 * 0.2 * 6254.23 / 2000.0
    assert (night.p_mw[:, :-1] >= low - 1e-6).all()
    assert night.p_mw.min() < 200.0


def test_what_cannot_be_met_says_so():
    with pytest.raises(ScenarioError, match=r"schedule\.method: no set-points meet the expected demand"):
        New39((1.3,)).solve()


@pytest.fixture(scope="module")
def both(shared, small_path):
    return shared, ground(load(small_path, None, {"transmission.schedule.method": "opf"}))


def test_the_plan_is_cheaper_and_keeps_to_ratings_and_reserves(both):
    plain, best = both
    rows = json.loads(transmission_path("ieee39", Path()).read_text())
    found = market(best.scenario, best.case, best.grid, rows, best.levels_kv)
    before, after = (found.units.cost(g.plan.schedule.p_mw) for g in both)
    assert (after < before).all()
    p_mw, rated = best.plan.schedule.p_mw, best.case.machines.values["sn_mva"]
    assert (p_mw + found.units.low_mw <= rated + 1.0).all(), "the band upwards"
    assert (p_mw >= 0.0).all()
    assert p_mw.sum(axis=1) == pytest.approx(plain.plan.schedule.p_mw.sum(axis=1), rel=2e-3)
    assert p_mw[:, best.case.machines.names.index("G8")].min() > 150, "what trips carries load"
    assert len(np.flatnonzero(np.isfinite(found.limit_mva))) == 46


@pytest.fixture(scope="module")
def ran(small_path, tmp_path_factory):
    """Twenty minutes under the cheapest plan; G8 trips after twelve."""
    scenario = load(small_path, "twenty_minutes", {"transmission.schedule.method": "opf"})
    with Run(run_pairing(scenario, "centralized", 4, tmp_path_factory.mktemp("opf"))) as run:
        yield run, ground(scenario).plan.schedule


def test_a_run_follows_the_plan_and_the_trip_is_answered(ran):
    run, schedule = ran
    g8 = run.labels("gen").index("G8")
    p_mw = run.values("gen", "p_mw")
    assert p_mw[0] == pytest.approx(schedule.p_mw[0], abs=25.0), "but for droop on what was not foreseen"
    np.testing.assert_allclose(run.values("cell", "p_sched_mw")[0], schedule.export_mw[0], atol=0.01)
    error = run.values("cell", "p_tie_mw") - run.values("cell", "p_sched_mw")
    assert np.abs(error[:12]).max() < 60.0
    lost = float(p_mw[11, g8])
    assert lost > 150.0
    assert (p_mw[12:, g8] == 0).all()
    after = np.abs(error[12:]).max(axis=1)
    assert after.max() > 0.6 * lost
    assert after[-1] < 0.4 * after.max(), "the cell that lost it is on its way back"
