import numpy as np
import pytest

from controllers.dms.flisr import Case, locate, plan
from controllers.dms.network import Network


def row_between(grid, a, b):
    """Row of the branch between buses a and b of the paper (index + 1)."""
    ends = [{int(grid.node_bus[f]) + 1, int(grid.node_bus[t]) + 1} for f, t in
            zip(grid.branch_from, grid.branch_to, strict=True)]
    return ends.index({a, b})


def solved(kit, a, b, v_min=0.9, loading=1e9):
    grid = kit.grid("case33bw")
    net = Network(grid)
    p, q = grid.nominal()
    closed = net.normal.copy()
    head = net.line(0)
    closed[head] = False
    case = Case(net, closed, (p + 1j * q) / grid.base_mva, np.ones(1, complex), v_min, loading)
    return net, plan(case, head, row_between(grid, a, b))


@pytest.mark.parametrize(
    ("fault", "tie", "losses_kw", "v_min"),
    [((7, 8), 35, 156.529, 0.93358), ((12, 13), 34, 197.346, None), ((19, 20), 33, 236.403, None),
     ((6, 26), 37, 183.266, None), ((28, 29), 37, 175.130, None)],
)
def test_case33bw_published_cases(kit, fault, tie, losses_kw, v_min):
    net, found = solved(kit, *fault)
    names = [int(net.grid.branch_element[r]) + 1 for r in found.closed]
    assert names == [1, tie]
    assert found.opened == (row_between(net.grid, *fault),)
    assert found.losses_mw * 1e3 == pytest.approx(losses_kw, abs=0.001)
    assert found.dark_mw == 0.0
    if v_min:
        assert found.v_min_pu == pytest.approx(v_min, abs=1e-5)


def test_case33bw_sheds_where_the_voltage_would_fall_too_low(kit):
    _, whole = solved(kit, 3, 23, v_min=0.8)
    assert whole.v_min_pu == pytest.approx(0.87724, abs=1e-5)
    assert whole.dark_mw == 0.0
    _, found = solved(kit, 3, 23)
    assert found.v_min_pu >= 0.9
    # 930 kW were dark: buses 23, 24, 25 with 90, 420, 420 kW; one of the large ones can be carried.
    assert found.dark_mw * 1e3 == pytest.approx(510.0)
    assert len(found.opened) == 2


@pytest.mark.parametrize(("fault", "dark_kw"), [((7, 8), 875), ((12, 13), 450), ((19, 20), 270), ((6, 26), 920),
                                                ((28, 29), 740), ((3, 23), 930)])
def test_without_usable_ties_the_published_load_stays_dark(kit, fault, dark_kw):
    # With a bound on the voltage that no configuration meets, only the upstream part comes back.
    _, found = solved(kit, *fault, v_min=0.999)
    assert found.dark_mw * 1e3 == pytest.approx(dark_kw)
    assert len(found.closed) == 1


def test_fault_is_located_at_the_last_indicator_on(kit):
    net = Network(kit.grid("case33bw"))
    topology = net.topology(net.normal)
    path = [row_between(net.grid, a, a + 1) for a in range(1, 9)]
    assert locate(topology, path[0], path) == path[-1]
    assert locate(topology, path[0], [*path[::-1], *path]) == path[-1]
    assert locate(topology, path[0], []) == path[0]
    elsewhere = row_between(net.grid, 19, 20)
    assert locate(topology, path[2], [*path[2:5], elsewhere]) == path[4]


def test_a_known_fault_is_never_closed_again(kit):
    grid = kit.grid("case33bw")
    net = Network(grid)
    p, q = grid.nominal()
    closed, head = net.normal.copy(), net.line(0)
    closed[head] = False
    tie = net.line(34)  # paper's 35, the best for 7-8
    case = Case(net, closed, (p + 1j * q) / grid.base_mva, np.ones(1, complex), 0.9, 1e9, frozenset({tie}))
    found = plan(case, head, row_between(grid, 7, 8))
    assert tie not in found.closed
    assert found.dark_mw == 0.0


@pytest.mark.parametrize("line", [12, 30, 70, 100])
def test_plans_are_radial_and_within_ratings_on_a_real_feeder(kit, line):
    field = kit.field(kit.feeder("oberrhein"), load=0.8)
    net, g = field.net, field.belief.grid
    head = net.line(field.strike(line, 0)[0].values["tripped_line"])
    case = Case(net, field.closed, field.s - 0.0, field.v[net.anchor], 0.9, 100.0)
    load = -0.8 * field.spread * (field.belief.load_mw + 1j * field.belief.load_mvar) / g.base_mva
    case = Case(net, field.closed, load.astype(complex), np.ones(len(net.anchor), complex), 0.9, 100.0)
    found = plan(case, head, net.line(line))
    closed = field.closed.copy()
    closed[list(found.opened)] = False
    closed[list(found.closed)] = True
    after = net.topology(closed)
    assert after.radial
    assert not closed[net.line(line)]
    assert found.loading_percent <= 100
    assert found.v_min_pu >= 0.9
    assert found.dark_mw == 0.0
