import copy

import numpy as np
import pandapower as pp
import pytest

from scenarios import nets
from sims.distribution.feeders import Feeder, Feeders
from sims.grid.compiled import CompiledNet


@pytest.fixture(scope="session")
def grids():
    """Name -> (pandapower net, the same as arrays)."""
    names = ("cigre_mv", "mv_oberrhein", "cigre_mv_lv")
    return {
        n: (nets.net(n), CompiledNet.from_net(nets.net(n), n, merge_roots=True)) for n in names
    }


@pytest.fixture
def fleet(grids):
    """Make Feeders of named grids, all on interface 0 unless told otherwise."""

    def make(*names, interface=None, curves=()):
        interface = interface or [0] * len(names)
        return Feeders(
            [
                Feeder(f"dso.f{k + 1:02d}", grids[name][1], i, np.full(grids[name][1].n_nodes, 10, np.int64))
                for k, (name, i) in enumerate(zip(names, interface, strict=True))
            ],
            curves,
        )

    return make


@pytest.fixture(scope="session")
def newton():
    """Solve one feeder with pandapower: nodal injections, complex slack voltage, open lines, tap positions."""

    def solve(net, grid, p_mw, q_mvar, v_slack, opened=(), closed=(), taps=()):
        one = copy.deepcopy(net)
        one.load.drop(one.load.index, inplace=True)
        for node, bus in enumerate(grid.node_bus):
            if p_mw[node] or q_mvar[node]:
                pp.create_sgen(one, int(bus), p_mw=p_mw[node], q_mvar=q_mvar[node])
        one.ext_grid["vm_pu"], one.ext_grid["va_degree"] = abs(v_slack), np.angle(v_slack, deg=True)
        for line in opened:
            one.line.loc[line, "in_service"] = False
        for line in closed:
            one.switch.loc[(one.switch.et == "l") & (one.switch.element == line), "closed"] = True
        for trafo, pos in taps:
            one.trafo.loc[trafo, "tap_pos"] = pos
        pp.runpp(one, calculate_voltage_angles=True, tolerance_mva=1e-9)
        return one

    return solve
