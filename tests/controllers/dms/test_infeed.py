from types import SimpleNamespace

import numpy as np
import pytest

from controllers.dms.infeed import Infeed, Pace
from controllers.dms.transformers import Transformers


def net(*anchors):
    return SimpleNamespace(feed=np.arange(len(anchors)), feed_anchor=np.asarray(anchors), anchor=np.unique(anchors))


def frame(p, q, loading):
    return {"p_mw": np.asarray(p, float), "q_mvar": np.asarray(q, float), "loading_percent": np.asarray(loading)}


def infeed(told, percent, anchors=(0, 1)):
    table = Transformers([net(*anchors)])
    table.note(0, 60_000, told)
    return table.infeed(percent)


def test_the_rating_is_read_off_the_loading():
    found = infeed(frame([24.0, 3.0], [7.0, 4.0], [125.0, 0.2]), 100.0)
    np.testing.assert_allclose(found.most_mva, [20.0, np.inf])  # 25 MVA are 125 %; 0.2 % tells nothing
    np.testing.assert_allclose(found.p_most(np.array([12.0, 0.0])), [16.0, np.inf])
    np.testing.assert_allclose(found.q_most, [0.0, np.inf])


def test_transformers_in_parallel_count_by_the_one_loaded_most():
    found = infeed(frame([12.0, 12.0], [0.0, 0.0], [120.0, 96.0]), 100.0, (0, 0))
    np.testing.assert_allclose(found.most_mva, [20.0])


def test_without_meters_nothing_is_told():
    told = frame([1.0, 1.0], [0.0, 0.0], [50.0, 50.0])
    table = Transformers([net(0, 1)])
    assert not table.metered.any()
    table.note(0, 0, told)
    assert table.metered.all()
    del told["loading_percent"]
    table.note(0, 60_000, told)
    assert not table.metered.any()
    assert np.isinf(table.infeed(100.0).most_mva).all()


def test_the_transformers_of_all_feeders_are_one_table():
    # Two busbars; none with a transformer, as the roots are the busbars; two transformers at one of two busbars.
    bare = SimpleNamespace(feed=np.arange(0), feed_anchor=np.arange(0), anchor=np.array([7]))
    twins = SimpleNamespace(feed=np.arange(2), feed_anchor=np.array([1, 1]), anchor=np.array([3, 4]))
    table = Transformers([net(0, 1), bare, twins])
    assert table.of.tolist() == [0, 0, 1, 2, 2]
    assert table.own == (slice(0, 2), slice(2, 3), slice(3, 5))
    table.note(0, 60_000, frame([3.0, 6.0], [4.0, 8.0], [50.0, 80.0]))
    table.note(1, 60_000, frame([], [], []))
    table.note(2, 120_000, frame([5.0, 7.0], [0.0, 0.0], [101.0, 99.0]))
    assert table.told_ms.tolist() == [60_000, 60_000, 120_000]
    assert table.metered.tolist() == [True, False, True]
    assert table.overloaded(100.0).tolist() == [False, False, True]
    assert table.overloaded(70.0).tolist() == [True, False, True]
    found = table.infeed(100.0)
    np.testing.assert_allclose(found.p_mw, [3.0, 6.0, 0.0, 0.0, 12.0])
    np.testing.assert_allclose(found.most_mva, [10.0, 12.5, np.inf, np.inf, 12.0 / 1.01])
    np.testing.assert_allclose(found.at(table.own[0]).q_mvar, [4.0, 8.0])


CASES = [(9.0, 0.0, 3.0), (6.0, 3.0, 3.0), (4.0, 1.0, 0.0), (-9.0, 0.0, -3.0)]


@pytest.mark.parametrize(("q", "given", "wanted"), CASES)
def test_reactive_power_is_asked_for_by_what_exceeds_the_rating(q, given, wanted):
    # 8 MW through 10 MVA leave 6 Mvar; what is given already counts as asked for.
    carried = Infeed(np.array([8.0]), np.array([q]), np.array([10.0]))
    np.testing.assert_allclose(carried.excess_mvar(np.array([given])), wanted)


def test_the_pace_is_learnt_from_look_to_look_and_forgotten_over_a_gap():
    pace, minute, both = Pace(3), 60_000, slice(1, 3)
    ahead = [pace.ahead(both, np.array([20.0 - k, 5.0]), 5 * minute * k, 5 * minute) for k in range(4)]
    # A MW less every five minutes, believed by half, then by three quarters, then by seven eighths.
    np.testing.assert_allclose(np.array(ahead)[:, 0], [0.0, -0.5, -0.75, -0.875])
    np.testing.assert_allclose(np.array(ahead)[:, 1], 0.0)
    again = pace.ahead(both, np.array([17.0, 5.0]), 15 * minute, 5 * minute)
    np.testing.assert_allclose(again, ahead[-1])  # the same look twice is one
    # Of the first a look was missed, the second goes on at its own pace; each by when its own meters were read.
    later = pace.ahead(np.array([1, 2]), np.array([0.0, 6.0]), np.array([40, 20]) * minute, 5 * minute)
    np.testing.assert_allclose(later, [0.0, 0.5])
    np.testing.assert_allclose(pace.ahead(slice(0, 1), np.array([9.0]), 0, 5 * minute), 0.0)


def test_what_is_held_moves_nothing_and_counts_as_if_it_were_not():
    pace, minute, one = Pace(1), 60_000, slice(0, 1)
    pace.ahead(one, np.array([-20.0]), 0, 5 * minute)
    # Three quarters of 24 MW run free, a quarter is held to nothing: by itself the busbar would have drawn 6 MW less.
    pace.act(one, np.ones((1, 2)), np.array([18.0, 0.0]), np.array([18.0, 6.0]))
    moves = pace.ahead(one, np.array([-16.0]), 5 * minute, 5 * minute)
    np.testing.assert_allclose(moves, 0.75 * 0.5 * (-16.0 - 6.0 + 20.0), rtol=1e-6)
