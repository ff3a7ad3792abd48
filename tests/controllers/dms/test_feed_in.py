from dataclasses import replace

import numpy as np
import pytest

from controllers.dms.feed_in import believed_feed_in
from controllers.dms.readings import Readings
from controllers.dms.set_points import Register


@pytest.fixture
def told(kit):
    """Return the believed feed-in of the devices at one node, by what its substation tells and what is held."""
    feeder = kit.feeder("cigre", pv=1.0)
    devices = feeder.devices
    node = int(devices.node[devices.kind == "pv"][0])
    # All plants of the feeder behind one substation.
    feeder = replace(feeder, devices=replace(devices, node=np.where(devices.kind == "pv", node, devices.node)))
    register = Register([feeder])
    rows = np.flatnonzero(register.feeds_in)
    assert len(rows) > 1
    rated = register.p_rated_mw[rows]

    def ask(given_mw, available_mw, cap_mw):
        readings = Readings((feeder,))
        readings.der_mw[node], readings.der_avail_mw[node] = given_mw * rated.sum(), available_mw * rated.sum()
        caps = np.full(len(register), np.nan)
        caps[rows] = cap_mw * rated
        now, could = believed_feed_in(register, readings, rows, caps)
        return now / rated, could / rated, rated / rated.sum()

    return ask


def test_without_caps_the_sum_is_split_by_rating(told):
    now, could, _ = told(0.6, 0.6, np.nan)
    np.testing.assert_allclose(now, 0.6)
    np.testing.assert_allclose(could, 0.6)


def test_what_the_others_do_not_give_stands_behind_the_caps(told):
    cap = told(0.6, 0.6, np.nan)[0] * np.nan
    cap[0] = 0.0
    part = told(0.6, 0.6, np.nan)[2][0]
    # The others give 40 % of their rating, all they could; the sum could be 50 %: the rest is the held one's.
    now, could, _ = told(0.4 * (1 - part), 0.4 * (1 - part) + 0.9 * part, cap)
    np.testing.assert_allclose(now[1:], 0.4)
    np.testing.assert_allclose(could[1:], 0.4)
    assert now[0] == pytest.approx(0.0, abs=1e-12)
    assert could[0] == pytest.approx(0.9)


def test_where_all_are_held_they_give_what_they_are_held_to(told):
    now, could, _ = told(0.3, 0.8, 0.3)
    np.testing.assert_allclose(now, 0.3)
    np.testing.assert_allclose(could, 0.8)


def test_a_frame_from_before_the_cap_makes_nobody_give_more_than_it_could(told):
    cap = told(0.6, 0.6, np.nan)[0] * np.nan
    cap[0] = 0.0
    now, could, part = told(0.9, 0.9, cap)
    assert now[0] == pytest.approx(0.0, abs=1e-12)
    assert (now <= could).all()
    assert (could <= 1.0).all()
    assert (now * part).sum() <= 0.9 + 1e-9
