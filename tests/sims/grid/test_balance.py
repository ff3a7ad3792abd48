"""Energy is neither made nor lost, whatever stands in a grid: what flows in is what is used and what is lost."""

import functools

import numpy as np
import pandapower.networks as pn
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.grid.forest import Forest

WIDTH = 2
QU = Curve("qu", (0.92, 0.96, 1.05, 1.08), (0.4, 0.0, 0.0, -0.4))


@functools.cache
def grid(name):
    return CompiledNet.from_net({"cigre_mv": pn.create_cigre_network_mv, "case33bw": pn.case33bw}[name](), name)


def shares(nodes):
    return arrays(float, (nodes, WIDTH), elements=st.floats(-1.0, 1.0, width=32))


@st.composite
def cases(draw):
    name = draw(st.sampled_from(["cigre_mv", "case33bw"]))
    own, most_mw = grid(name), {"cigre_mv": 1.0, "case33bw": 0.15}[name]
    nodes = np.flatnonzero(own.live & (own.rep == np.arange(own.n_nodes)))
    given_mw = np.zeros((2, own.n_nodes, WIDTH))
    given_mw[0, nodes], given_mw[1, nodes] = draw(shares(nodes.size)), draw(shares(nodes.size))
    given_mw[:, own.rep[own.roots]] = 0.0
    slack = draw(st.floats(0.97, 1.05)) * np.exp(1j * draw(st.floats(-0.5, 0.5)))
    return own, most_mw * given_mw, slack


@settings(max_examples=40, deadline=None)
@given(cases())
def test_what_a_feeder_draws_is_what_its_nodes_use_and_what_is_lost(case):
    own, (p_mw, q_mvar), slack = case
    fleet = FleetPowerFlow(own, WIDTH)
    fleet.set_injection(p_mw, q_mvar)
    fleet.set_slack(np.full(WIDTH, slack))
    assert fleet.solve().all()
    assert (fleet.loss_mw >= 0).all()
    assert fleet.slack_p_mw + p_mw.sum(axis=0) == pytest.approx(fleet.loss_mw, abs=1e-6)
    flows = fleet.flows
    ends = flows.p_from_mw + flows.p_to_mw
    shunts = fleet.loss_mw - ends.sum(axis=0)
    assert (ends > -1e-9).all(), "no branch makes power"
    assert (shunts > -1e-6).all()


@settings(max_examples=40, deadline=None)
@given(cases(), st.floats(0.0, 1.0))
def test_feeders_solved_together_balance_with_characteristics_too(case, share):
    own, (p_mw, q_mvar), slack = case
    forest = Forest([own] * WIDTH, [QU])
    amplitude = share * 0.3 * np.abs(p_mw.T.ravel())[:, None]
    none = np.zeros(own.n_nodes * WIDTH)
    forest.inject(p_mw.T.ravel(), q_mvar.T.ravel(), np.zeros_like(amplitude), amplitude, none)
    assert forest.solve(np.full(WIDTH, slack)).all()
    forest.read()
    inside = p_mw.sum(axis=0)
    assert forest.power_mva.real + inside == pytest.approx(forest.loss_mw, abs=1e-6)
    assert (forest.loss_mw >= -1e-9).all()
    # what the characteristics make of the voltages is reactive power alone, and stands in the books of Q
    followed = np.interp(np.abs(forest.v), QU.x, QU.y) * amplitude[:, 0]
    alone = FleetPowerFlow(own, WIDTH)
    alone.set_injection(p_mw, q_mvar + followed.reshape(WIDTH, -1).T)
    alone.set_slack(np.full(WIDTH, slack))
    assert alone.solve().all()
    assert forest.power_mva == pytest.approx(alone.slack_p_mw + 1j * alone.slack_q_mvar, abs=1e-5)
