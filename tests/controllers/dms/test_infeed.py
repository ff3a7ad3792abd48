from types import SimpleNamespace

import numpy as np
import pytest

from controllers.dms.infeed import Infeed, Pace, infeed


def frame(p, q, loading, anchors=(0, 1)):
    net = SimpleNamespace(feed=np.arange(len(p)), feed_anchor=np.asarray(anchors), anchor=np.unique(anchors))
    primary = {"p_mw": np.asarray(p, float), "q_mvar": np.asarray(q, float), "loading_percent": np.asarray(loading)}
    return SimpleNamespace(net=net, primary=primary, told=primary.get)


def test_the_rating_is_read_off_the_loading():
    found = infeed(frame([24.0, 3.0], [7.0, 4.0], [125.0, 0.2]), 100.0)
    np.testing.assert_allclose(found.most_mva, [20.0, np.inf])  # 25 MVA are 125 %; 0.2 % tells nothing
    np.testing.assert_allclose(found.p_most(np.array([12.0, 0.0])), [16.0, np.inf])
    np.testing.assert_allclose(found.q_most, [0.0, np.inf])


def test_transformers_in_parallel_count_by_the_one_loaded_most():
    found = infeed(frame([12.0, 12.0], [0.0, 0.0], [120.0, 96.0], (0, 0)), 100.0)
    np.testing.assert_allclose(found.most_mva, [20.0])


def test_without_meters_nothing_is_told():
    silent = frame([1.0, 1.0], [0.0, 0.0], [5.0, 5.0])
    del silent.primary["loading_percent"]
    assert infeed(silent, 100.0) is None


CASES = [(9.0, 0.0, 3.0), (6.0, 3.0, 3.0), (4.0, 1.0, 0.0), (-9.0, 0.0, -3.0)]


@pytest.mark.parametrize(("q", "given", "wanted"), CASES)
def test_reactive_power_is_asked_for_by_what_exceeds_the_rating(q, given, wanted):
    # 8 MW through 10 MVA leave 6 Mvar; what is given already counts as asked for.
    carried = Infeed(np.array([8.0]), np.array([q]), np.array([10.0]))
    np.testing.assert_allclose(carried.excess_mvar(np.array([given])), wanted)


def test_the_pace_is_learnt_from_look_to_look_and_forgotten_over_a_gap():
    pace, minute = Pace(), 60_000
    ahead = [pace.ahead(np.array([20.0 - k, 5.0]), 5 * minute * k, 5 * minute) for k in range(4)]
    # A MW less every five minutes, believed by half, then by three quarters, then by seven eighths.
    np.testing.assert_allclose(np.array(ahead)[:, 0], [0.0, -0.5, -0.75, -0.875])
    np.testing.assert_allclose(np.array(ahead)[:, 1], 0.0)
    again = pace.ahead(np.array([17.0, 5.0]), 15 * minute, 5 * minute)
    np.testing.assert_allclose(again, ahead[-1])  # the same look twice is one
    np.testing.assert_allclose(pace.ahead(np.array([0.0, 5.0]), 40 * minute, 5 * minute), 0.0)


def test_what_is_held_moves_nothing_and_counts_as_if_it_were_not():
    pace, minute = Pace(), 60_000
    pace.ahead(np.array([-20.0]), 0, 5 * minute)
    # Three quarters of 24 MW run free, a quarter is held to nothing: by itself the busbar would have drawn 6 MW less.
    pace.act(np.ones((1, 2)), np.array([18.0, 0.0]), np.array([18.0, 6.0]))
    moves = pace.ahead(np.array([-16.0]), 5 * minute, 5 * minute)
    np.testing.assert_allclose(moves, 0.75 * 0.5 * (-16.0 - 6.0 + 20.0), rtol=1e-6)
