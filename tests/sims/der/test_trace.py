import numpy as np

from controllers.local.cap import FeedInCap
from sims.der.fleet import DeviceTable
from sims.der.law import Bound
from sims.der.trace import Trace


def trace():
    table = DeviceTable.of(
        name=["a", "b", "c"], kind=["pv"] * 3, feeder=[0, 0, 1], node=[1] * 3, dso=[0] * 3, p_rated_mw=[1.0] * 3,
        feeder_names=("f", "g"), dso_names=("d",),
    )
    return Trace(table, [Bound(FeedInCap(), np.arange(3))], 0.1)


def told(acts):
    return [(a.asset, round(a.value, 6), a.count) for a in acts]


def test_it_sums_by_feeder_and_tells_only_changes():
    t = trace()
    assert told(t.note(0, np.array([-0.06, -0.06, -0.09]), 0)) == [("f", -0.12, 2)]
    assert told(t.note(0, np.array([-0.2, 0.0, 0.0]), 1)) == []
    assert told(t.note(0, np.array([0.0, 0.0, -0.5]), 2)) == [("f", 0.0, 0), ("g", -0.5, 1)]


def test_it_does_not_chatter_around_the_threshold():
    t = trace()
    seen = [told(t.note(0, np.array([-x, 0.0, 0.0]), k)) for k, x in enumerate((0.11, 0.09, 0.11, 0.06, 0.04, 0.09))]
    assert [len(s) for s in seen] == [1, 0, 0, 0, 1, 0]


def test_state_round_trip():
    one, two = trace(), trace()
    one.note(0, np.array([-1.0, 0.0, 0.0]), 0)
    two.set_state(one.get_state())
    assert two.note(0, np.array([-1.0, 0.0, 0.0]), 1) == []
