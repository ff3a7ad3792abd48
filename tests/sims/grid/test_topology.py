"""Variants keep the numbering, list what is dark, and are computed once."""

import numpy as np
import pandapower as pp
import pytest

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.topology import TopologyVariants


@pytest.fixture
def ring():
    """Source bus 0, then 1 and 2 in a ring over three switched lines, the one at 1-2 open; 3 behind 2."""
    net = pp.create_empty_network()
    buses = [pp.create_bus(net, 20.0) for _ in range(4)]
    pp.create_ext_grid(net, buses[0])
    for a, b in ((0, 1), (0, 2), (1, 2), (2, 3)):
        line = pp.create_line_from_parameters(net, a, b, 1.0, 0.2, 0.3, 200, 0.2)
        pp.create_switch(net, a, line, "l", closed=line != 2, type="LBS")
    for b in buses[1:]:
        pp.create_load(net, b, 0.5)
    return CompiledNet.from_net(net, "ring")


def test_opening_a_line_leaves_its_side_dark(ring):
    variants = TopologyVariants(ring)
    cut = variants.variant(open_switches=[1])
    assert cut.dark.tolist() == [2, 3]
    assert cut.n_nodes == ring.n_nodes
    assert cut.parent.tolist() == [-1, 0, -1, -1]
    assert ring.dark.size == 0, "the base stays as it is"


def test_closing_the_tie_restores_over_the_other_side(ring):
    fixed = TopologyVariants(ring).variant(open_switches=[1], closed_switches=[2])
    assert fixed.dark.size == 0
    assert fixed.radial
    assert fixed.parent.tolist() == [-1, 0, 1, 2]


def test_closing_the_tie_alone_makes_a_ring(ring):
    assert not TopologyVariants(ring).variant(closed_switches=[2]).radial


def test_open_end_keeps_the_charging_of_the_live_end(ring):
    cut = TopologyVariants(ring).variant(open_switches=[1])
    # The line 0-1 beside it stays; line 2 (1-2) is open at bus 1 and fed by nothing, bus 2 being dark.
    assert cut.y_ff[2] == 0
    assert cut.y_tt[2] == 0
    y_series, y_half = -ring.y_raw[1, 2], ring.y_raw[0, 2] + ring.y_raw[1, 2]
    # Base: open at bus 1, hanging on bus 2: half the charging directly, half behind the series impedance.
    assert ring.y_tt[2] == pytest.approx(y_half + 1 / (1 / y_series + 1 / y_half))


def test_a_state_is_computed_once(ring):
    variants = TopologyVariants(ring, capacity=2)
    first = variants.variant(open_switches=[1])
    assert variants.variant(open_switches=[1]) is first
    assert variants.variant() is ring
    variants.variant(open_switches=[0])
    variants.variant(open_switches=[3])
    assert variants.variant(open_switches=[1]) is not first


def test_elements_out_of_service(ring):
    assert TopologyVariants(ring).variant(out_of_service_lines=[3]).dark.tolist() == [3]
    back = TopologyVariants(TopologyVariants(ring).variant(out_of_service_lines=[3]))
    assert back.variant(in_service_lines=[3]).dark.size == 0


def test_bus_switch_opens_only_where_its_buses_are_apart():
    net = pp.create_empty_network()
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    switch = pp.create_switch(net, a, b, "b")
    c = pp.create_bus(net, 20.0)
    pp.create_line_from_parameters(net, b, c, 1.0, 0.2, 0.3, 10, 0.2)
    pp.create_load(net, c, 1.0)
    with pytest.raises(GridError, match=r"switch 0 joins buses.*split=True"):
        TopologyVariants(CompiledNet.from_net(net)).variant(open_switches=[switch])
    opened = TopologyVariants(CompiledNet.from_net(net, split=True)).variant(open_switches=[switch])
    assert opened.dark.tolist() == [1, 2]


@pytest.mark.parametrize(("call", "text"), [
    ({"open_switches": [99]}, "switch 99 does not exist"),
    ({"open_switches": [1], "closed_switches": [1]}, "switch 1 cannot be open and closed"),
    ({"out_of_service_lines": [9]}, "line 9 does not exist"),
])
def test_wrong_names_are_refused(ring, call, text):
    with pytest.raises(GridError, match=f"net ring: {text}"):
        TopologyVariants(ring).variant(**call)


def test_case33bw_ties_restore_after_each_published_fault(grid_of):
    """Fault 7-8 with tie 35 closed feeds every load again (Baran and Wu's feeder, branch n = index n - 1)."""
    _, grid = grid_of("case33bw")
    variants = TopologyVariants(grid)
    for fault, tie in ((7, 35), (12, 34), (19, 33), (28, 37)):
        dark = variants.variant(out_of_service_lines=[fault - 1])
        assert dark.dark.size
        whole = variants.variant(out_of_service_lines=[fault - 1], in_service_lines=[tie - 1])
        assert whole.dark.size == 0
        assert whole.radial
    assert np.all(grid.live)
