import numpy as np
import pytest

from controllers.distributed.area import Area
from controllers.distributed.busbar import NOBODY_HIGH, NOBODY_LOW, Busbars, Span, wanted
from controllers.distributed.extremes import Extremes
from controllers.distributed.voltage import ConsensusVoltVar
from sims.core.message import Message


@pytest.mark.parametrize(("low", "high", "steps"), [
    (0.96, 1.03, 0),  # inside 0.958 to 1.042
    (0.95, 1.00, 1), (0.94, 1.00, 2), (0.90, 0.99, 2),  # at most two at once
    (0.94, 1.035, 0),  # one step of 0.0125 would bring 1.035 over 1.042
    (0.94, 1.025, 1),  # two are wanted, one is borne
    (0.98, 1.05, -1), (0.965, 1.06, 0), (0.93, 1.06, 0),
])
def test_steps_help_without_harm(low, high, steps):
    assert wanted(low, high, 0.958, 1.042, 0.0125, 2) == steps


def agent(town, number):
    site = next(c.site for c in town([ConsensusVoltVar]).of(ConsensusVoltVar) if c.area.number == number)
    return site, Area(site)


def test_what_a_child_tells_reaches_the_leading_agent_and_grows_old(town, physics):
    world = physics(v0=1.01)
    _, lead = agent(town, 0)
    child = lead.feeder.agents.index(lead.children[0])
    span, volts = Span(lead), Extremes(lead)
    span.primary(world.primary(0))
    low, high = span.known(volts, 0.0)
    assert low == high == pytest.approx(world.v[1])
    _, below = agent(town, child)
    theirs, theirs_volts = Span(below), Extremes(below)
    assert theirs.known(theirs_volts, 0.0) == (np.array([NOBODY_LOW]), np.array([NOBODY_HIGH])), "not metered yet"
    theirs_volts.own(world.own(child, 0))
    told = theirs.letter(theirs_volts, 0.0)
    span.hear(Message(lead.children[0], "me", "consensus/q", told), 0.0)
    own_pu = world.v[lead.feeder.agent_node[child]]
    assert span.known(volts, 60.0)[0] == pytest.approx(min(own_pu, world.v[1]))
    assert span.known(volts, 3 * Span.BEAT_S)[0] == pytest.approx(world.v[1])
    stranger = Span(lead)
    stranger.hear(Message("somebody", "me", "consensus/q", told), 0.0)
    assert not stranger.told


def test_an_order_names_the_transformer_and_waits_for_the_taps(town, physics):
    site, lead = agent(town, 0)
    busbars = Busbars(site, lead, "control_voltage")
    busbars.step_pu = [0.0125]
    assert not busbars.orders(np.array([0.94]), np.array([1.0]), 0.958, 1.042, 0.0), "the set-point is not known yet"
    busbars.primary(physics().primary(0).values)
    (order,) = busbars.orders(np.array([0.94]), np.array([1.0]), 0.958, 1.042, 60.0)
    assert (order.receiver, order.topic) == (lead.feeder.name, "command/control_voltage")
    assert order.values["trafo"].tolist() == busbars.trafo.tolist()
    assert order.values["v_set_pu"] == pytest.approx([1.0 + 2 * 0.0125])
    assert not busbars.orders(np.array([0.94]), np.array([1.0]), 0.958, 1.042, 120.0)
    assert busbars.orders(np.array([0.94]), np.array([1.0]), 0.958, 1.042, 60.0 + Busbars.HOLD_S)


def test_none_is_raised_while_its_transformer_is_overloaded(town, physics):
    site, lead = agent(town, 0)
    busbars = Busbars(site, lead, "control_voltage")
    busbars.step_pu = [0.0125]

    def orders(now_s, percent, low, high):
        busbars.primary(dict(physics().primary(0).values, loading_percent=np.array([percent])))
        return busbars.orders([low], [high], 0.958, 1.042, now_s)

    assert not orders(0.0, 104.0, 0.94, 1.0)
    assert orders(60.0, 96.0, 0.94, 1.0), "there is nothing to wait for once it is over"
    (order,) = orders(600.0, 104.0, 0.98, 1.05)
    assert order.values["v_set_pu"] < 1.0, "lowering carries less, not more"


def test_a_raised_busbar_returns_once_there_is_room(town, physics):
    site, lead = agent(town, 0)
    busbars = Busbars(site, lead, "control_voltage")
    busbars.step_pu = [0.0125]

    def order(now_s, v_set_pu, low, high):
        busbars.primary(dict(physics().primary(0).values, v_set_pu=np.array([v_set_pu])))
        orders = busbars.orders(np.array([low]), np.array([high]), 0.958, 1.042, now_s)
        return [float(m.values["v_set_pu"][0]) for m in orders]

    assert order(0.0, 1.0, 0.94, 1.0) == pytest.approx([1.025])
    assert not order(600.0, 1.025, 0.98, 1.0), "too soon after the last move"
    assert not order(900.0, 1.025, 0.975, 1.0), "a step and what is not told would bring 0.975 below 0.958"
    assert not order(900.0, 1.025, NOBODY_LOW, NOBODY_HIGH)
    assert order(1200.0, 1.025, 0.98, 1.0) == pytest.approx([1.0125])
    assert order(2100.0, 1.0125, 0.98, 1.0) == pytest.approx([1.0])
    assert not order(3600.0, 1.0, 0.99, 1.0), "home"


def test_a_busbar_without_taps_or_without_news_is_left_alone(town, physics):
    site, lead = agent(town, 0)
    busbars = Busbars(site, lead, "control_voltage")
    busbars.primary(physics().primary(0).values)
    busbars.step_pu = [0.0]
    assert not busbars.orders(np.array([0.90]), np.array([0.95]), 0.958, 1.042, 0.0)
    busbars.step_pu = [0.0125]
    assert not busbars.orders(np.array([NOBODY_LOW]), np.array([NOBODY_HIGH]), 0.958, 1.042, 0.0)
