import numpy as np
import pytest

from sims.der.inverter import circle
from sims.der.step_kernels import (
    added,
    by_place,
    crossing,
    farthest,
    inside,
    reach,
    scaled,
    spread,
    supplied,
    within,
)


def test_reports_land_where_they_belong_and_the_dark_feed_nothing():
    values, index = np.array([0.5, np.nan, 2.0]), np.array([4, 0, 2])
    power, voltage = np.full(5, 9.0), np.full(5, 9.0)
    spread(values, index, power, True)
    spread(values, index, voltage, False)
    assert power.tolist() == [0.0, 9.0, 2.0, 9.0, 0.5]
    assert np.isnan(voltage[0])
    assert voltage[1:].tolist() == [9.0, 2.0, 9.0, 0.5]


def test_who_is_in_the_dark_counts_as_at_nominal_voltage():
    lit, known = np.zeros(3, dtype=bool), np.zeros(3)
    supplied(np.array([0.98, 0.05, np.nan]), 0.1, lit, known)
    assert lit.tolist() == [True, False, False]
    assert known.tolist() == [0.98, 1.0, 1.0]


@pytest.mark.parametrize("q_first", [False, True])
def test_the_pass_over_inverters_keeps_the_circle(q_first):
    rng = np.random.default_rng(5)
    p, q, swing = rng.uniform(-1.5, 1.5, (3, 500))
    s, swing = rng.uniform(0.2, 1.2, 500), np.abs(swing)
    if q_first:
        free = np.minimum(swing, np.maximum(s - np.abs(q), 0.0))
        wanted = circle(p, np.abs(q) + free, s, q_first=True)[0], q, free
    else:
        p_in, q_in = circle(p, q, s)
        wanted = p_in, q_in, np.minimum(swing, np.maximum(np.sqrt(s**2 - p_in**2) - np.abs(q_in), 0.0))
    got = p.copy(), q.copy(), swing.copy()
    inside(*got, s, q_first)
    for mine, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_moves_is_added_up_by_place():
    size, signed, count = np.zeros((3, 2))
    by_place(np.array([0, 1, 0, 1]), np.array([-2.0, 0.0, 0.5, 3.0]), size, signed, count)
    assert (size.tolist(), signed.tolist(), count.tolist()) == ([2.5, 3.0], [-1.5, 3.0], [2.0, 1.0])


def test_shares_come_from_the_series_and_stand_for_one_that_is_not_there():
    out = np.zeros(3)
    scaled(np.array([0.5, 0.2]), np.array([1, -1, 0]), np.array([2.0, 3.0, 1.0]), 1.0, out)
    assert out.tolist() == [0.4, 3.0, 0.5]


def test_what_feeds_is_added_up_by_point():
    assert added(np.array([1, 0, 1]), np.array([0.5, -0.25, 2.0]), np.zeros(3)).tolist() == [-0.25, 2.5, 0.0]


def test_generation_rises_to_what_is_available_and_all_else_has_what_it_feeds():
    available, up, down = np.array([2.0, 9.0]), np.zeros(2), np.zeros(2)
    reach(np.array([1.5, -0.5]), np.array([True, False]), available, up, down)
    assert (available.tolist(), up.tolist(), down.tolist()) == ([2.0, -0.5], [0.5, 0.0], [1.5, 0.0])


def test_a_range_holds_its_ends_and_no_gap():
    assert within(np.array([49.8, 50.0, 50.2]), 49.8, 50.2)
    assert not within(np.array([50.0, 50.21]), 49.8, 50.2)
    assert not within(np.array([50.0, np.nan]), 49.8, 50.2)
    assert within(np.array([]), 1.0, -1.0)


def test_the_farthest_of_both_signs_is_kept():
    peak = np.array([0.3, -0.3, 0.1])
    farthest(np.array([-0.2, -0.4, 0.5]), peak)
    assert peak.tolist() == [0.3, -0.4, 0.5]


def test_who_acts_goes_on_above_half_of_the_level_at_which_it_begins():
    now = np.zeros(4, dtype=bool)
    acting = np.array([False, False, True, True])
    assert crossing(np.array([0.04, 0.06, 0.03, 0.02]), acting, 0.05, now)
    assert now.tolist() == [False, True, True, False]
    assert not crossing(np.array([0.04, 0.06, 0.03, 0.02]), now.copy(), 0.05, now)
