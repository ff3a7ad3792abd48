import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from controllers.dms.contingency import screen
from controllers.dms.loops import VIRTUAL, Loops
from controllers.dms.network import Network
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


def screened(net, name="net", scale=1.0, **options):
    grid = CompiledNet.from_net(net, name)
    model = Network(grid)
    p, q = grid.nominal()
    return grid, screen(Loops(model, model.normal), scale * (p + 1j * q) / grid.base_mva, **options)


def test_case33bw_against_pandapower_one_outage_at_a_time():
    grid, found = screened(pn.case33bw(), "case33bw", v_min_pu=0.9)
    checked = 0
    for k in range(len(found)):
        if found.row[k] == VIRTUAL or found.tie[k] < 0:
            continue
        net = pn.case33bw()
        net.line.loc[grid.branch_element[found.row[k]], "in_service"] = False
        net.line.loc[grid.branch_element[found.tie[k]], "in_service"] = True
        pp.runpp(net)
        assert found.v_min_pu[k] == pytest.approx(net.res_bus.vm_pu.min(), abs=2e-5)
        assert found.restorable[k] == (net.res_bus.vm_pu.min() >= 0.9)
        checked += 1
    assert checked == 31
    dark = {int(grid.branch_element[r]) + 1: kw for r, kw in zip(found.row, found.lost_mw * 1e3, strict=True) if r >= 0}
    # The published dark loads of sections 7-8, 12-13, 6-26, 28-29 and 3-23, branches 7, 12, 25, 28 and 22.
    assert [dark[k] for k in (7, 12, 25, 28, 22)] == pytest.approx([875, 450, 920, 740, 930])


def test_the_worst_stands_first_and_customers_are_counted(chain):
    net = chain([1.0, 2.0, 3.0], tie=3)
    grid = CompiledNet.from_net(net)
    customers = np.where(grid.nominal()[0] < 0, 100, 0)
    _, found = screened(chain([1.0, 2.0, 3.0], tie=3), customers=customers)
    assert found.restorable.all()
    assert found.lost_mw[0] == pytest.approx(6.0)
    assert found.lost_customers[0] == 300
    assert found.row[0] == VIRTUAL  # the loss of infeed A, taken over by infeed B
    assert int(grid.branch_element[found.tie[0]]) == 3
    _, weak = screened(chain([1.0, 2.0, 3.0], rating_ka=0.12, tie=3))
    # 0.12 kA carry 4.2 MVA: what lies behind the first line is too much for infeed B, the rest is not.
    assert weak.restorable.tolist().count(False) == 3
    assert weak.dark_mw[0] == pytest.approx(6.0)


def test_without_ties_everything_behind_an_outage_stays_dark(chain):
    _, found = screened(chain([1.0, 2.0], infeeds=1))
    assert not found.restorable.any()
    assert (found.tie == -1).all()
    assert np.isnan(found.v_min_pu).all()


def test_a_state_without_solution_is_refused():
    with pytest.raises(GridError, match="no power flow solution"):
        screened(pn.case33bw(), "case33bw", scale=20.0)
