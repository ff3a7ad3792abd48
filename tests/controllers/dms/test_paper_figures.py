"""The source paper's own pictures: Figs 3 to 5, a fault between loads 1 and 2; Figs 6 and 7 are in load management."""

import numpy as np
import pytest

from controllers.centralized.restoration import switching_order
from controllers.contract import Site
from controllers.dms.feeder_file import blank
from controllers.dms.flisr import Case, locate, plan
from controllers.dms.network import Network
from sims.grid.compiled import CompiledNet

B1, B2_B3, B3_SIDE, B4 = range(4)
"""Lines: breaker B1 at infeed A; the faulted one between B2 and B3; loads 2 to 3; the tie B4 to infeed B."""


@pytest.fixture
def figure(chain):
    return Network(CompiledNet.from_net(chain([1.0, 1.0, 1.0], tie=B4), "figure 3"))


def solved(net, seen):
    p, q = net.grid.nominal()
    closed = net.normal.copy()
    closed[B1] = False
    faulted = locate(net.topology(net.normal), B1, seen)
    case = Case(net, closed, (p + 1j * q) / net.grid.base_mva, np.ones(2, complex), 0.9, 100.0)
    return faulted, plan(case, B1, faulted)


def test_the_fault_is_isolated_and_all_three_loads_come_back(figure):
    faulted, found = solved(figure, [B1, B2_B3])
    assert faulted == B2_B3
    assert found.opened == (B2_B3,)  # B2 and B3, the switches at its ends
    assert set(found.closed) == {B1, B4}
    assert found.dark_mw == 0.0
    assert found.restored_mw == pytest.approx(3.0)  # load 1 with B1, loads 2 and 3 with B4


def test_b3_opens_before_b4_closes(kit, figure):
    belief = kit.feeder("case33bw")
    _, found = solved(figure, [B1, B2_B3])
    file = blank(belief, Network(belief.grid))
    site = Site("dso_1.dms", "dms", frozenset({"restore_supply"}), None, (), 60_000, np.random.default_rng(0))
    order = switching_order(site, file, found)
    closed = order.values["closed"].tolist()
    lines = order.values["line"].tolist()
    assert lines[: closed.index(True)] == [B2_B3]
    assert lines.index(B2_B3) < lines.index(B4)
    assert closed == sorted(closed)  # all that opens stands before all that closes


def test_no_state_on_the_way_joins_the_fault_to_a_source(figure):
    _, found = solved(figure, [B1, B2_B3])
    state = figure.normal.copy()
    state[B1] = False
    for rows, to in ((found.opened, False), (found.closed, True)):
        for row in rows:
            state[row] = to
            assert not figure.topology(state).joined[B2_B3]


def test_a_lost_fault_indicator_changes_what_is_done(figure):
    faulted, found = solved(figure, [B1])
    assert faulted == B1  # the message from the second line never came
    assert B1 in found.opened or B1 not in found.closed
    assert B4 in found.closed  # and the fault would be fed from infeed B
    assert figure.topology(_after(figure, found)).joined[B2_B3]


def _after(net, found):
    state = net.normal.copy()
    state[B1] = False
    state[list(found.opened)], state[list(found.closed)] = False, True
    return state
