"""The forecast of the day before, corrected by the transformers' meters; by hand over quarter-hours."""

import dataclasses

import numpy as np
import pytest

from controllers.centralized.foresight import NEAR_FULL, Foresight
from controllers.dms.forecast import corrected
from controllers.dms.peak_shaving import next_need
from sims.core.errors import GridError
from sims.core.message import Message

QUARTER_S = 900.0


def test_what_the_forecast_is_off_by_fades():
    expected = np.array([[10.0], [12.0], [14.0], [16.0]])
    found = corrected(expected, np.array([13.0]), 0, 4, 96)
    fade = np.exp(-8 * np.arange(1, 5) / 96)
    np.testing.assert_allclose(found[:, 0], [12.0, 14.0, 16.0, 16.0] + 3.0 * fade)
    np.testing.assert_array_equal(corrected(expected, np.array([np.nan]), 1, 2, 96)[:, 0], [14.0, 16.0])
    with pytest.raises(GridError, match="covers 4 steps, not step 4"):
        corrected(expected, np.array([1.0]), 4, 2, 96)


@pytest.fixture
def room(kit):
    def make(expected):
        belief = dataclasses.replace(kit.feeder("cigre"), expected_mw=np.asarray(expected, float))
        return Foresight(kit.site([belief])), belief

    return make


PARTS = np.array([24.158, 20.584]) / 44.742
"""What is connected below CIGRE's two transformers, of all: buses 1, 3 to 11 and buses 12 to 14."""
LIMIT_MW = NEAR_FULL * 25.0


def primary(t_s, *p_mw):
    trafos = len(p_mw)
    values = {"v_pu": np.ones(trafos), "p_mw": np.array(p_mw), "q_mvar": np.zeros(trafos)}
    return Message("dso_1.f01", "dso_1.dms", "primary", values, sent_ms=round(1000 * t_s))


def told(out):
    return [m.values for m in out if m.topic == "goal"]


def test_a_peak_to_come_is_told_with_what_will_lack(room):
    expected = np.full(96, 20.0)
    expected[10:14] = 60.0
    controller, _ = room(expected)
    found, = told(controller.decide(0.0, [primary(0.0, *20.0 * PARTS)]))
    assert (found["feeder"], found["peak_in_h"]) == ("dso_1.f01", 2.5)
    assert found["peak_mw"] == pytest.approx(60.0, abs=1e-3)
    lacks = 4 * 0.25 * (60.0 * PARTS - LIMIT_MW)  # 9.9 and 5.1 MWh
    assert found["short_mwh"] == pytest.approx(lacks.sum(), rel=1e-3)
    assert controller._desk.short_mwh.tolist() == [found["short_mwh"]]
    np.testing.assert_allclose(controller._desk.need_mwh[0], lacks, rtol=5e-3)
    assert not controller.decide(60.0, [primary(60.0, 10.0, 10.0)]), "once a quarter-hour"


def test_each_transformer_is_corrected_by_its_own_meter(room):
    controller, _ = room(np.full(96, 40.0))
    # The first draws 30 MW instead of 21.6: what it is off by fades as exp(-8 h / 96); the second draws as foreseen.
    controller.decide(0.0, [primary(0.0, 30.0, 40.0 * PARTS[1])])
    ahead = 40.0 * PARTS[0] + (30.0 - 40.0 * PARTS[0]) * np.exp(-8 * np.arange(1, 49) / 96)
    lacks = 0.25 * np.maximum(ahead - LIMIT_MW, 0.0).sum()
    assert controller._desk.need_mwh[0] == pytest.approx([lacks, 0.0], rel=0.01)


def test_the_next_spell_beyond_a_limit_counts_until_it_turns():
    limit, step_h = np.array([10.0, 10.0, 10.0, 0.0]), 0.25
    forecast = np.array([[0, 0, 5, 99], [12, -14, -5, 99], [14, -2, 5, 99], [-16, -12, 5, 99], [13, 30, 5, 99]], float)
    # Drawn 2 and 4 MW beyond it, then flows back; first flows back, then again, until much is drawn; never; no limit.
    np.testing.assert_allclose(next_need(forecast, limit, step_h), [0.25 * 6, -0.25 * 6, 0.0, 0.0])


def test_a_quiet_day_asks_for_nothing(room):
    controller, _ = room(np.full(96, 20.0))
    assert not told(controller.decide(0.0, [primary(0.0, 10.0, 10.0)]))
    assert controller._desk.short_mwh.tolist() == [0.0]


def test_the_skill_over_persistence_is_that_of_the_hour_ahead(room):
    hours = 20.0 + 2.0 * np.arange(96)  # a steep morning, foreseen exactly
    controller, _ = room(hours)
    out = []
    for k in range(8):
        out = controller.decide(QUARTER_S * k, [primary(QUARTER_S * k, *hours[k] * PARTS)])
    assert told(out)[-1]["skill"] == pytest.approx(1.0, abs=1e-3)
    controller, _ = room(np.full(96, 20.0))  # a forecast of nothing: what is measured now fades within hours
    for k in range(8):
        out = controller.decide(QUARTER_S * k, [primary(QUARTER_S * k, *hours[k] * PARTS)])
    assert told(out)[-1]["skill"] < 0


def test_without_a_forecast_or_a_meter_nothing_is_foreseen(room):
    controller, _ = room([])
    assert not controller.decide(0.0, [primary(0.0, 10.0, 10.0)])
    controller, _ = room(np.full(96, 20.0))
    assert not controller.decide(0.0, [])
