import numpy as np
import pytest

from controllers.dms.load_management import relieve
from controllers.dms.network import Network
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


def made(net):
    grid = CompiledNet.from_net(net)
    p, q = grid.nominal()
    return Network(grid), (p + 1j * q) / grid.base_mva


def test_an_overloaded_infeed_hands_its_last_load_to_its_neighbour(chain):
    # The paper's Figs 6 and 7: infeed A supplies loads 1 to 3, infeed B load 4; A is overloaded.
    net, s = made(chain([2.0, 2.0, 2.0, 1.0], tie=3))
    found = relieve(net, net.normal, s, rating_mva=np.array([5.0, 5.0]))
    assert found.overloaded.tolist() == [[True, False], [False, False]]
    np.testing.assert_allclose(found.load_mva[0], [6.16, 1.02], atol=0.03)
    np.testing.assert_allclose(found.load_mva[1], [4.09, 3.07], atol=0.03)
    lines = net.grid.branch_element
    assert [int(lines[r]) for r in found.plan.closed] == [3]
    assert [int(lines[r]) for r in found.plan.opened] == [2]


def test_the_overload_ends_even_where_losses_grow(chain):
    # Infeed B lies far away: without the rating nothing would be moved there.
    raw = chain([1.0, 1.0, 1.0], tie=3)
    raw.line.loc[3, "length_km"] = 40.0
    net, s = made(raw)
    calm = relieve(net, net.normal, s)
    assert calm.plan.operations == 0
    found = relieve(net, net.normal, s, rating_mva=np.array([2.5, 5.0]), v_min_pu=0.8)
    assert found.overloaded[0].any()
    assert not found.overloaded[1].any()
    assert found.plan.losses_mw[1] > found.plan.losses_mw[0]


def test_savings_that_are_not_worth_a_switching_are_left(chain):
    net, s = made(chain([0.1, 0.1, 0.1], tie=3))
    found = relieve(net, net.normal, s)
    assert found.plan.operations == 0
    assert found.plan.losses_mw[0] == found.plan.losses_mw[1]
    keen = relieve(net, net.normal, s, worth_mw=0.0)
    assert keen.plan.operations == 2


def test_a_grid_without_ties_says_so(chain):
    net, s = made(chain([1.0, 1.0], infeeds=1))
    with pytest.raises(GridError, match="no tie to another infeed"):
        relieve(net, net.normal, s)
