"""Orders and estimates name what is there; anything else is told with the nearest that is."""

import dataclasses

import numpy as np
import pytest

from controllers.assets import MOVES, Assets
from controllers.contract import Site, command
from controllers.logbook import LOGBOOK
from controllers.specimen import FEEDER, small_belief
from sims.core.message import Message

DMS = Site("dso_1.dms", "dms", frozenset(), small_belief(), (), 60_000, np.random.default_rng(1))
HERE = Assets(DMS.grid)


def order(receiver=FEEDER, **values):
    return command(DMS, receiver, "control_voltage", **values)


def estimate(**values):
    return Message("x", LOGBOOK, "estimate", values)


FINE = [
    order(device=np.array([100, 123, 100]), p_max_mw=np.ones(3)), order("anywhere", device=105, p_set_mw=0.5),
    order(device=np.array([100], dtype=np.int16), q_set_mvar=np.ones(1), p_max_mw=np.ones(1)),
    order(line=np.array([0, 6]), closed=np.array([True, False])), order(trafo=np.array([0]), v_set_pu=np.array([1.02])),
    order(trafo=0, tap_pos=3), order("dso_1.i8", v_set_pu=1.01), order("gen.GENROU_2", p_delta_mw=5.0),
    order("dso_1.crew", feeder=FEEDER, line=np.array([3])),
    estimate(feeder=FEEDER, v_pu=np.ones(8)), estimate(feeder=FEEDER, v_pu=np.ones(2), node=np.array([0, 7])),
    estimate(feeder=FEEDER, v_pu=np.ones(0), node=np.zeros(0, dtype=int)),
]  # fmt: skip


@pytest.mark.parametrize("message", FINE, ids=lambda m: str(dict(m.values))[:40])
def test_what_is_there_may_be_named(message):
    assert HERE.fault(message) == ""


WRONG = [
    (order(device=np.array([100, 99]), p_max_mw=np.ones(2)), "device 99, which is none of its own (nearest: 100)"),
    (order(device=np.array([124, 125, 126, 127]), p_max_mw=np.ones(4)), "device 124, 125, 126 and more"),
    (order(device=np.array([-1]), p_max_mw=np.ones(1)), "device -1, which is none"),
    (order(device=np.array([100.0]), p_max_mw=np.ones(1)), "device 100.0; name one or more by whole numbers"),
    (order(device=np.array([], dtype=int), p_max_mw=np.ones(0)), "name one or more by whole numbers"),
    (order(device=np.array([100]), p_mx_mw=np.ones(1)), "ordered 'p_mx_mw', which is not one of p_max_mw"),
    (order(device=np.array([100]), p_mx_mw=np.ones(1)), "(did you mean p_max_mw?)"),
    (order(device=np.array([100])), "ordered nothing; give p_max_mw or"),
    (order(line=np.array([7]), closed=np.array([True])), f"line 7 of {FEEDER}, which is none of its own (nearest: 6)"),
    (order(line=np.array([3])), "ordered nothing; give closed"),
    (order(trafo=np.array([1]), v_set_pu=np.array([1.0])), f"trafo 1 of {FEEDER}, which is none of its own"),
    (order(trafo=np.array([0]), closed=np.array([True])), "ordered 'closed', which is not one of v_set_pu, tap_pos"),
    (order(v_set_pu=1.0), f"ordered v_set_pu at {FEEDER}; name what it is for by device, trafo or line"),
    (order(), f"ordered nothing at {FEEDER}"),
    (order("dso_1.i4", p_delta_mw=1.0), "ordered 'p_delta_mw', which is not one of v_set_pu"),
    (order("gen.GENROU_9", p_delta_mw=1.0), "gen.GENROU_9, which is none of its stations (did you mean gen.GENROU_"),
    (order("gen.GENROU_2", p_max_mw=1.0), "ordered 'p_max_mw', which is not one of p_delta_mw"),
    (estimate(feeder="dso_1.f04", v_pu=np.ones(8)), "feeder 'dso_1.f04', which is none of its own (did you mean dso"),
    (estimate(v_pu=np.ones(8)), "estimated feeder 'None'"),
    (estimate(feeder=FEEDER), "without v_pu"),
    (estimate(feeder=FEEDER, v_pu=np.ones(7)), "v_pu of shape (7,) for 8 nodes"),
    (estimate(feeder=FEEDER, v_pu=np.ones(2), node=np.arange(3)), "v_pu of shape (2,) for nodes of shape (3,)"),
    (estimate(feeder=FEEDER, v_pu=np.ones(2), node=np.array([0, 8])), "at nodes outside 0..7"),
    (estimate(feeder=FEEDER, v_pu=np.ones(2), node=np.array([0.0, 1.0])), "at nodes outside 0..7"),
]


@pytest.mark.parametrize(("message", "says"), WRONG, ids=[says[:40] for _, says in WRONG])
def test_what_is_not_there_is_told_with_the_nearest(message, says):
    assert says in HERE.fault(message)


def test_who_has_no_feeder_knows_of_no_device():
    nobody = Assets(dataclasses.replace(DMS.grid, feeders=()))
    assert "device 100, which is none of its own" in nobody.fault(order(device=100, p_max_mw=1.0))


def test_it_knows_the_quantities_that_devices_obey():
    from sims.der.setpoints import QUANTITIES

    assert MOVES["device"] == QUANTITIES
