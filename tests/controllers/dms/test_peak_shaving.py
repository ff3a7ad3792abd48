import dataclasses

import numpy as np

from controllers.dms.congestion import Lever, Supply, below_anchors, by_merit
from controllers.dms.peak_shaving import filling, tight


def levers(p, lower, upper, preferred, cost):
    columns = (np.asarray(c, float) for c in (p, lower, upper, preferred, cost))
    return Lever(np.zeros(len(p), dtype=np.int64), *columns)


def test_transformers_are_tight_by_nameplate(kit):
    belief = kit.feeder("oberrhein")
    field = kit.field(belief)
    below = below_anchors(field.topology, np.arange(belief.grid.n_nodes))
    np.testing.assert_allclose(below.sum(axis=0)[field.topology.free], 1.0, atol=0.01)
    rating = np.bincount(field.net.feed_anchor, field.net.limit[field.net.feed] * belief.grid.base_mva)
    share = below @ belief.load_mw / rating
    assert (tight(belief, field.net, below) == (share > 0.9)).all()
    heavy = dataclasses.replace(belief, load_mw=belief.load_mw / share.max() * 0.95)
    assert tight(heavy, field.net, below).any()


def test_storage_takes_in_what_would_flow_back_and_no_more():
    charge, below = np.array([-2.0, -1.0]), np.ones((1, 2))
    np.testing.assert_allclose(filling(np.array([0.0]), charge, below), 0.0)
    np.testing.assert_allclose(filling(np.array([1.5]), charge, below), [-1.0, -0.5])
    np.testing.assert_allclose(filling(np.array([9.0]), charge, below), charge)


def test_a_transformer_is_relieved_by_the_cheapest_first_and_only_as_far_as_needed():
    # 30 MW drawn, 24 allowed: the storage's 4 MW, then 2 of the 3 MW that vehicles can spare; PV has nothing to give.
    supply = Supply(np.array([30.0]), np.array([-24.0]), np.array([24.0]))
    three = levers([0, -5, 1], [-4, -5, 0], [4, -2, 1], [0, -5, 1], [0.1, 0.3, 1.0])
    np.testing.assert_allclose(by_merit(three, supply, np.ones((1, 3))), [4, -3, 1])
    # 30 MW flow back: the storage charges 4, then 1 MW of PV goes before charging is forced on anybody.
    back = Supply(np.array([-30.0]), np.array([-25.0]), np.array([25.0]))
    feed = levers([0, 0, 9], [-4, 0, 0], [4, 0, 9], [0, 0, 9], [0.1, 0.3, 1.0])
    np.testing.assert_allclose(by_merit(feed, back, np.ones((1, 3))), [-4, 0, 8])


def test_what_is_no_longer_needed_returns_to_what_is_preferred():
    supply = Supply(np.array([15.0]), np.array([-24.0]), np.array([24.0]))
    held = levers([4, -2], [-4, -5], [4, -2], [0, -5], [0.1, 0.3])
    np.testing.assert_allclose(by_merit(held, supply, np.ones((1, 2))), [0, -5])
